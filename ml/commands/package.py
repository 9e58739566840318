"""`python -m ml package`: from a checkpoint to a model package."""

import argparse
import sys
from pathlib import Path

from ml.cards import CARD_FILE, Card, PackageError
from ml.commands.model_options import add_card_options

# Of what training programs save: segmentation-models-pytorch's `save_pretrained` makes a folder with the first.
_WEIGHTS = (".safetensors", ".pth", ".pt", ".ckpt")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The arguments of `package`."""
    parser = subparsers.add_parser("package", help="make a model package of a checkpoint")
    parser.add_argument("checkpoint", type=Path, help="the .pth file; or a package, to measure it again")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the package; its name is the folder's")
    parser.add_argument("--calibrate", type=Path, metavar="FOLDER", help="data set to make int8 with; without it, none")
    parser.add_argument(
        "--folds",
        type=Path,
        metavar="RUN",
        help="choose on the maps of this `crossval` run; with --only checks, by its networks",
    )
    add_card_options(parser)
    parser.add_argument(
        "--only",
        choices=["checks", "rules"],
        help="of a package, fit the checks of the input again, and keep crops and metrics; or choose threshold,"
        " smallest area, depth and doubt again on --folds, and keep weights, scaling and checks",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the package and say what is in it."""
    from ml.packaging.packages import make_package

    checkpoint, out, data = arguments.checkpoint, arguments.out, arguments.calibrate
    if checkpoint.is_dir():
        card = _again(arguments)
    else:
        if arguments.only:
            raise PackageError(f"--only {arguments.only} is for a package; a checkpoint's is made whole.")
        card = make_package(
            checkpoint, out, data, facts=arguments.card, is_tested=arguments.test, folds=arguments.folds
        )
    sys.stdout.write(f"{arguments.out}: {', '.join(('card.json', *card.files))}\n")
    for form, parity in card.parity.items():
        sys.stdout.write(
            f"{form} beside {parity.against}, {parity.slices} slices of {parity.patients} patients: patient Dice"
            f" {parity.patient_dice_delta:+.4f}, equal verdicts {parity.verdicts_equal:.2%}\n"
            if parity.patient_dice_delta is not None
            else f"{form} beside {parity.against}: equal verdicts {parity.verdicts_equal:.2%}, no patient with tumor\n"
        )
    return 0


def _again(arguments: argparse.Namespace) -> Card:
    """The card of a package that is measured again, or whose rules are chosen again."""
    from ml.packaging.packages import choose_rules_again, measure_again

    package, out, data, folds, only = (
        arguments.checkpoint,
        arguments.out,
        arguments.calibrate,
        arguments.folds,
        arguments.only,
    )
    if not (package / CARD_FILE).is_file():
        found = sorted(path.name for path in package.iterdir() if path.suffix in _WEIGHTS)
        remedy = f"give its weights, {package / found[0]}" if found else "give a checkpoint's file"
        raise PackageError(f"{package} is a folder and no package, for it has no {CARD_FILE}; {remedy}.")
    if folds is not None and not only:
        raise PackageError(
            "A package that is measured again keeps its choices; with --only rules --folds chooses again, or give its"
            " checkpoint with --folds."
        )
    if only == "rules" and folds is None:
        raise PackageError("Rules are chosen on out-of-fold maps; give a run of `python -m ml crossval` with --folds.")
    if data is None:
        raise PackageError("A package is measured again on a data set; give it with --calibrate.")
    if only == "rules":
        return choose_rules_again(package, out, data, folds, facts=arguments.card, is_tested=arguments.test)
    if only and arguments.test:
        raise PackageError("--only checks keeps the metrics; leave out --test, or --only.")
    return measure_again(
        package,
        out,
        data,
        facts=arguments.card,
        is_tested=arguments.test,
        only_checks=only == "checks",
        folds=folds,
    )

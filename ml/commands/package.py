"""`python -m ml package`: from a published checkpoint to a model package."""

import argparse
import sys
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The arguments of `package`."""
    parser = subparsers.add_parser("package", help="make a model package of a published checkpoint")
    parser.add_argument("checkpoint", type=Path, help="the .pth file")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the package; its name is the folder's")
    parser.add_argument("--calibrate", type=Path, metavar="FOLDER", help="data set to make int8 with; without it, none")
    parser.add_argument("--card", type=Path, metavar="FACTS.yaml", help="fields of the card; what is not given is null")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the package and say what is in it."""
    from ml.packages import make_package

    card = make_package(arguments.checkpoint, arguments.out, calibrate=arguments.calibrate, facts=arguments.card)
    sys.stdout.write(f"{arguments.out}: {', '.join(('card.json', *card.files))}\n")
    for form, parity in card.parity.items():
        sys.stdout.write(
            f"{form} beside {parity.against}, {parity.slices} slices of {parity.patients} patients: patient Dice"
            f" {parity.patient_dice_delta:+.4f}, equal verdicts {parity.verdicts_equal:.2%}\n"
            if parity.patient_dice_delta is not None
            else f"{form} beside {parity.against}: equal verdicts {parity.verdicts_equal:.2%}, no patient with tumor\n"
        )
    return 0

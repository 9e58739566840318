"""`python -m ml`: the command line of the models. Each command imports what it needs when it runs, and no more."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from ml.cards import PackageError
from ml.datasets import DatasetError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 1 after an error that has a sentence, which goes to standard error."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return options.run(options)
    except (PackageError, DatasetError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml", description="Models of Glioscope.")
    commands = parser.add_subparsers(title="commands", required=True)
    package = commands.add_parser("package", help="make a model package of a published checkpoint")
    package.add_argument("checkpoint", type=Path, help="the .pth file")
    package.add_argument("--out", type=Path, required=True, metavar="DIR", help="the package; its name is the folder's")
    package.add_argument(
        "--calibrate", type=Path, metavar="FOLDER", help="data set to make int8 with; without it, none"
    )
    package.add_argument(
        "--card", type=Path, metavar="FACTS.yaml", help="fields of the card; what is not given is null"
    )
    package.set_defaults(run=_package)
    return parser


def _package(options: argparse.Namespace) -> int:
    from ml.packages import make_package

    card = make_package(options.checkpoint, options.out, calibrate=options.calibrate, facts=options.card)
    sys.stdout.write(f"{options.out}: {', '.join(('card.json', *card.files))}\n")
    for form, parity in card.parity.items():
        sys.stdout.write(
            f"{form} beside {parity.against}, {parity.slices} slices of {parity.patients} patients: patient Dice"
            f" {parity.patient_dice_delta:+.4f}, equal verdicts {parity.verdicts_equal:.2%}\n"
            if parity.patient_dice_delta is not None
            else f"{form} beside {parity.against}: equal verdicts {parity.verdicts_equal:.2%}, no patient with tumor\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

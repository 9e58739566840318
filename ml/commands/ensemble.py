"""`python -m ml ensemble`: join packages into one that averages their logits."""

import argparse
import sys
from pathlib import Path

from ml.commands.model_options import add_card_options, find_model, model_directories


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The arguments of `ensemble`."""
    parser = subparsers.add_parser("ensemble", help="join model packages into one that averages their logits")
    parser.add_argument("members", nargs="+", metavar="MEMBER", help="a package's name or folder; two or more")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the package, beside its members")
    parser.add_argument("--folds", type=Path, nargs="+", default=(), metavar="RUN", help="`crossval` of each member")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="data set to choose, compare and test on")
    add_card_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the ensemble and say what it joins."""
    from ml.packaging.ensembles import Ensemble, make_ensemble

    card = make_ensemble(
        Ensemble(
            members=tuple(find_model(name) for name in arguments.members),
            out=arguments.out,
            folds=tuple(arguments.folds),
            data=arguments.data,
            facts=arguments.card,
            directories=tuple(model_directories()),
            is_tested=arguments.test,
        )
    )
    sys.stdout.write(f"{arguments.out}: card.json, {' and '.join(member.name for member in card.members)}\n")
    return 0

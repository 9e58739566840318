"""`python -m ml cascade`: an ensemble that asks one member first, and the others only where it saw something."""

import argparse
import sys
from pathlib import Path

from ml.commands.model_options import add_card_options, find_model, model_directories


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The arguments of `cascade`."""
    parser = subparsers.add_parser(
        "cascade", help="make an ensemble ask one member first, the others where it sees something"
    )
    parser.add_argument("ensemble", metavar="ENSEMBLE", help="its name or folder; the rules stay its own")
    parser.add_argument("--first", required=True, metavar="MEMBER", help="the member that looks at every slice")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the package, beside the members")
    parser.add_argument(
        "--folds",
        type=Path,
        nargs="+",
        required=True,
        metavar="RUN",
        help="`crossval` of each member, as the ensemble names them",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="data set to choose and compare on")
    parser.add_argument(
        "--neighbors",
        type=int,
        default=2,
        metavar="N",
        help="the others are asked about so many slices on either side of what the first one sees too (%(default)s)",
    )
    add_card_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the cascade and say how often its first member was enough."""
    from ml.packaging.cascades import CascadePlan, make_cascade

    card = make_cascade(
        CascadePlan(
            ensemble=find_model(arguments.ensemble),
            first=arguments.first,
            out=arguments.out,
            folds=tuple(arguments.folds),
            data=arguments.data,
            neighbors=arguments.neighbors,
            facts=arguments.card,
            directories=tuple(model_directories()),
            is_tested=arguments.test,
        )
    )
    sys.stdout.write(f"{arguments.out}: {card.members[0].name} looks first")
    if card.cascade is not None and card.cascade.served is not None:
        served = card.cascade.served
        sys.stdout.write(
            f"; of {served.slices} slices it answered {served.skipped} alone (below {card.cascade.limit:g} everywhere);"
            f" {served.verdicts_equal:.1%} of verdicts equal"
        )
    sys.stdout.write("\n")
    return 0

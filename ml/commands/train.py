"""`python -m ml train`: a recipe on a data set."""

import argparse
import logging
import sys
from functools import partial
from pathlib import Path

logger = logging.getLogger(__name__)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The arguments of `train`."""
    parser = subparsers.add_parser("train", help="train a recipe on a data set with expert masks")
    parser.add_argument("recipe", metavar="RECIPE", help="a name (docs/training.md lists them) or a YAML file")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the data set")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run's folder, new or to resume")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--split", type=Path, metavar="FILE", help="of `python -m ml split`; default: divide anew")
    parser.add_argument("--exclude", type=Path, metavar="FILE", help="patients kept out of everything, one a line")
    parser.add_argument("--resume", action="store_true", help="go on after the last finished epoch of --out")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, evaluate the best checkpoint on its validation patients, and say where everything is."""
    from tqdm import tqdm

    from ml.datasets import read_patients, read_split
    from ml.training.errors import TrainingError
    from ml.training.recipes import differences, load_recipe
    from ml.training.records import write_records
    from ml.training.run import Plan, resume_plan, train

    if arguments.resume:
        if arguments.changes or arguments.split or arguments.exclude:
            raise TrainingError("--resume goes on as the run began; leave out --set, --split and --exclude.")
        plan = resume_plan(arguments.data, arguments.out)
        asked, begun = load_recipe(arguments.recipe), plan.configuration
        if begun.name != asked.name:
            raise TrainingError(
                f"{arguments.out} is a run of {begun.name!r}; resume it with that recipe instead of {asked.name!r}."
            )
        if others := differences(begun, asked):
            # What --set changed at the start differs, too, and was asked for.
            logger.warning(
                "The run goes on as it began, by its own configuration.yaml; unlike %s as it is now, it has %s. For"
                " other values begin a new run.",
                arguments.recipe,
                ", ".join(others),
            )
    else:
        if arguments.split and arguments.exclude:
            raise TrainingError("--split says who is excluded; leave out --exclude, or make a split with it.")
        plan = Plan(
            configuration=load_recipe(arguments.recipe, arguments.changes),
            data=arguments.data,
            out=arguments.out,
            split=read_split(arguments.split, arguments.data) if arguments.split else None,
            excluded=read_patients(arguments.exclude) if arguments.exclude else (),
        )
    progress = partial(tqdm, desc="Checking", unit=" slices", disable=None, leave=False)
    trained = train(plan, report_check=lambda items, total: progress(items, total=total))
    headline = write_records(plan, trained)
    sys.stdout.write(f"{headline}\n{trained.checkpoint}\n")
    return 0

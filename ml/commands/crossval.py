"""`python -m ml crossval`: a recipe, k times, each on other patients."""

import argparse
import sys
from functools import partial
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The arguments of `crossval`."""
    parser = subparsers.add_parser("crossval", help="k-fold cross-validation of a recipe by patient")
    parser.add_argument("recipe", metavar="RECIPE", help="a name (docs/training.md lists them) or a YAML file")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the data set")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new, or of a call that was interrupted")
    parser.add_argument("--folds", type=int, default=5, metavar="K", help="default 5")
    parser.add_argument("--fold", type=int, metavar="N", help="only this one (from 0): folds on several machines")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--exclude", type=Path, metavar="FILE", help="patients kept out of everything, one a line")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train what is missing; say the pooled headline when every fold is there."""
    from tqdm import tqdm

    from ml.datasets import read_patients
    from ml.evaluation.report import headline
    from ml.training.crossval import Folds, cross_validate
    from ml.training.recipes import load_recipe

    folds = Folds(
        configuration=load_recipe(arguments.recipe, arguments.changes),
        data=arguments.data,
        out=arguments.out,
        count=arguments.folds,
        excluded=read_patients(arguments.exclude) if arguments.exclude else (),
        only=arguments.fold,
    )
    progress = partial(tqdm, desc="Checking", unit=" slices", disable=None, leave=False)
    report = cross_validate(folds, report_check=lambda items, total: progress(items, total=total))
    if report is None:
        sys.stdout.write(f"Fold {arguments.fold} is trained; the others are missing.\n")
        return 0
    sys.stdout.write(f"{arguments.folds}-fold cross-validation: {headline(report)}\n{arguments.out / 'report.json'}\n")
    return 0

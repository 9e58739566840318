"""`python -m ml compare`: finished runs in one table, an ablation among them."""

import argparse
import sys
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The arguments of `compare`."""
    parser = subparsers.add_parser("compare", help="runs side by side, on the same validation patients")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of `train`, the reference first")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table as Markdown."""
    from ml.training.comparison import read_run, table_of

    sys.stdout.write(table_of([read_run(folder) for folder in arguments.runs]))
    return 0

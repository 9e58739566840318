"""The commands of `python -m ml`, one module each: `add_parser(subparsers)` and `run(arguments) -> int`.

`add_parser` ends with `parser.set_defaults(run=run)`. A command's module imports what it needs inside `run`, so that
the command line starts quickly and `check` loads no torch. A new command is one module and one line in `COMMANDS`.
"""

import argparse
from typing import Protocol

from ml.commands import cascade, check, compare, crossval, encoder, ensemble, evaluate, package, predict, split, train


class Command(Protocol):
    """What a module of this package offers."""

    def add_parser(self, subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
        """Describe the command's arguments and set `run`."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; the exit status. Errors that have a sentence are raised and told by `ml.__main__`."""


COMMANDS: tuple[Command, ...] = (
    check,
    split,
    encoder,
    train,
    crossval,
    compare,
    evaluate,
    predict,
    package,
    ensemble,
    cascade,
)

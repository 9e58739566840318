"""`python -m ml`: the command line of the models. Each command is a module of `ml.commands`."""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence

from ml import environment

if __name__ == "__main__":
    environment.enter()

from ml.cards import PackageError
from ml.commands import COMMANDS
from ml.datasets import DatasetError
from ml.engines import EngineError
from ml.training.errors import TrainingError

# What `make install` leaves out where there is no GPU.
OF_TRAINING = ("torch", "lightning", "segmentation_models_pytorch", "torchmetrics", "safetensors", "nncf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 1 after an error that has a sentence, which goes to standard error."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        status: int = options.run(options)
        return status
    except (PackageError, DatasetError, EngineError, TrainingError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    except OSError as error:  # a full disk, a folder without permission: the message says enough
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    except ModuleNotFoundError as error:
        if error.name not in OF_TRAINING:
            raise
        sys.stderr.write(f"This command needs {error.name}: run `make install-train` first.\n")
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return 128 + signal.SIGINT
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml", description="Models of Glioscope.")
    subparsers = parser.add_subparsers(title="commands", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())

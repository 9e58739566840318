"""`python -m ml`: the command line of the models. Each command is a module of `ml.commands`."""

import argparse
import errno
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ml import environment

if __name__ == "__main__":
    environment.enter()

from ml.cards import PackageError
from ml.commands import COMMANDS
from ml.datasets import DatasetError
from ml.engines import EngineError
from ml.training.errors import TrainingError

# No space left, or none of a user's quota.
_FULL = (errno.ENOSPC, errno.EDQUOT)

# What `make install` leaves out where there is no GPU.
OF_TRAINING = ("torch", "lightning", "segmentation_models_pytorch", "torchmetrics", "safetensors", "nncf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 1 after an error that has a sentence, which goes to standard error."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    reader = logging.getLogger("ml.sandbox")
    level = reader.level
    reader.setLevel(logging.WARNING)  # a command's own table says what was refused
    try:
        status: int = options.run(options)
        return status
    except (PackageError, DatasetError, EngineError, TrainingError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    except OSError as error:  # a folder without permission, for one: the message says enough
        sys.stderr.write(f"{_full_disk(options) if error.errno in _FULL else f'{type(error).__name__}: {error}'}\n")
    except ModuleNotFoundError as error:
        if error.name not in OF_TRAINING:
            raise
        sys.stderr.write(f"This command needs {error.name}: run `make install-train` first.\n")
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return 128 + signal.SIGINT
    finally:
        reader.setLevel(level)
    return 1


def _full_disk(options: argparse.Namespace) -> str:
    """What is free where a command writes, and what to do: the system's error names no folder."""
    out: Path = getattr(options, "out", None) or Path()
    target = next(folder for folder in (out.resolve(), *out.resolve().parents) if folder.is_dir())
    free = [
        f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB are free in {folder}"
        for folder in dict.fromkeys((target, Path(tempfile.gettempdir())))
    ]
    return (
        f"No space left on device, or in your quota: {' and '.join(free)}. Make room and start again (`train` after its"
        " first epoch with --resume), or give another --out; TMPDIR says where temporary files go."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml", description="Models of Glioscope.")
    subparsers = parser.add_subparsers(title="commands", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())

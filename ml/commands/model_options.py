"""Options that several commands have: which model runs, with which threshold, on which engine; what a card says."""

import argparse
import math
import os
from pathlib import Path

from ml.cards import CARD_FILE, PackageNotFoundError, find_package, path_advice

# Of the portal, too (GLIOSCOPE_MODEL).
DEFAULT_MODEL = "unet-cascade-lgg"
_SHIPPED = Path(__file__).resolve().parents[1] / "weights"


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """`--model`, `--threshold`, `--engine`."""
    default = os.environ.get("GLIOSCOPE_MODEL") or DEFAULT_MODEL
    parser.add_argument(
        "--model", default=default, metavar="NAME_OR_DIR", help="a model package; default: the portal's (%(default)s)"
    )
    parser.add_argument("--threshold", type=_threshold, metavar="T", help="0 to 1; default: the card's")
    parser.add_argument("--engine", choices=("auto", "openvino", "torch"), default="auto")


def add_card_options(parser: argparse.ArgumentParser) -> None:
    """`--card`, `--test`: of every command that writes a card."""
    parser.add_argument("--card", type=Path, metavar="FACTS.yaml", help="fields of the card; what is not given is null")
    parser.add_argument("--test", action="store_true", help="also measure the test patients: once, at the very end")


def find_model(name: str) -> Path:
    """A package's folder, given as such or by its name in the directories of GLIOSCOPE_MODELS.

    Raises PackageNotFoundError.
    """
    folder = Path(name)
    if (folder / CARD_FILE).is_file():
        return folder
    folders = model_directories()
    try:
        return find_package(name, folders)
    except PackageNotFoundError as error:
        places = ", ".join(str(folder) if folder.is_dir() else f"{folder} (which is no folder)" for folder in folders)
        raise PackageNotFoundError(
            f"{error}{path_advice(name)} Looked for in {places}: GLIOSCOPE_MODELS names other folders, --model a"
            " package's own."
        ) from error


def model_directories() -> list[Path]:
    """Where packages are looked for by name: GLIOSCOPE_MODELS, else those that ship."""
    folders = os.environ.get("GLIOSCOPE_MODELS", "").split(os.pathsep)
    return [Path(folder) for folder in folders if folder] or [_SHIPPED]


def _threshold(text: str) -> float:
    """A probability; argparse turns the error into a sentence and status 2."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no probability; give a number from 0 to 1")
    return value

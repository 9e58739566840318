"""The model that is asked where nobody chose one: without it there is nothing for a worker to do."""

from collections.abc import Sequence
from pathlib import Path

from ml.cards import PackageError, find_package, load_card, path_advice


def check_default_model(name: str, directories: Sequence[Path]) -> None:
    """Raises PackageError, with the settings to look at, where its package is missing or its card cannot be read."""
    try:
        load_card(find_package(name, directories))
    except PackageError as error:
        folders = ":".join(map(str, directories))
        raise PackageError(
            f"{error}{path_advice(name)} GLIOSCOPE_MODEL names the model; GLIOSCOPE_MODELS names the folders in which"
            f" the folder of its package lies, now {folders}."
        ) from error

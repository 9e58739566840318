"""Folders in which slices lie, and the sides of a data set that comes divided already."""

from dataclasses import dataclass
from pathlib import Path

# Folders in which a data set comes divided already, and the side that each is.
SUBSETS = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "val": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Root:
    """A folder in which slices lie. prefix: what makes its names different from those of other roots; patient: whose
    they are where the folder is one's own; pair: its folders of images and of masks, where their names do not tell."""

    folder: Path
    prefix: str = ""
    side: str | None = None
    patient: str | None = None
    pair: tuple[Path, ...] = ()


def named(patient: str, _stem: str) -> str:
    """All images of a patient folder are this patient's."""
    return patient

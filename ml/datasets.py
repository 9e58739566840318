"""Data sets on disk: patient folders of slices with expert masks. Never imports torch.

Layout: `PATIENT/NAME.tif` with `PATIENT/NAME_mask.tif`; images also as png, jpg or webp, masks also as png. One folder
is one patient, and a split is made by folder, never by slice.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".webp")
MASK_SUFFIXES = (".tif", ".tiff", ".png")
MASK_ENDING = "_mask"


class DatasetError(Exception):
    """A folder is not a data set that can be used."""


@dataclass(frozen=True)
class Case:
    """One slice with its expert mask."""

    patient: str
    image: Path
    mask: Path

    def pixels(self) -> np.ndarray:
        """The slice, uint8 (H, W, 3). Raises DatasetError."""
        return self._read(self.image, "RGB")

    def truth(self) -> np.ndarray:
        """The expert's mask, bool (H, W): every pixel that is not 0. Raises DatasetError."""
        return self._read(self.mask, "L") > 0

    def _read(self, path: Path, mode: str) -> np.ndarray:
        try:
            with Image.open(path) as image:
                return np.asarray(image.convert(mode))
        except (OSError, ValueError, SyntaxError) as error:
            raise DatasetError(f"{self.patient}/{path.name} cannot be read ({error}); replace or remove it.") from error


def list_cases(folder: Path, patients: Iterable[str] | None = None) -> tuple[Case, ...]:
    """All slices that have a mask, ordered by patient and name; only of `patients` where they are given.

    Raises DatasetError where there are none.
    """
    wanted = None if patients is None else set(patients)
    cases: list[Case] = []
    for directory in sorted(item for item in folder.glob("*") if item.is_dir()):
        if wanted is None or directory.name in wanted:
            cases.extend(_cases_of(directory))
    if not cases:
        raise DatasetError(
            f"{folder} has no patient folders with NAME.tif and NAME_mask.tif"
            f" (images {', '.join(IMAGE_SUFFIXES)}; masks {', '.join(MASK_SUFFIXES)}); give the folder above them."
        )
    return tuple(cases)


def _cases_of(directory: Path) -> list[Case]:
    cases = []
    for image in sorted(directory.iterdir()):
        if image.suffix.lower() not in IMAGE_SUFFIXES or image.stem.endswith(MASK_ENDING):
            continue
        masks = (image.with_name(f"{image.stem}{MASK_ENDING}{suffix}") for suffix in MASK_SUFFIXES)
        mask = next((path for path in masks if path.is_file()), None)
        if mask is not None:
            cases.append(Case(directory.name, image, mask))
    return cases

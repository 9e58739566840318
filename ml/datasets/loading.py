"""A case in memory: its slice, its expert's mask, and both on one grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.datasets.case import Case, DatasetError


@dataclass(frozen=True)
class LoadedCase:
    """pixels: uint8 (H, W, 3); truth: bool (H, W), None where there is no mask."""

    case: Case
    pixels: NDArray[np.uint8]
    truth: NDArray[np.bool] | None


def load_case(case: Case) -> LoadedCase:
    """Read both files. Raises DatasetError where one cannot be read or they differ in size."""
    pixels, truth = case.pixels(), case.truth()
    if truth is not None and truth.shape != pixels.shape[:2]:
        raise DatasetError(
            f"{case.patient}/{case.image.name} is {_size(pixels)} pixels and its mask {_size(truth)};"
            " give the mask of this image."
        )
    return LoadedCase(case, pixels, truth)


def _size(array: NDArray[np.generic]) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"

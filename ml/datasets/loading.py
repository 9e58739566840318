"""A case in memory: its slice, its expert's mask, and both on one grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.datasets.case import Case, DatasetError
from ml.datasets.mask_findings import codes_of_labels, digest_of_labels


@dataclass(frozen=True)
class LoadedCase:
    """pixels: uint8 (H, W, 3); truth: bool (H, W), None where there is no mask.

    is_skull_stripped: the slice is of a volume without a skull; the network then sees a rim (`ml.skull`).
    mask_codes: what the mask's file shows, of `ml.datasets.mask_findings.codes_of_labels`; truth_sha256: of
    `digest_of_labels` there.
    """

    case: Case
    pixels: NDArray[np.uint8]
    truth: NDArray[np.bool] | None
    mask_codes: tuple[str, ...] = ()
    is_skull_stripped: bool = False
    truth_sha256: str | None = None


def load_case(case: Case) -> LoadedCase:
    """Read both files. Raises DatasetError where one cannot be read or they differ in size."""
    scan, labels = case.scan(), case.label_map()
    pixels: NDArray[np.uint8] = scan.pixels[0]  # (1, H, W, 3) -> (H, W, 3)
    is_stripped = "skull_stripped" in scan.warnings
    if labels is None:
        return LoadedCase(case, pixels, None, is_skull_stripped=is_stripped)
    truth = labels.values != 0
    if truth.shape != pixels.shape[:2]:
        raise DatasetError(
            f"{case.patient}/{case.file_name} is {_size(pixels)} pixels and its mask {_size(truth)};"
            " give the mask of this image."
        )
    codes = codes_of_labels(labels, scan.orientation)
    return LoadedCase(case, pixels, truth, codes, is_stripped, digest_of_labels(labels.values))


def _size(array: NDArray[np.generic]) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"

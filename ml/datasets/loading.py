"""A case in memory: its slice, its expert's mask, and both on one grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.datasets.case import Case, DatasetError
from ml.datasets.mask_findings import codes_of_labels, digest_of_labels
from ml.datasets.volume_slices import file_of
from ml.scans.sequence import VOLUME_FORMATS, agree, kind_of_name


@dataclass(frozen=True)
class LoadedCase:
    """pixels: uint8 (H, W, 3); truth: bool (H, W), None where there is no mask.

    is_skull_stripped: the slice is of a volume without a skull; the network then sees a rim (`ml.skull`).
    mask_codes: what the mask's file shows, of `ml.datasets.mask_findings.codes_of_labels`, None where nobody looked;
    truth_sha256: of `digest_of_labels` there. is_flair: what header and name of a volume say, or a slice cut from
    one; None where they do not say, and of other pictures.
    """

    case: Case
    pixels: NDArray[np.uint8]
    truth: NDArray[np.bool] | None
    mask_codes: tuple[str, ...] | None = None
    is_skull_stripped: bool = False
    truth_sha256: str | None = None
    is_flair: bool | None = None


def load_case(case: Case, *, judges_mask: bool = True) -> LoadedCase:
    """Read both files. Raises DatasetError where one cannot be read or they differ in size.

    judges_mask: whether to look at what the mask's file shows; a portal's check has done so before.
    """
    scan, labels = case.scan(), case.label_map()
    pixels: NDArray[np.uint8] = scan.pixels[0]  # (1, H, W, 3) -> (H, W, 3)
    is_stripped = "skull_stripped" in scan.warnings
    named = kind_of_name(file_of(case.image).name) if scan.format in VOLUME_FORMATS else None
    stated = agree(scan.sequence, named)
    is_flair = None if stated is None else stated.is_flair
    if labels is None:
        return LoadedCase(case, pixels, None, is_skull_stripped=is_stripped, is_flair=is_flair)
    truth = labels.values != 0
    if truth.shape != pixels.shape[:2]:
        raise DatasetError(
            f"{case.patient}/{case.file_name} is {_size(pixels)} pixels and its mask {_size(truth)};"
            " give the mask of this image."
        )
    if not judges_mask:
        return LoadedCase(case, pixels, truth, is_skull_stripped=is_stripped, is_flair=is_flair)
    codes = codes_of_labels(labels, scan.orientation)
    return LoadedCase(case, pixels, truth, codes, is_stripped, digest_of_labels(labels.values), is_flair)


def _size(array: NDArray[np.generic]) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"

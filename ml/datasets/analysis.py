"""What is in a data set: how much tumor, how large, in how many slices and patients."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ml.datasets.case import Case
from ml.datasets.checking.file_checks import FileCheck

Size = Literal["small", "medium", "large"]
# Tumor pixels as a share of the slice's pixels, so that they mean the same at every resolution: below the first a
# tumor is small, from the second on large. Ours, and the evaluation's by tumor size; of the LGG data (Buda et al.,
# Computers in Biology and Medicine 109, 2019) a fifth of the tumor slices are small and two fifths large.
SIZE_BOUNDS = (0.01, 0.03)
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class PatientCounts:
    """One patient's slices and pixels."""

    patient: str
    slices: int
    tumor_slices: int
    pixels: int
    tumor_pixels: int


@dataclass(frozen=True)
class AreaQuantile:
    """Of the tumor slices, the share `quantile` (0 to 1) has at most this area."""

    quantile: float
    pixels: float
    percent_of_slice: float


@dataclass(frozen=True)
class Analysis:
    """Counts over all slices with a good image and mask; of a set without masks, with a good image. Shares are 0 to 1;
    `areas` and `sizes`: of tumor slices."""

    patients: int
    slices: int
    tumor_slices: int
    empty_masks: int
    tumor_patients: int
    tumor_slice_share: float
    tumor_pixel_share: float
    image_sizes: dict[str, int]
    areas: tuple[AreaQuantile, ...]
    sizes: dict[Size, int]
    size_bounds: tuple[float, float]


def size_of(tumor_pixels: int, total_pixels: int) -> Size | None:
    """Small, medium or large by `SIZE_BOUNDS`; None without tumor."""
    if tumor_pixels == 0:
        return None
    share = tumor_pixels / total_pixels
    return "small" if share < SIZE_BOUNDS[0] else "medium" if share < SIZE_BOUNDS[1] else "large"


def count_by_patient(checked: Sequence[tuple[Case, FileCheck]]) -> tuple[PatientCounts, ...]:
    """Counts of each patient, by name; every check has a tumor count and an image size."""
    totals: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(4, dtype=np.int64))
    for case, file_check in checked:
        tumor = file_check.tumor_pixels or 0
        totals[case.patient] += (1, tumor > 0, _pixel_count(file_check), tumor)
    return tuple(PatientCounts(patient, *totals[patient].tolist()) for patient in sorted(totals))


def analyze(checked: Sequence[tuple[Case, FileCheck]]) -> Analysis:
    """The analysis of good cases; of none, all counts and shares are 0."""
    patients = count_by_patient(checked)
    pixels = np.array([_pixel_count(file_check) for _, file_check in checked], dtype=np.int64)  # (slices,)
    tumor = np.array([file_check.tumor_pixels or 0 for _, file_check in checked], dtype=np.int64)
    areas, shares = tumor[tumor > 0], (tumor / np.maximum(pixels, 1))[tumor > 0]
    sizes = [size_of(*pair) for pair in zip(tumor.tolist(), pixels.tolist(), strict=True)]
    grids = [file_check.image_size or (0, 0) for _, file_check in checked]
    names = [f"{width} x {height}" for height, width in grids]
    return Analysis(
        patients=len(patients),
        slices=len(checked),
        tumor_slices=int(areas.size),
        empty_masks=sum(file_check.tumor_pixels == 0 for _, file_check in checked),
        tumor_patients=sum(counts.tumor_slices > 0 for counts in patients),
        tumor_slice_share=round(areas.size / max(len(checked), 1), 6),
        tumor_pixel_share=round(int(tumor.sum()) / max(int(pixels.sum()), 1), 6),
        image_sizes={name: names.count(name) for name in sorted(set(names))},
        areas=tuple(
            AreaQuantile(level, float(np.quantile(areas, level)), round(100 * float(np.quantile(shares, level)), 4))
            for level in (QUANTILES if areas.size else ())
        ),
        sizes={size: sizes.count(size) for size in ("small", "medium", "large")},
        size_bounds=SIZE_BOUNDS,
    )


def _pixel_count(file_check: FileCheck) -> int:
    height, width = file_check.image_size or (0, 0)
    return height * width

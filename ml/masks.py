"""The mask rule, written once, and what is measured under a mask.

The portal, the evaluation and (in JavaScript, by the same arithmetic) the browser's preview use this one rule:

1. pixels whose 8-bit probability, round(255 p), is at least `threshold_level(threshold)` are candidates;
2. per slice, 8-connected components of candidates with fewer than `min_tumor_pixels` pixels are dropped.

This module never imports torch; SciPy is imported when the first component is labeled.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.preprocessing import letterbox

TUMOR_DETECTED = "tumor_detected"
NO_TUMOR = "no_tumor"

# 255 * (k / 255) is not always k in floating point, and a ceiling would then lift the level by one. Thresholds differ
# by far more than this, so what is this close to a whole level is that level.
_LEVEL_TOLERANCE = 1e-6


@dataclass(frozen=True)
class SliceMeasure:
    """One slice: pixels of its mask, and the highest probability anywhere in it (inside the mask or not)."""

    index: int
    tumor_pixels: int
    max_probability: float


@dataclass(frozen=True)
class Measures:
    """What a mask amounts to. Area only for one slice with known spacing, volume only for a stack with it."""

    verdict: str
    tumor_pixels: int
    total_pixels: int
    coverage_percent: float
    max_probability: float
    area_mm2: float | None
    volume_mm3: float | None
    slices: tuple[SliceMeasure, ...]


def threshold_level(threshold: float) -> int:
    """The smallest 8-bit probability that counts as tumor: ceil(255 * threshold), clamped to 1..255.

    The clamp to 1 gives a threshold of 0 a meaning: every pixel with any probability at all, and never the whole image.
    A threshold of 1 asks for 255. Raises ValueError outside [0, 1] and for NaN.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}; it is a probability: give a number from 0 to 1.")
    return max(1, math.ceil(255 * threshold - _LEVEL_TOLERANCE))


def min_pixels_on_grid(min_tumor_pixels: int, model_size: tuple[int, int], height: int, width: int) -> int:
    """The card's smallest component, given in pixels of the model's grid, in pixels of a height x width scan.

    Scaled by area as the letterbox scales it, rounded, and at least 1 where the card has at least 1.
    """
    if min_tumor_pixels <= 0:
        return 0
    box = letterbox(height, width, model_size)
    return max(1, round(min_tumor_pixels * (height * width) / (box.height * box.width)))


def tumor_mask(probability_u8: NDArray[np.uint8], threshold: float, min_tumor_pixels: int) -> NDArray[np.bool]:
    """Apply the rule to round(255 p), uint8 (N, H, W). `min_tumor_pixels`: of this grid. Returns bool (N, H, W)."""
    mask: NDArray[np.bool] = probability_u8 >= threshold_level(threshold)
    if min_tumor_pixels <= 1:
        return mask
    for index in range(len(mask)):
        candidates = int(np.count_nonzero(mask[index]))
        if candidates:
            _drop_small_components(mask[index], candidates, min_tumor_pixels)
    return mask


def outline(mask: NDArray[np.bool]) -> NDArray[np.bool]:
    """The mask's pixels that have a 4-neighbor outside it; the image's edge counts as outside. bool (H, W), both."""
    core = np.zeros_like(mask)  # pixels whose four neighbors are in the mask
    core[1:-1, 1:-1] = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    edge: NDArray[np.bool] = mask & ~core
    return edge


def measure(
    probability_u8: NDArray[np.uint8], mask: NDArray[np.bool], spacing_mm: tuple[float, float, float] | None
) -> Measures:
    """Pixels, coverage and, where the spacing (slice, row, column) is known, area or volume.

    probability_u8: round(255 p), uint8 (N, H, W); mask: bool (N, H, W), N >= 1.
    """
    slices = tuple(
        SliceMeasure(index, int(np.count_nonzero(mask[index])), int(probability_u8[index].max()) / 255)
        for index in range(len(mask))
    )
    tumor_pixels = sum(item.tumor_pixels for item in slices)
    area_mm2 = volume_mm3 = None
    if spacing_mm is not None:
        if len(slices) == 1:
            area_mm2 = tumor_pixels * spacing_mm[1] * spacing_mm[2]
        else:
            volume_mm3 = tumor_pixels * spacing_mm[0] * spacing_mm[1] * spacing_mm[2]
    return Measures(
        verdict=TUMOR_DETECTED if tumor_pixels else NO_TUMOR,
        tumor_pixels=tumor_pixels,
        total_pixels=mask.size,
        coverage_percent=100 * tumor_pixels / mask.size,
        max_probability=max(item.max_probability for item in slices),
        area_mm2=area_mm2,
        volume_mm3=volume_mm3,
        slices=slices,
    )


def _drop_small_components(mask: NDArray[np.bool], candidates: int, min_tumor_pixels: int) -> None:
    """Clear, in place, the 8-connected components of one slice, bool (H, W), with too few pixels."""
    if candidates < min_tumor_pixels:
        mask[:] = False
        return
    from scipy import ndimage  # costs 0.1 s and 20 MB: only a process that labels pays for it

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    window = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    labels, count = ndimage.label(window, structure=np.ones((3, 3), dtype=bool))
    is_kept = np.bincount(labels.ravel(), minlength=count + 1) >= min_tumor_pixels
    is_kept[0] = False  # label 0 is the background
    window[:] = is_kept[labels]

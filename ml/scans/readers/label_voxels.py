"""Which voxels of a mask's volume are tumor, of whatever format, and which volumes are no masks."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.scans.scan import ScanError

# A mask has a few labels, and a tumor takes a few percent of its volume; an MR image has thousands of values.
MOST_LABELS, PICTURE_SHARE = 64, 0.05
_MOST_COUNTED = 4096
# A label that was stored as an integer with a slope comes back off by half a step of it at most: nibabel writes labels
# that were real numbers so, and 1 of 0 to 4 in 8 bits is 1.0039. Interpolation leaves fractions further away.
_MOST_ROUNDING = 0.01
_FLOAT_ROUNDING = 1e-6  # and slopes are float32: relative
# Interpolation leaves a rim of shades, of which every second lies beside none of its like (0.47 to 1.0 of LGG masks
# that were resampled, turned or smoothed); of labels, also of one for each of many lesions, hardly any does. More
# values than these, on a slice and in all, are looked at.
_FEW_LABELS, _LONE_SHARE = 8, 0.25


def find_tumor(
    planes: Iterable[NDArray[Any]], shape: tuple[int, int, int], slope: float = 0
) -> tuple[NDArray[np.bool], bool]:
    """Voxels above 0, bool (i, j, k), and whether all values are labels: whole numbers, but for rounding, and no shades
    as interpolation leaves them at a rim.

    planes: the values of k = 0, 1, ..., (i, j) each. slope: by which stored integers were multiplied.
    Raises ScanError `unreadable` for NaN, infinities and pictures.
    """
    is_tumor = np.empty(shape, np.bool, order="F")
    is_whole = True
    counts, lone = Counter[float](), Counter[float]()
    for k, values in enumerate(planes):
        if values.dtype.kind == "f":
            if not np.isfinite(values).all():
                raise ScanError("unreadable", "The mask has voxels of NaN or infinity; write it again.")
            values, is_plane_whole = _without_rounding(values, slope)
            is_whole = is_whole and is_plane_whole
        is_tumor[:, :, k] = values > 0
        of_plane = _count(values[is_tumor[:, :, k]])
        counts.update({value: of_plane[value] for value in of_plane if value in counts or len(counts) < _MOST_COUNTED})
        if len(of_plane) > _FEW_LABELS:
            lone.update(_count(values[is_tumor[:, :, k] & _is_lone(values)]))
    _check_labels(counts, is_tumor)
    return is_tumor, is_whole and not _are_shades(counts, lone)


def _count(values: NDArray[Any]) -> dict[float, int]:
    """How often each value occurs."""
    kinds, counts = np.unique(values, return_counts=True)
    return dict(zip(kinds.tolist(), counts.tolist(), strict=True))


def _is_lone(values: NDArray[Any]) -> NDArray[np.bool]:
    """Whether a pixel (i, j) differs from its four neighbors."""
    is_lone = np.ones(values.shape, np.bool)
    for whole, other in ((is_lone, values), (is_lone.T, values.T)):
        differs = other[1:] != other[:-1]
        whole[1:] &= differs
        whole[:-1] &= differs
    return is_lone


def _are_shades(counts: Mapping[float, int], lone: Mapping[float, int]) -> bool:
    """Whether the values beside the one that prevails are those of a soft edge. counts: voxels of the values above 0;
    lone: those that differ from their neighbors."""
    if len(counts) <= _FEW_LABELS:
        return False
    prevailing = max(counts, key=lambda value: counts[value])
    others = sum(counts.values()) - counts[prevailing]
    return sum(lone.values()) - lone.get(prevailing, 0) > _LONE_SHARE * others


def _without_rounding(values: NDArray[Any], slope: float) -> tuple[NDArray[Any], bool]:
    """Real numbers, those that are whole but for rounding as such, and whether all are."""
    whole = np.rint(values)
    most = min(abs(slope) / 2, _MOST_ROUNDING) + _FLOAT_ROUNDING * np.maximum(np.abs(whole), 1)
    is_near = np.abs(values - whole) <= most
    return np.where(is_near, whole, values), bool(is_near.all())


def _check_labels(counts: Mapping[float, int], is_tumor: NDArray[np.bool]) -> None:
    """Refuse a picture in a mask's place. counts: voxels of the values above 0. Raises ScanError `unreadable`."""
    tumor = int(np.count_nonzero(is_tumor))
    if len(counts) <= MOST_LABELS or tumor <= PICTURE_SHARE * is_tumor.size or max(counts.values()) > tumor / 2:
        return
    raise ScanError(
        "unreadable",
        f"The mask has more than {MOST_LABELS} different values over {tumor / is_tumor.size:.0%} of its volume and none"
        " that prevails, as an MR image has, or a map: it is no mask of a tumor; choose the file of labels, 0 for"
        " background.",
    )

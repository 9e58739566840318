"""The lesions of a stack: 26-connected components of its mask, the largest first.

Voxels that touch by a face, an edge or a corner are one lesion (26-connected). So many as `LISTED` are measured each;
of more, as a noisy map may have, only the number is told.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ml.head import head_mask
from ml.lesions.diameters import Diameters, Line, measure_diameters
from ml.masks import label_regions, window_of
from ml.volumes.grid import Affine

LISTED = 50
# Of a lesion's voxels on one side of the head, from which on it is called that side's.
SIDED_FROM = 0.9
# Slices in which the middle of the head is looked for, evenly spread over those with tumor.
_SLICES_OF_HEAD = 9
# Of the head's pixels, left out at either side where its middle is looked for: an ear, a cushion.
_OUTER_PERCENT = 0.5

# Voxels counted together.
_AT_ONCE = 2**20


class Side(StrEnum):
    """Where a lesion lies; of the patient's own left and right."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"


@dataclass(frozen=True)
class Lesion:
    """One lesion. Slices count from 0.

    largest_slice: where its area is largest, the first of equal ones; diameters are measured there, of its largest
    8-connected part. area_pixels: of all its parts there. center: of its voxels, (slice, row, column), at the centers
    of voxels. center_mm: (x, y, z), RAS; it and `side` are None where nobody says how the stack lies in the patient.
    """

    voxels: int
    first_slice: int
    last_slice: int
    largest_slice: int
    area_pixels: int
    diameters: Diameters
    center: tuple[float, float, float]
    center_mm: tuple[float, float, float] | None
    side: Side | None


@dataclass(frozen=True)
class Lesions:
    """count: of all; listed: the largest LISTED of them, by their voxels, the upper of equal ones first."""

    count: int
    listed: tuple[Lesion, ...]


@dataclass(frozen=True)
class Patient:
    """How a stack lies in its patient. affine: from (slice, row, column) to mm (RAS). middle_mm: the head's x."""

    affine: Affine
    middle_mm: float | None


def find_lesions(
    mask: NDArray[np.bool], row_distance: float = 1.0, column_distance: float = 1.0, patient: Patient | None = None
) -> Lesions:
    """The lesions of a mask, bool (N, H, W). Distances: of neighboring rows and columns, the unit of the diameters."""
    if not mask.any():
        return Lesions(0, ())
    box = window_of(mask)
    labels, count = label_regions(mask[box])
    sizes = _sizes_of(labels, count)
    order = np.argsort(-sizes, kind="stable")[:LISTED]
    rank = np.zeros(count + 1, np.uint8)
    rank[order + 1] = np.arange(1, len(order) + 1)
    ranked = rank[labels]
    del labels
    from scipy import ndimage  # loaded already, by label_regions

    first = tuple(item.start for item in box)
    listed = []
    for number, found in enumerate(ndimage.find_objects(ranked), 1):
        corner = tuple(part.start + start for part, start in zip(found, first, strict=True))
        listed.append(_measure(ranked[found] == number, corner, (row_distance, column_distance), patient))
    return Lesions(count, tuple(listed))


def _sizes_of(labels: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """Voxels of each region. labels: (N, H, W), 0 to count. In pieces: bincount makes 8 bytes of each voxel."""
    flat = labels.ravel()
    sizes = np.zeros(count + 1, np.int64)
    for start in range(0, flat.size, _AT_ONCE):
        sizes += np.bincount(flat[start : start + _AT_ONCE], minlength=count + 1)
    return sizes[1:]


def _measure(
    lesion: NDArray[np.bool], corner: tuple[int, ...], distances: tuple[float, float], patient: Patient | None
) -> Lesion:
    """lesion: bool (n, h, w), in its box. corner: the box's first voxel in the stack."""
    areas = np.count_nonzero(lesion, axis=(1, 2))  # (n,)
    largest = int(areas.argmax())
    slice_, row, column = _center_of(lesion, corner)
    plane = measure_diameters(lesion[largest], *distances)
    center_mm = side = None
    if patient is not None:
        affine = np.array(patient.affine)
        x, y, z = (float(value) for value in affine[:3, :3] @ (slice_, row, column) + affine[:3, 3])
        center_mm = (x, y, z)
        if patient.middle_mm is not None:
            side = _side_of(lesion, corner, affine[0] - (0.0, 0.0, 0.0, patient.middle_mm))
    return Lesion(
        voxels=int(areas.sum()),
        first_slice=corner[0],
        last_slice=corner[0] + len(areas) - 1,
        largest_slice=corner[0] + largest,
        area_pixels=int(areas[largest]),
        diameters=_moved(plane, corner[1], corner[2]),
        center=(slice_, row, column),
        center_mm=center_mm,
        side=side,
    )


def _moved(diameters: Diameters, rows: int, columns: int) -> Diameters:
    """In pixels of the whole slice."""

    def moved(line: Line) -> Line:
        (top, left), (bottom, right) = line.start, line.end
        return Line((top + rows, left + columns), (bottom + rows, right + columns), line.length)

    return Diameters(moved(diameters.longest), moved(diameters.perpendicular))


def _center_of(lesion: NDArray[np.bool], corner: tuple[int, ...]) -> tuple[float, float, float]:
    """The mean slice, row and column of its voxels, by sums along the axes: a list of them takes 24 bytes a voxel."""
    means = []
    for axis, others in enumerate(((1, 2), (0, 2), (0, 1))):
        counts = np.count_nonzero(lesion, axis=others)
        means.append(float(np.average(np.arange(len(counts)), weights=counts)) + corner[axis])
    return means[0], means[1], means[2]


def _side_of(lesion: NDArray[np.bool], corner: tuple[int, ...], row_of_x: NDArray[np.float64]) -> Side:
    """row_of_x: (4,), from (slice, row, column, 1) to mm to the right of the head's middle. Slice by slice."""
    voxels = right = 0.0
    for index, plane in enumerate(lesion):
        rows, columns = np.nonzero(plane)
        places = np.stack((np.full(len(rows), index), rows, columns)) + np.array(corner)[:, None]  # (3, voxels)
        x = row_of_x[:3] @ places + row_of_x[3]
        right += np.count_nonzero(x > 0) + np.count_nonzero(x == 0) / 2
        voxels += len(rows)
    share_right = right / voxels
    if share_right >= SIDED_FROM:
        return Side.RIGHT
    return Side.LEFT if share_right <= 1 - SIDED_FROM else Side.BOTH


def find_middle(pixels: NDArray[np.uint8], slices: NDArray[np.integer], affine: Affine) -> float | None:
    """The x in mm (RAS) of the middle between the head's left and right ends; None where no head is seen.

    pixels: the stack, uint8 (N, H, W, 3). slices: those in which it is looked for, of which some are taken.
    """
    if not len(slices):
        return None
    chosen = _spread(slices)
    # What is lit is told by the whole stack: on slices with a bright tumor alone, brain may look dark.
    seen = np.union1d(chosen, _spread(np.arange(len(pixels))))
    is_head = head_mask(np.stack([np.asarray(pixels[index]) for index in seen]))
    head = np.argwhere(is_head & np.isin(seen, chosen)[:, None, None])  # (pixels of the head, 3)
    if not len(head):
        return None
    head[:, 0] = seen[head[:, 0]]
    x = head @ np.array(affine)[0, :3] + affine[0][3]
    ends = np.percentile(x, [_OUTER_PERCENT, 100 - _OUTER_PERCENT])
    return float(ends.mean())


def _spread(slices: NDArray[np.integer]) -> NDArray[np.integer]:
    """Some of them, evenly spaced."""
    return np.unique(slices[np.linspace(0, len(slices) - 1, _SLICES_OF_HEAD).round().astype(int)])

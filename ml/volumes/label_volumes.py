"""An expert's mask of a volume, brought onto the axial stack of a scan by the affines of both: nearest neighbor.

No value is made up between two voxels of the mask. What the two files say of the patient's position is taken as it is:
a mask that lies elsewhere is told by how little of it is inside the scan, and is not moved.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.volumes.grid import Shape, VolumeGrid
from ml.volumes.planes import stack_affine

# Voxels of one lattice lie on each other to rounding of headers.
_SAME_VOXELS = 0.1
# Of a mask's tumor: experts draw inside of the scan, and the rest is rounding at its edges.
LEAST_SHARE_INSIDE = 0.9
# A place halfway between two voxels belongs to the lower one, so that rounding errors do not decide.
_TIE = 1e-6


@dataclass(frozen=True)
class LabelVolume:
    """Whether each voxel (i, j, k) is tumor.

    has_labels: whether the file's values are labels: no fractions, and no shades as interpolation leaves them.
    has_own_end: whether the grid ends where somebody has cropped, so that tumor may lie beyond; formats that store
    what is marked and leave the rest out (DICOM, named segments) end where their marks do.
    """

    grid: VolumeGrid
    is_tumor: NDArray[np.bool]
    has_labels: bool = True
    has_own_end: bool = False


def is_same_lattice(mask: VolumeGrid, scan: VolumeGrid) -> bool:
    """Whether the voxels of both are the same, whatever the order of their axes and wherever they end."""
    change = np.linalg.inv(mask.matrix) @ scan.matrix  # from the scan's indices to the mask's
    nearest = np.rint(change)
    steps = np.abs(nearest[:3, :3])
    if not ((steps.sum(axis=0) == 1).all() and (steps.sum(axis=1) == 1).all()):
        return False
    corners = np.array([(i, j, k, 1) for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * [
        *(size - 1 for size in scan.shape),
        1,
    ]
    return bool(np.abs((change - nearest) @ corners.T).max() < _SAME_VOXELS)


def share_inside(mask: LabelVolume, scan: VolumeGrid) -> float | None:
    """The part of the mask's tumor, 0 to 1, that lies in the scan's box; None of a mask without any."""
    change = np.linalg.inv(scan.matrix) @ mask.grid.matrix
    tumor = inside = 0
    for k in range(mask.grid.shape[2]):
        places = np.argwhere(mask.is_tumor[:, :, k])  # (voxels, 2)
        tumor += len(places)
        found = places @ change[:3, :2].T + change[:3, 2] * k + change[:3, 3]  # (voxels, 3)
        inside += int(((found >= -0.5 - _TIE) & (found <= np.array(scan.shape) - 0.5 + _TIE)).all(axis=1).sum())
    return inside / tumor if tumor else None


def is_cut_off(mask: LabelVolume, scan: VolumeGrid) -> bool:
    """Whether the mask's tumor reaches an end of its file within the scan, and so may go on behind it.

    A file that ends with its tumor on all sides was cropped to the tumor, and lacks nothing.
    """
    if not mask.has_own_end:
        return False
    change = np.linalg.inv(scan.matrix) @ mask.grid.matrix
    reached, within = [], []
    for axis, size in enumerate(mask.grid.shape):
        for last, beyond in ((0, -1), (size - 1, size)):
            reached.append(bool(mask.is_tumor.take(last, axis=axis).any()))
            middle = [(other - 1) / 2 for other in mask.grid.shape]
            middle[axis] = beyond
            place = (change @ [*middle, 1])[:3]
            within.append(bool(((place >= -0.5) & (place <= np.array(scan.shape) - 0.5)).all()))
    return not all(reached) and any(a and b for a, b in zip(reached, within, strict=True))


def covers_middle(mask: VolumeGrid, scan: VolumeGrid) -> bool:
    """Whether the middle of the scan's box lies in the mask's."""
    middle = np.linalg.inv(mask.matrix) @ scan.matrix @ [*((size - 1) / 2 for size in scan.shape), 1]
    return bool(((middle[:3] >= -0.5) & (middle[:3] <= np.array(mask.shape) - 0.5)).all())


def cut_labels(mask: LabelVolume, scan: VolumeGrid, shape: Shape) -> Iterator[NDArray[np.bool]]:
    """The mask on each slice of the scan's axial stack, bool (H, W). shape: of the stack. Outside of the mask's box
    nothing is tumor."""
    change = np.linalg.inv(mask.grid.matrix) @ np.array(stack_affine(scan, shape))  # from the stack to the mask
    rows, columns = np.arange(shape[1])[:, None], np.arange(shape[2])[None, :]
    for index in range(shape[0]):
        places = []
        is_inside = np.ones(shape[1:], np.bool)
        for axis, size in enumerate(mask.grid.shape):
            start = change[axis, 0] * index + change[axis, 3]
            place = np.ceil(start + change[axis, 1] * rows + change[axis, 2] * columns - 0.5 - _TIE).astype(np.intp)
            is_inside &= (place >= 0) & (place < size)
            places.append(place.clip(0, size - 1))
        yield mask.is_tumor[places[0], places[1], places[2]] & is_inside

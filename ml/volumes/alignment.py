"""One axial stack on another's grid: each voxel's place in mm says where in the other stack it lies.

Linear interpolation between the centers of voxels, as `ml.volumes.axial`; a place outside of the other's box (half a
voxel around its outermost centers) shows nothing of it. Nothing is registered: heads that moved between two series do
not lie on each other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.volumes.grid import Affine, Shape

# A place that misses a box by so little of a voxel is rounding.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Alignment:
    """From the (slice, row, column) of a target to those of a source, both axial stacks.

    matrix: float64 (3, 4). shape: of the source.
    """

    matrix: NDArray[np.float64]
    shape: Shape

    @classmethod
    def of(cls, target: Affine, source: Affine, shape: Shape) -> "Alignment":
        """target, source: affines of the stacks to mm (`ml.volumes.planes.stack_affine`); shape: of the source."""
        matrix = np.linalg.solve(np.asarray(source, np.float64), np.asarray(target, np.float64))
        return cls(matrix[:3], shape)

    def cut(
        self, source: NDArray[np.uint8], index: int, size: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool]]:
        """What of the source lies in one slice of the target, uint8 (H, W), and which pixels lie in the source's box,
        bool (H, W).

        source: uint8 (N, H, W). size: (H, W) of the target.
        """
        places = [self._places(axis, index, size) for axis in range(3)]
        is_inside = np.ones(size, np.bool)
        for place, count in zip(places, self.shape, strict=True):
            is_inside &= (place >= -0.5 - _ROUNDING) & (place <= count - 0.5 + _ROUNDING)
        plane = np.zeros(size, np.uint8)
        if is_inside.any():
            plane[is_inside] = _interpolate(source, [place[is_inside] for place in places])
        return plane, is_inside

    def covered_slices(self, count: int, size: tuple[int, int]) -> NDArray[np.float64]:
        """The share (0 to 1) of the pixels of each slice of the target that lie in the source's box, float64 (count,);
        every eighth row and column is asked."""
        shares = np.empty(count)
        rows, columns = (np.arange(0, side, 8, dtype=np.float64) for side in size)
        for index in range(count):
            is_inside = np.ones((len(rows), len(columns)), np.bool)
            for axis, length in enumerate(self.shape):
                a, b, c, d = self.matrix[axis]
                place = a * index + b * rows[:, None] + c * columns + d
                is_inside &= (place >= -0.5 - _ROUNDING) & (place <= length - 0.5 + _ROUNDING)
            shares[index] = is_inside.mean()
        return shares

    def _places(self, axis: int, index: int, size: tuple[int, int]) -> NDArray[np.float64]:
        """Of the pixels of a slice along one axis of the source, (H, W)."""
        a, b, c, d = self.matrix[axis]
        places: NDArray[np.float64] = a * index + b * np.arange(size[0])[:, None] + c * np.arange(size[1]) + d
        return places


def _interpolate(source: NDArray[np.uint8], places: list[NDArray[np.float64]]) -> NDArray[np.uint8]:
    """Values at (slice, row, column), float64 (n,) each; beyond the outermost centers they are repeated."""
    below, above, share = [], [], []
    for place, count in zip(places, source.shape, strict=True):
        clipped = np.clip(place, 0, count - 1)
        first = np.minimum(clipped.astype(np.intp), max(count - 2, 0))
        below.append(first)
        above.append(np.minimum(first + 1, count - 1))
        share.append((clipped - first).astype(np.float32))
    found = np.zeros(len(places[0]), np.float32)
    for corner in range(8):
        ends = [bool(corner >> axis & 1) for axis in range(3)]
        weight = np.ones_like(found)
        for axis, is_upper in enumerate(ends):
            weight *= share[axis] if is_upper else 1 - share[axis]
        if weight.any():
            at = tuple(above[axis] if is_upper else below[axis] for axis, is_upper in enumerate(ends))
            found += weight * source[at]
    return np.rint(found).astype(np.uint8)

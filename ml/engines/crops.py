"""The part of a slice that holds a brain: around it a scan is black, and a network need not be asked about that.

A crop has one of a few fixed sizes, so that an engine compiles each of them once. Never imports torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Grey levels of 255: what is nowhere brighter is background, noise and the blur of resampling included. The experts'
# tumours of the LGG data end 11 pixels or more inside the box of what is brighter (docs/models.md).
DARK = 24
# Pixels of the model's grid that are kept around the brain, where there are any.
MARGIN = 8
# Crops are made of squares of so many pixels and lie on their grid: a network's maps of 1/16 of the grid and less are
# those of the whole slice (ml.engines.cropped_graph).
STRIDE = 16
# Shares of the grid's height and width that spare most of the LGG data's pixels: 23 % with these four. Two more would
# spare 25 %, for half as much more of memory and of a worker's start.
_SHARES = ((10 / 16, 8 / 16), (12 / 16, 10 / 16), (15 / 16, 12 / 16), (16 / 16, 14 / 16))


@dataclass(frozen=True)
class Crop:
    """A rectangle of the model's grid, in its pixels; nothing outside it is brighter than DARK."""

    top: int
    left: int
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def of(self, grid: np.ndarray) -> np.ndarray:
        """The crop's part of an array (h, w, ...), a view."""
        return grid[self.top : self.top + self.height, self.left : self.left + self.width]


def sizes_of_crops(grid: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Height and width of the crops for a model's grid (height, width); none for one too small to gain by any."""
    rounded = ((_round_up(grid[0] * tall), _round_up(grid[1] * wide)) for tall, wide in _SHARES)
    return tuple(
        dict.fromkeys(
            size
            for size in rounded
            if size[0] <= grid[0] and size[1] <= grid[1] and size[0] * size[1] < grid[0] * grid[1]
        )
    )


def find_crop(grid: np.ndarray, sizes: Sequence[tuple[int, int]]) -> Crop:
    """The smallest of `sizes` around everything brighter than DARK and its margin, else the whole grid.

    grid: uint8 (h, w, C), a slice on the model's grid.
    """
    height, width = grid.shape[:2]
    whole = Crop(0, 0, height, width)
    if not sizes:
        return whole
    rows = np.flatnonzero(grid.reshape(height, -1).max(axis=1) > DARK)
    columns = np.flatnonzero((grid.max(axis=0) > DARK).any(axis=1))
    if not len(rows):
        return whole
    top, bottom = max(0, rows[0] - MARGIN), min(height, rows[-1] + 1 + MARGIN)
    left, right = max(0, columns[0] - MARGIN), min(width, columns[-1] + 1 + MARGIN)
    for tall, wide in sorted(sizes, key=lambda size: size[0] * size[1]):
        corner = _place(top, bottom, tall, height), _place(left, right, wide, width)
        if None not in corner:
            return Crop(*corner, tall, wide)
    return whole


def _place(start: int, end: int, length: int, available: int) -> int | None:
    """Where a stretch of `length` begins that has [start, end) near its middle and lies within [0, available).

    On a multiple of STRIDE; None where there is none.
    """
    first = max(0, -(-(end - length) // STRIDE))
    last = min(start, available - length) // STRIDE
    middle = round((start + end - length) / 2 / STRIDE)
    return STRIDE * int(min(max(first, middle), last)) if first <= last else None


def _round_up(side: float) -> int:
    return -(-int(np.ceil(side)) // STRIDE) * STRIDE

"""Crops to the brain: the black background around it needs no inference.

A crop has one of a few fixed sizes, so that an engine compiles each of them once. Never imports torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

# Gray level (0 to 255) up to which a pixel is background: noise and blur from resampling stay below it. In the LGG data
# the experts' tumor masks end at least 11 pixels inside the bounding box of the brighter pixels (docs/models.md).
DARK = 24
# Pixels of the model's grid kept around the brain, less where the image ends.
MARGIN = 8
# Sides and corners of crops are multiples of this, so that they fall on whole places of the coarse levels, which see
# the whole slice at 1/16 of the grid (ml.engines.cropped_graph).
STRIDE = 16
# Height and width as shares of the grid. On the LGG data these four sizes leave out 23 % of the pixels; two more would
# leave out 25 %, but take half as much again of memory and of a worker's start.
_SHARES = ((10 / 16, 8 / 16), (12 / 16, 10 / 16), (15 / 16, 12 / 16), (16 / 16, 14 / 16))


@dataclass(frozen=True)
class Crop:
    """A rectangle of the model's grid, in pixels; no pixel outside it is brighter than DARK."""

    top: int
    left: int
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def of(self, grid: NDArray[T]) -> NDArray[T]:
        """The crop's part of an array (h, w, ...): a view (height, width, ...)."""
        return grid[self.top : self.top + self.height, self.left : self.left + self.width]


def sizes_of_crops(grid: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Height and width of the crops for a model's grid (height, width); none where no crop would be smaller."""
    rounded = ((_round_up(grid[0] * tall), _round_up(grid[1] * wide)) for tall, wide in _SHARES)
    return tuple(
        dict.fromkeys(
            size
            for size in rounded
            if size[0] <= grid[0] and size[1] <= grid[1] and size[0] * size[1] < grid[0] * grid[1]
        )
    )


def find_crop(grid: NDArray[np.uint8], sizes: Sequence[tuple[int, int]]) -> Crop:
    """The smallest of `sizes` that holds every pixel brighter than DARK with a margin, else the whole grid.

    grid: uint8 (h, w, C), a slice on the model's grid.
    """
    height, width = grid.shape[:2]
    whole = Crop(0, 0, height, width)
    if not sizes:
        return whole
    rows = np.flatnonzero(grid.reshape(height, -1).max(axis=1) > DARK)  # (h, w * C) -> (h,)
    columns = np.flatnonzero((grid.max(axis=0) > DARK).any(axis=1))  # (w, C) -> (w,)
    if not len(rows):
        return whole
    top, bottom = max(0, int(rows[0]) - MARGIN), min(height, int(rows[-1]) + 1 + MARGIN)
    left, right = max(0, int(columns[0]) - MARGIN), min(width, int(columns[-1]) + 1 + MARGIN)
    for tall, wide in sorted(sizes, key=lambda size: size[0] * size[1]):
        first_row, first_column = _place(top, bottom, tall, height), _place(left, right, wide, width)
        if first_row is not None and first_column is not None:
            return Crop(first_row, first_column, tall, wide)
    return whole


def _place(start: int, end: int, length: int, available: int) -> int | None:
    """The start of an interval of `length` within [0, available) that holds [start, end), as centered as possible.

    A multiple of STRIDE; None where no such interval exists.
    """
    first = max(0, -(-(end - length) // STRIDE))
    last = min(start, available - length) // STRIDE
    middle = round((start + end - length) / 2 / STRIDE)
    return STRIDE * min(max(first, middle), last) if first <= last else None


def _round_up(side: float) -> int:
    return -(-int(np.ceil(side)) // STRIDE) * STRIDE

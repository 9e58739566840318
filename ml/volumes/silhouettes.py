"""The outline of a head on a slice, and how far two series show one head in one place. No SciPy: web processes ask."""

import numpy as np
from numpy.typing import NDArray

# Stacks of volumes have the head's median at 60 (`ml.scans.readers.head_window`), or below where a tumor is bright: air
# is darker than this.
LIT = 10


def enclosed(is_lit: NDArray[np.bool]) -> NDArray[np.bool]:
    """Which pixels have a lit one above, below, left and right of them, or are lit at an end. bool (H, W), both."""
    upright = np.ascontiguousarray(is_lit.T)  # searching along rows is several times as fast
    within: NDArray[np.bool] = _between_ends(is_lit) & _between_ends(upright).T
    return within


def _between_ends(is_lit: NDArray[np.bool]) -> NDArray[np.bool]:
    """From the first lit pixel of each row to its last, both included. bool (H, W), both."""
    width = is_lit.shape[1]
    first, last = is_lit.argmax(axis=1), width - 1 - is_lit[:, ::-1].argmax(axis=1)
    first[~is_lit.any(axis=1)] = width  # a row without a lit pixel
    columns = np.arange(width)
    between: NDArray[np.bool] = (columns >= first[:, None]) & (columns <= last[:, None])
    return between


class HeadOverlap:
    """Dice of the heads of two series on one grid, added up slice by slice."""

    def __init__(self) -> None:
        self._both = self._sum = 0

    def add(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> None:
        """A slice of each, uint8 (H, W)."""
        one, other = enclosed(first > LIT), enclosed(second > LIT)
        self._both += int(np.count_nonzero(one & other))
        self._sum += int(np.count_nonzero(one)) + int(np.count_nonzero(other))

    @property
    def dice(self) -> float | None:
        """None where no slice shows a head."""
        return 2 * self._both / self._sum if self._sum else None

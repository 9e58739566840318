"""The orientation tag (TIFF and EXIF 274): turns pixels as the file wants them shown."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Sample = TypeVar("Sample", bound=np.generic)

# TIFF 6.0, page 36: which edge of the picture row 0 and column 0 are.
TAG = 274
_UPRIGHT = 1


def known(value: object) -> int:
    """The tag's value, 1 (upright) where it is none of 1 to 8, as every viewer takes it."""
    return value if isinstance(value, int) and _UPRIGHT < value <= 8 else _UPRIGHT


def orient(page: NDArray[Sample], orientation: int) -> NDArray[Sample]:
    """Turn or mirror (H, W) or (H, W, C). orientation: 1 to 8."""
    if orientation == _UPRIGHT:
        return page
    if swaps_sides(orientation):
        page = page.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        page = page[::-1]
    if orientation in (2, 3, 6, 7):
        page = page[:, ::-1]
    return np.ascontiguousarray(page)


def swaps_sides(orientation: int) -> bool:
    """Whether rows become columns."""
    return 5 <= orientation <= 8

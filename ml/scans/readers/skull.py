"""Was the skull taken off a volume? Research data (BraTS) come so, with exact zeros around the brain.

Along the rows of slices in the middle of the stack: a head begins with bright scalp, then comes the dark skull, then
the brain. Where the skull is gone the brain itself is the edge, and nothing dark lies between. And what lies outside is
0 to the last voxel, which air of a scanner hardly is; so both are asked for.
"""

import numpy as np
from numpy.typing import NDArray

_SLICES = 9
# Of a slice's bright pixels (95th percentile): above it a pixel is lit, as in `ml.head`.
_LIT_SHARE, _BLACK = 0.12, 2
# Rows of the head's height that are looked at, and the depths of scalp and skull as shares of a row's lit width.
_ROWS = (0.3, 0.7)
_SCALP, _SKULL = 0.05, 0.16
_FEWEST_PIXELS = 24  # of a row's lit width
# The darkest depth beside the brightest outer one: 0.93 to 1 in four volumes without a skull, 0.22 in the median of 88
# stacks with one. All of those, and ten other heads, have at most 0.94 of zeros outside; the four at least 0.999.
_LEAST_SHARE = 0.75
_LEAST_ZEROS = 0.99


def is_skull_stripped(stack: NDArray[np.uint8]) -> bool:
    """Whether a stack of axial slices shows a brain alone. stack: uint8 (N, H, W, 3), gray in the first channel."""
    count = len(stack)
    profiles: list[NDArray[np.float64]] = []
    zeros = outside = 0
    for index in np.unique(np.linspace(count * 0.3, count * 0.7, _SLICES).astype(int)):
        plane = stack[min(index, count - 1), ..., 0]
        bright = plane[plane > _BLACK]
        if len(bright) < _FEWEST_PIXELS**2:
            continue
        is_lit = plane > max(_BLACK, _LIT_SHARE * float(np.percentile(bright, 95)))
        rows = np.flatnonzero(is_lit.sum(axis=1) >= _FEWEST_PIXELS)
        if not len(rows):
            continue
        low, high = (int(rows[0] + share * (rows[-1] - rows[0])) for share in _ROWS)
        for row in rows[(rows >= low) & (rows <= high)]:
            lit = np.flatnonzero(is_lit[row])
            first, last = int(lit[0]), int(lit[-1])
            beyond = np.concatenate((plane[row, : max(first - 3, 0)], plane[row, last + 4 :]))
            zeros += int((beyond == 0).sum())
            outside += len(beyond)
            places = np.linspace(0, _SKULL, 17) * (last - first)
            inward = plane[row, first + places.astype(int)].astype(np.float64)
            profiles += [inward, plane[row, last - places.astype(int)].astype(np.float64)]
    if not profiles or not outside or zeros < _LEAST_ZEROS * outside:
        return False
    profile = np.median(profiles, axis=0)  # (17,), from the edge inward
    outer = 1 + int(16 * _SCALP / _SKULL)
    peak = int(profile[:outer].argmax())
    return bool(profile[peak:].min() >= _LEAST_SHARE * profile[peak])

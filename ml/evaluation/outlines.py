"""A slice's two masks on a small grid: enough to see whether they would agree better another way round."""

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# The longest side of the grid. Of 256 pixels, one of the grid is 4 x 4.
_GRID = 64


@dataclass(frozen=True)
class Outlines:
    """truth, mask: bool (h, w), the expert's and the model's; is_square: whether the slice itself was."""

    truth: NDArray[np.bool]
    mask: NDArray[np.bool]
    is_square: bool


def pack_outlines(truth: NDArray[np.bool], mask: NDArray[np.bool]) -> bytes:
    """Both masks, bool (H, W), on the small grid, in tens of bytes: a part of it counts where half of its pixels do."""
    small = [_reduce(truth), _reduce(mask)]
    height, width = small[0].shape
    is_square = truth.shape[0] == truth.shape[1]
    return bytes([height, width, is_square]) + zlib.compress(np.packbits(np.stack(small)).tobytes())


# Neighbors are looked at several times, and all slices of a data set at once would take gigabytes.
@lru_cache(maxsize=256)
def unpack_outlines(packed: bytes) -> Outlines:
    """What `pack_outlines` made."""
    height, width, is_square = packed[:3]
    bits = np.unpackbits(np.frombuffer(zlib.decompress(packed[3:]), np.uint8), count=2 * height * width)
    truth, mask = bits.view(np.bool).reshape(2, height, width)
    return Outlines(truth, mask, bool(is_square))


def _reduce(mask: NDArray[np.bool]) -> NDArray[np.bool]:
    """bool (H, W) -> (h, w), neither above the grid's side."""
    edges = [np.linspace(0, side, min(side, _GRID) + 1).astype(int) for side in mask.shape]
    if not mask.any():
        return np.zeros([len(edge) - 1 for edge in edges], np.bool)
    rows = np.add.reduceat(mask.astype(np.int32), edges[0][:-1], axis=0)  # (h, W)
    counts = np.add.reduceat(rows, edges[1][:-1], axis=1)  # (h, w)
    areas = np.outer(np.diff(edges[0]), np.diff(edges[1]))
    found: NDArray[np.bool] = 2 * counts >= areas
    return found

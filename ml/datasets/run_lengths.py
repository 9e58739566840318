"""Run-length masks of COCO, as lists of counts or as its text code (cocoapi, common/maskApi.c, `rleFrString`).

Read here, and by pycocotools in the tests alone: of a code that is cut off pycocotools gives whatever lay in memory,
and reads on behind its end.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

# Counts of runs in turn background and tumor, down the columns, in decimals: "12 10 22 ...".
Runs = str
_MOST_DIGITS = 6  # of five bits: more than the pixels of any slice


def read_runs(segmentation: Mapping[str, object], grid: tuple[int, int]) -> Runs:
    """The runs of {"counts", "size"} on a grid of (height, width). Raises ValueError that says what is wrong."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    pixels = grid[0] * grid[1]
    if size is not None and size != list(grid):
        raise ValueError(f"a run-length mask of the size {str(size)[:40]} on an image of {list(grid)}")
    if isinstance(counts, str):
        found = _decode(counts)
    elif isinstance(counts, list) and counts and all(type(count) is int and 0 <= count <= pixels for count in counts):
        found = np.array(counts, dtype=np.int64)
    else:
        raise ValueError("a run-length mask without counts")
    if found.min() < 0 or found.sum() != pixels:
        raise ValueError(f"a run-length mask of {int(found.sum()):,} pixels on an image of {pixels:,}")
    return " ".join(map(str, found.tolist()))


def draw_runs(runs: Runs, grid: tuple[int, int]) -> NDArray[np.bool]:
    """The mask, bool (H, W). Raises ValueError where the runs are not of this grid."""
    counts = np.array(runs.split(), dtype=np.int64)
    if counts.sum() != grid[0] * grid[1] or counts.min() < 0:
        raise ValueError("the runs are of another grid")
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(grid, order="F")  # (H * W,) -> (H, W)


def runs_of(mask: NDArray[np.bool]) -> list[int]:
    """The counts of a mask (H, W), in turn background and tumor, down the columns."""
    values = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(values)) + 1
    counts: list[int] = np.diff([0, *ends, values.size]).tolist()
    return [0, *counts] if values[0] else counts


def _decode(text: str) -> NDArray[np.int64]:
    """Counts of the text code: groups of five bits, the lowest first, each but the last with a sixth bit set.

    From the fourth on a count is the difference to the one two places before.
    """
    codes = np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8).astype(np.int64) - 48
    if codes.size == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("a run-length mask whose code is damaged or cut off")
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.concatenate(([0], ends[:-1] + 1))
    digits = ends - starts + 1
    if digits.max() > _MOST_DIGITS:
        raise ValueError("a run-length mask whose code is damaged")
    place = np.arange(len(codes)) - np.repeat(starts, digits)
    values: NDArray[np.int64] = np.add.reduceat((codes & 31) << (5 * place), starts)
    values -= np.where(codes[ends] & 16, np.left_shift(1, 5 * digits), 0)  # the highest bit is the sign
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values

"""The longest diameter of a lesion on a slice, and the longest one perpendicular to it.

Bidimensional measures as in the criteria of Response Assessment in Neuro-Oncology (Wen et al., J Clin Oncol 28:1963,
2010; Wen et al., J Clin Oncol 41:5187, 2023), which name the two and leave open how pixels are counted. Here:

- A pixel is a rectangle of row_mm x column_mm, and the lesion is the union of its pixels with the holes in it: a rim
  around a necrosis is measured across.
- The diameter is the largest distance between two points of that outline, which are corners of pixels. It may cross a
  notch of the outline, as calipers do.
- The perpendicular is the longest straight line at a right angle to it that lies within the lesion.
- Of several diameters of one length that with the longest perpendicular counts.

So one pixel of 1 mm has 1.41 mm by 1.41 mm, its diagonals.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.masks import label_regions

# Row and column, in pixels from the outer corner of the first: pixel (r, c) reaches from (r, c) to (r + 1, c + 1).
Point = tuple[float, float]

# Of pixels: lines run this far beside the corners that they are sought at, where each pixel is inside or outside.
_BESIDE = 1e-7
# Of the length: diameters that differ by less are equal.
_EQUAL = 1e-9
# Diameters of one length whose perpendiculars are compared: a disc of pixels has four.
_MOST_EQUAL = 4
# Crossings of lines and pixels that are looked at for a perpendicular: a lesion of 200 x 200 pixels has as many. Of
# outlines with more corners every second, third, ... line is looked at.
_MOST_CROSSINGS = 2**19


@dataclass(frozen=True)
class Line:
    """A straight line on a slice. length: in the unit of the distances given."""

    start: Point
    end: Point
    length: float


@dataclass(frozen=True)
class Diameters:
    """The longest diameter of a lesion on a slice, and the longest perpendicular to it."""

    longest: Line
    perpendicular: Line

    @property
    def product(self) -> float:
        """Of the two, as response criteria use it."""
        return self.longest.length * self.perpendicular.length


def measure_diameters(mask: NDArray[np.bool], row_distance: float = 1.0, column_distance: float = 1.0) -> Diameters:
    """Of the largest 8-connected part of a slice's mask, bool (H, W).

    row_distance, column_distance: between the centers of neighboring rows and columns. Raises ValueError where the mask
    is empty.
    """
    labels, count = label_regions(mask)
    if not count:
        raise ValueError("The mask is empty; it has no diameter.")
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    part = labels == sizes.argmax()
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    part = _filled(part[top : rows[-1] + 1, left : columns[-1] + 1])
    unit = np.array([row_distance, column_distance], np.float64)
    corners = _corners(part) * unit
    found = [Diameters(line, _longest_across(part, corners, unit, line)) for line in _longest(_hull(part, unit))]
    best = max(found, key=lambda item: round(item.perpendicular.length, 9))
    return Diameters(*(_on_slice(line, unit, top, left) for line in (best.longest, best.perpendicular)))


def _on_slice(line: Line, unit: NDArray[np.float64], top: int, left: int) -> Line:
    """A line in mm of the part, in pixels of the slice."""
    start, end = (
        (float(row / unit[0]) + top, float(column / unit[1]) + left) for row, column in (line.start, line.end)
    )
    return Line(start, end, line.length)


def _filled(part: NDArray[np.bool]) -> NDArray[np.bool]:
    """With what it encloses: what is not 4-connected to the outside. bool (H, W), both."""
    from scipy import ndimage

    outside, _ = ndimage.label(np.pad(~part, 1, constant_values=True))
    filled: NDArray[np.bool] = (outside != outside[0, 0])[1:-1, 1:-1]
    return filled


def _corners(part: NDArray[np.bool]) -> NDArray[np.float64]:
    """Where the outline turns, (corners, 2)."""
    padded = np.pad(part, 1)
    around = np.stack([padded[:-1, :-1], padded[:-1, 1:], padded[1:, 1:], padded[1:, :-1]]).view(np.uint8)
    inside = around.sum(axis=0)
    is_turn = (inside == 1) | (inside == 3) | ((inside == 2) & (around[0] == around[2]))  # the last: two on a diagonal
    return np.argwhere(is_turn).astype(np.float64)


def _hull(part: NDArray[np.bool], unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners of the convex hull, (corners, 2), by Andrew's monotone chain (Inf Process Lett 9:216, 1979)."""
    height, width = part.shape
    first = part.argmax(axis=1)
    last = width - part[:, ::-1].argmax(axis=1)
    has_any = part.any(axis=1)
    left, right = np.full(height + 1, width), np.zeros(height + 1, int)
    for shift in (0, 1):  # a corner belongs to the rows above and below it
        place = np.flatnonzero(has_any) + shift
        left[place] = np.minimum(left[place], first[has_any])
        right[place] = np.maximum(right[place], last[has_any])
    rows = np.flatnonzero(right > 0)
    down = _chain([(int(row), int(left[row])) for row in rows])
    up = _chain([(int(row), int(right[row])) for row in rows[::-1]])
    return np.array(down + up, np.float64) * unit


def _chain(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those of the points, in the order of their rows, that are corners of the hull on this side."""
    kept: list[tuple[int, int]] = []
    for point in points:
        while len(kept) > 1 and _turn(kept[-2], kept[-1], point) <= 0:
            kept.pop()
        kept.append(point)
    return kept


def _turn(first: tuple[int, int], second: tuple[int, int], third: tuple[int, int]) -> int:
    """Above 0 where the way turns to the hull's inside."""
    (r0, c0), (r1, c1), (r2, c2) = first, second, third
    return (r1 - r0) * (c2 - c0) - (c1 - c0) * (r2 - r0)


def _longest(corners: NDArray[np.float64]) -> list[Line]:
    """The lines between two of the corners that are as long as any."""
    offsets = corners[:, None] - corners[None]  # (corners, corners, 2)
    lengths = np.hypot(offsets[..., 0], offsets[..., 1])
    longest = float(lengths.max())
    pairs = np.argwhere(np.triu(lengths >= longest * (1 - _EQUAL)))[:_MOST_EQUAL]
    return [Line(tuple(corners[i].tolist()), tuple(corners[j].tolist()), longest) for i, j in pairs]


def _longest_across(
    part: NDArray[np.bool], corners: NDArray[np.float64], unit: NDArray[np.float64], line: Line
) -> Line:
    """The longest line within the part at a right angle to another.

    How long such a line is, changes evenly between two corners of the outline; so it is looked for beside corners.
    """
    along = (np.array(line.end) - np.array(line.start)) / line.length
    across = np.array([-along[1], along[0]])
    places = np.unique(np.round(corners @ along, 9))
    beside = _BESIDE * float(unit.min())
    places = np.concatenate([places - beside, places + beside])
    step = max(1, -(-places.size * sum(part.shape) // _MOST_CROSSINGS))
    places = np.sort(places)[::step]

    # Along each line, where it crosses the borders of rows and columns; (lines, crossings)
    crossings = []
    for axis, size in enumerate(part.shape):
        if abs(across[axis]) > 1e-12:
            borders = np.arange(size + 1) * unit[axis]
            crossings.append((borders[None] - places[:, None] * along[axis]) / across[axis])
    at = np.sort(np.concatenate(crossings, axis=1), axis=1)
    lengths = np.diff(at, axis=1)
    middle = (at[:, 1:] + at[:, :-1]) / 2
    row, column = (
        np.floor((places[:, None] * along[axis] + middle * across[axis]) / unit[axis]).astype(np.int64)
        for axis in (0, 1)
    )
    is_there = (row >= 0) & (row < part.shape[0]) & (column >= 0) & (column < part.shape[1])
    is_inside = np.zeros(row.shape, bool)
    is_inside[is_there] = part[row[is_there], column[is_there]]
    # Where a row's and a column's border are crossed at once, nothing lies between.
    is_nothing = lengths < 1e-9
    is_inside[:, 1:] |= is_nothing[:, 1:] & is_inside[:, :-1]

    # The length so far of the run within the part, at the end of each piece
    total = np.cumsum(np.where(is_inside, lengths, 0), axis=1)
    before = np.maximum.accumulate(np.where(is_inside, 0, total), axis=1)
    runs = np.where(is_inside, total - before, 0)
    which, piece = np.unravel_index(int(runs.argmax()), runs.shape)
    length = float(runs[which, piece])
    end = places[which] * along + at[which, piece + 1] * across
    start = end - length * across
    return Line(tuple(start.tolist()), tuple(end.tolist()), length)

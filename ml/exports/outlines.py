"""The outlines of a mask along the edges of its pixels, so that filling them gives the very mask again."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

Point = tuple[int, int]


def outlines(mask: NDArray[np.bool]) -> list[NDArray[np.float64]]:
    """Closed polygons around a mask and around its holes; points inside an odd number of them are in the mask.

    mask: (row, column). Each polygon: (n, 2), row and column of corners; the center of pixel (r, c) is at (r, c). The
    mask lies at the right hand of whoever walks along it with rows growing downward.
    """
    ways = _edges(np.pad(mask, 1))
    found = []
    for start in list(ways):
        while start in ways:
            # Padding moved corners by 1; corner (r, c) is half a pixel before the center of pixel (r, c).
            found.append(np.array(_without_straight(_walk(ways, start)), np.float64) - 1.5)
    return found


def _walk(ways: dict[Point, list[Point]], start: Point) -> list[Point]:
    """One closed way of those left, which it takes out."""
    loop, here, before = [start], start, None
    while True:
        ends = ways[here]
        after = ends.pop(_straightest(here, before, ends))
        if not ends:
            del ways[here]
        if after == start:
            return loop
        loop.append(after)
        here, before = after, here


def is_hole(polygon: NDArray[np.float64]) -> bool:
    """Whether a polygon of `outlines` runs around a hole."""
    rows, columns = polygon.T
    return bool(np.sum(rows * np.roll(columns, -1) - columns * np.roll(rows, -1)) > 0)


def _edges(mask: NDArray[np.bool]) -> dict[Point, list[Point]]:
    """The edges between mask and background, from corner to corner. mask: with a rim of background."""
    ways: dict[Point, list[Point]] = defaultdict(list)
    # What lies above, right, below, left of a pixel: the edge's two ends, clockwise around the pixel.
    sides = {(-1, 0): ((0, 0), (0, 1)), (0, 1): ((0, 1), (1, 1)), (1, 0): ((1, 1), (1, 0)), (0, -1): ((1, 0), (0, 0))}
    for shift, (first, last) in sides.items():
        neighbors = np.roll(mask, (-shift[0], -shift[1]), axis=(0, 1))
        for row, column in np.argwhere(mask & ~neighbors).tolist():
            ways[row + first[0], column + first[1]].append((row + last[0], column + last[1]))
    return ways


def _straightest(here: Point, before: Point | None, ends: list[Point]) -> int:
    """Which end to go to where two pixels touch by a corner: to the right, around the pixel that one comes along."""
    if before is None or len(ends) == 1:
        return 0
    down, right = here[0] - before[0], here[1] - before[1]
    turned = (here[0] + right, here[1] - down)
    return ends.index(turned) if turned in ends else 0


def _without_straight(loop: list[Point]) -> list[Point]:
    """A loop without corners that lie on a straight line."""
    return [
        here
        for before, here, after in zip([loop[-1], *loop[:-1]], loop, [*loop[1:], loop[0]], strict=True)
        if (here[0] - before[0], here[1] - before[1]) != (after[0] - here[0], after[1] - here[1])
    ]

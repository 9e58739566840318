"""Closed polygons filled by the centers of pixels (even-odd). A center on a polygon's own path counts as in it."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# Of a pixel: coordinates are rounded to 0.01 mm and worse.
ON_PATH = 0.02
# Crossings of edges and rows that are in memory together.
_AT_ONCE = 2**20

Ends = tuple[NDArray[np.float64], NDArray[np.float64]]


def count_crossings(points: NDArray[np.float64], rows: int) -> int:
    """How many rows of a picture a polygon's edges cross together: what filling it costs. points: (n, 2), row first."""
    here = np.clip(points[:, 0], -1.0, rows)
    return int(np.abs(np.diff(here, append=here[:1])).sum()) + len(points)


def fill(points: NDArray[np.float64], shape: tuple[int, int]) -> tuple[NDArray[np.bool], NDArray[np.bool]]:
    """Pixels whose centers have an odd number of edges at their left, and those on an edge; both bool (rows, columns).

    points: (n, 2), row and column, the center of pixel (r, c) at (r, c); the last is joined to the first. What lies
    outside of the picture is cut off. Only the two together are right at the edges.
    """
    rows, columns = shape
    turns = np.zeros((rows, columns + 1), np.int32)
    is_on_path = np.zeros(shape, np.bool)
    starts, ends = points, np.roll(points, -1, axis=0)
    for row, across, is_half_open in _crossings(starts, ends, rows):
        behind = np.ceil(across[is_half_open]).clip(0, columns).astype(np.intp)
        np.add.at(turns, (row[is_half_open], behind), 1)
        nearest = np.rint(across)
        is_near = (np.abs(across - nearest) <= ON_PATH) & (nearest >= 0) & (nearest < columns)
        is_on_path[row[is_near], nearest[is_near].astype(np.intp)] = True
    _mark_level_edges(starts, ends, is_on_path)
    is_inside: NDArray[np.bool] = turns.cumsum(axis=1)[:, :columns] % 2 == 1
    return is_inside, is_on_path


def _crossings(
    starts: NDArray[np.float64], ends: NDArray[np.float64], rows: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.bool]]]:
    """Rows, the columns where edges cross them, and whether the row lies in the edge's half-open span: each corner
    counts for one of its two edges."""
    low, high = np.minimum(starts[:, 0], ends[:, 0]), np.maximum(starts[:, 0], ends[:, 0])
    first = np.ceil(low - ON_PATH).clip(0, rows).astype(np.intp)
    counts = (np.floor(high + ON_PATH).clip(-1, rows - 1).astype(np.intp) - first + 1).clip(0)
    counts[high - low < ON_PATH] = counts[high - low < ON_PATH].clip(0, 1)
    done = np.cumsum(counts)
    for part in np.split(np.arange(len(counts)), np.flatnonzero(np.diff(done // _AT_ONCE)) + 1):
        of_part = counts[part]
        edge = np.repeat(part, of_part)
        within = np.arange(len(edge)) - np.repeat(np.cumsum(of_part) - of_part, of_part)
        row = first[edge] + within
        height = ends[edge, 0] - starts[edge, 0]
        share = np.divide(row - starts[edge, 0], height, out=np.zeros(len(edge)), where=height != 0).clip(0, 1)
        across = starts[edge, 1] + share * (ends[edge, 1] - starts[edge, 1])
        yield row, across, (low[edge] <= row) & (row < high[edge])


def _mark_level_edges(starts: NDArray[np.float64], ends: NDArray[np.float64], is_on_path: NDArray[np.bool]) -> None:
    """Centers on edges that run along a row."""
    rows, columns = is_on_path.shape
    row = np.rint(starts[:, 0])
    is_level = (np.abs(starts[:, 0] - row) <= ON_PATH) & (np.abs(ends[:, 0] - row) <= ON_PATH)
    is_level &= (row >= 0) & (row < rows)
    spans = np.zeros((rows, columns + 1), np.int32)
    left = np.minimum(starts[:, 1], ends[:, 1])[is_level] - ON_PATH
    right = np.maximum(starts[:, 1], ends[:, 1])[is_level] + ON_PATH
    at = row[is_level].astype(np.intp)
    begin, stop = np.ceil(left).clip(0, columns).astype(np.intp), (np.floor(right) + 1).clip(0, columns).astype(np.intp)
    is_some = stop > begin
    np.add.at(spans, (at[is_some], begin[is_some]), 1)
    np.add.at(spans, (at[is_some], stop[is_some]), -1)
    is_on_path |= spans.cumsum(axis=1)[:, :columns] > 0

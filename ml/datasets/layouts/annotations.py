"""One annotation of COCO (https://cocodataset.org/#format-data): its polygons or its run-length mask, or why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from ml.datasets.case import Outline
from ml.datasets.run_lengths import Runs, read_runs

# An object of the JSON file, whose fields are checked one by one.
Entry = Mapping[str, object]
Grid = tuple[int, int]  # (height, width)

# Exporters round outwards: so far a corner may lie outside without a word.
_TOLERANCE_PIXELS = 1.0


class UnreadableAnnotationError(Exception):
    """No part of the annotation can be trusted; the message goes on "the annotation has ..."."""


@dataclass(frozen=True)
class Drawing:
    """What an annotation draws. has_stray: a piece of one or two points, which has no area, is left out.

    outside: by how many pixels its farthest corner lies outside the image, where it is clipped; 0 where it does not.
    """

    outlines: tuple[Outline, ...] = ()
    runs: tuple[Runs, ...] = ()
    has_stray: bool = False
    outside: float = 0.0


def read_annotation(entry: Entry, grid: Grid) -> Drawing:
    """Its drawing on the image's grid; `iscrowd` only says which of the two forms it has. Raises
    UnreadableAnnotationError."""
    segmentation = entry.get("segmentation")
    if not segmentation:
        what = "a box alone and no outline" if entry.get("bbox") else "no outline"
        raise UnreadableAnnotationError(what)
    if isinstance(segmentation, dict):
        return Drawing(runs=(_runs(segmentation, grid),))
    if not isinstance(segmentation, list):
        raise UnreadableAnnotationError("an outline that is neither a list of polygons nor a run-length mask")
    pieces = [segmentation] if _is_number(segmentation[0]) else segmentation  # one polygon without its list
    runs = tuple(_runs(piece, grid) for piece in pieces if isinstance(piece, dict))
    polygons = [_points(piece) for piece in pieces if not isinstance(piece, dict)]
    outlines = tuple(polygon for polygon in polygons if len(polygon) >= 6)
    if not outlines and not runs:
        raise UnreadableAnnotationError("no polygon of three points or more")
    outside = max((_outside(polygon, grid) for polygon in outlines), default=0.0)
    return Drawing(outlines, runs, len(outlines) < len(polygons), outside if outside > _TOLERANCE_PIXELS else 0.0)


def _runs(segmentation: Mapping[str, object], grid: Grid) -> Runs:
    try:
        return read_runs(segmentation, grid)
    except ValueError as error:
        raise UnreadableAnnotationError(str(error)) from error


def _points(piece: object) -> Outline:
    """x0, y0, x1, y1, ... of one polygon, also of one without area."""
    if not isinstance(piece, list) or len(piece) % 2 or not all(_is_number(value) for value in piece):
        raise UnreadableAnnotationError("a polygon that is not a list of pairs of numbers")
    return tuple(float(value) for value in piece)


def _outside(polygon: Outline, grid: Grid) -> float:
    """How far it leaves the image, in pixels."""
    height, width = grid
    xs, ys = polygon[::2], polygon[1::2]
    if max(xs) <= 0 or max(ys) <= 0 or min(xs) >= width or min(ys) >= height:
        raise UnreadableAnnotationError("a polygon that lies outside the image")
    outside = max(-min(xs), -min(ys), max(xs) - width, max(ys) - height, 0.0)
    if outside > max(grid):
        raise UnreadableAnnotationError(f"a polygon that leaves the image by {outside:.4g} pixels")
    return outside


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)

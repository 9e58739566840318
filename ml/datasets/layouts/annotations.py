"""One annotation of COCO (https://cocodataset.org/#format-data): its polygons or its run-length mask, or why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, isfinite

from ml.datasets.case import Outline
from ml.datasets.run_lengths import Runs, read_runs

# An object of the JSON file, whose fields are checked one by one.
Entry = Mapping[str, object]
Grid = tuple[int, int]  # (height, width)

# Exporters round outwards: so far a corner may lie outside without a word.
_TOLERANCE_PIXELS = 1.0
# Points that lie nearer to one line than this have no area: coordinates are rounded.
_NARROWEST_PIXELS = 0.01


class UnreadableAnnotationError(Exception):
    """No part of the annotation can be trusted; the message goes on "the annotation has ..."."""


@dataclass(frozen=True)
class Drawing:
    """What an annotation draws. has_stray: a piece without area (points, or all on one line) is left out.

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
    outlines = tuple(polygon for polygon in polygons if _has_area(polygon))
    if not outlines and not runs:
        raise UnreadableAnnotationError("no polygon of three points or more with an area")
    if any(max(outline) <= 1 < min(grid) for outline in outlines):
        raise UnreadableAnnotationError("corners between 0 and 1, as fractions of the image and not pixels")
    outside = max((_outside(polygon, grid) for polygon in outlines), default=0.0)
    return Drawing(outlines, runs, len(outlines) < len(polygons), outside if outside > _TOLERANCE_PIXELS else 0.0)


def _runs(segmentation: Mapping[str, object], grid: Grid) -> Runs:
    try:
        runs = read_runs(segmentation, grid)
    except ValueError as error:
        raise UnreadableAnnotationError(str(error)) from error
    if not any(map(int, runs.split()[1::2])):  # background and tumor by turns
        raise UnreadableAnnotationError("a run-length mask without one pixel")
    return runs


def _points(piece: object) -> Outline:
    """x0, y0, x1, y1, ... of one polygon, also of one without area."""
    if not isinstance(piece, list) or len(piece) % 2 or not all(_is_number(value) for value in piece):
        raise UnreadableAnnotationError("a polygon that is not a list of pairs of numbers")
    return tuple(float(value) for value in piece)


def _has_area(polygon: Outline) -> bool:
    """Whether its points do not all lie on one line: such a one would be drawn as a line of tumor."""
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    if len(points) < 3:
        return False
    x0, y0 = points[0]
    x1, y1 = max(points, key=lambda point: (point[0] - x0) ** 2 + (point[1] - y0) ** 2)
    length = hypot(x1 - x0, y1 - y0)
    widths = (abs((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) for x, y in points)
    return length > 0 and max(widths) / length > _NARROWEST_PIXELS


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

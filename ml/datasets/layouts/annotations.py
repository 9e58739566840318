"""One annotation of COCO (https://cocodataset.org/#format-data): its polygons or its run-length mask, or why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, dist, floor, isfinite

from ml.datasets.case import Outline
from ml.datasets.run_lengths import Runs, read_runs

# An object of the JSON file, whose fields are checked one by one.
Entry = Mapping[str, object]
Grid = tuple[int, int]  # (height, width)

# Exporters round outwards: so far a corner may lie outside without a word.
_TOLERANCE_PIXELS = 1.0
# An outline that is narrower than this on average is a line, whose edge would be drawn as tumor: none that runs along
# pixels is.
_NARROWEST_PIXELS = 0.4
# Corners of an outline in fractions of the image, which may overshoot its sides, lie below this; no tumor is as small.
_MOST_OF_FRACTIONS = 1.5
# What fills its bounding box to this share is the box.
_BOX_SHARE, _CORNERS = 0.99, 4


class UnreadableAnnotationError(Exception):
    """No part of the annotation can be trusted; the message goes on "the annotation has ..."."""


@dataclass(frozen=True)
class Drawing:
    """What an annotation draws. has_stray: a piece without area (points, or all on one line) is left out.

    outside: by how many pixels its farthest corner lies outside the image, where it is clipped; 0 where it does not.
    is_box: all that it draws are rectangles, as boxes are exported whose outline nobody drew.
    """

    outlines: tuple[Outline, ...] = ()
    runs: tuple[Runs, ...] = ()
    has_stray: bool = False
    outside: float = 0.0
    is_box: bool = False


def read_annotation(entry: Entry, grid: Grid) -> Drawing:
    """Its drawing on the image's grid; `iscrowd` only says which of the two forms it has. Raises
    UnreadableAnnotationError."""
    segmentation = entry.get("segmentation")
    if not segmentation:
        what = "a box alone and no outline" if entry.get("bbox") else "no outline"
        if shape := entry.get("shape"):  # of other programs' readers
            what = f"a shape of the kind {str(shape)[:40]!r} and no outline (draw a polygon)"
        raise UnreadableAnnotationError(what)
    if isinstance(segmentation, dict):
        return Drawing(runs=(_runs(segmentation, grid),))
    if not isinstance(segmentation, list):
        raise UnreadableAnnotationError("an outline that is neither a list of polygons nor a run-length mask")
    pieces = [segmentation] if _is_number(segmentation[0]) else segmentation  # one polygon without its list
    runs = tuple(_runs(piece, grid) for piece in pieces if isinstance(piece, dict))
    polygons = [_points(piece) for piece in pieces if not isinstance(piece, dict)]
    if any(_is_fractions(polygon, grid) for polygon in polygons):
        raise UnreadableAnnotationError("corners between 0 and 1, as fractions of the image and not pixels")
    outlines = tuple(polygon for polygon in polygons if _has_area(polygon, grid))
    if not outlines and not runs:
        raise UnreadableAnnotationError("no polygon of three points or more with an area")
    outside = max((_outside(polygon, grid) for polygon in outlines), default=0.0)
    return Drawing(
        outlines,
        runs,
        has_stray=len(outlines) < len(polygons),
        outside=outside if outside > _TOLERANCE_PIXELS else 0.0,
        is_box=bool(outlines) and not runs and all(map(_is_box, outlines)),
    )


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


def _is_fractions(polygon: Outline, grid: Grid) -> bool:
    """Whether its corners, not all in one place, lie where those in fractions do."""
    is_point = len(set(polygon[::2])) == len(set(polygon[1::2])) == 1
    return len(polygon) > 4 and max(polygon) <= _MOST_OF_FRACTIONS < min(grid) and not is_point


def _has_area(polygon: Outline, grid: Grid) -> bool:
    """Whether it is wider than a line, to which its points may lie near, or along which they go forth and back."""
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    if len(points) < 3:
        return False
    if max(map(abs, polygon)) > 2 * max(grid):
        return True  # of no area that can be drawn: `_outside` says so
    around = sum(dist(here, there) for here, there in zip(points, [*points[1:], points[0]], strict=True))
    narrowest = _NARROWEST_PIXELS * around / 2  # the area of a strip of this width
    return abs(_signed_area(polygon)) > narrowest or _crossing_area(polygon) > narrowest


def _signed_area(polygon: Outline) -> float:
    """By the shoelace formula: parts of an outline that crosses itself cancel out."""
    xs, ys = polygon[::2], polygon[1::2]
    return sum(x * below - right * y for x, y, right, below in zip(xs, ys, _turned(xs), _turned(ys), strict=True)) / 2


def _crossing_area(polygon: Outline) -> float:
    """What is inside by the even-odd rule, from a line through the middle of each row of pixels."""
    xs, ys = polygon[::2], polygon[1::2]
    sides = list(zip(xs, ys, _turned(xs), _turned(ys), strict=True))
    area = 0.0
    for row in range(floor(min(ys)), ceil(max(ys))):
        middle = row + 0.5
        crossings = sorted(
            x + (right - x) * (middle - y) / (below - y)
            for x, y, right, below in sides
            if (y <= middle) != (below <= middle)
        )
        area += sum(end - start for start, end in zip(crossings[::2], crossings[1::2], strict=True))
    return area


def _turned(values: Outline) -> Outline:
    """Each point's successor."""
    return (*values[1:], values[0])


def _is_box(polygon: Outline) -> bool:
    """Whether a polygon is a rectangle: upright, or of four corners and turned, as YOLO's oriented boxes are."""
    xs, ys = polygon[::2], polygon[1::2]
    if abs(_signed_area(polygon)) > _BOX_SHARE * (max(xs) - min(xs)) * (max(ys) - min(ys)):
        return True
    if len(xs) != _CORNERS:
        return False
    (a, b, c, d) = zip(xs, ys, strict=True)
    # Its diagonals have one middle and one length.
    middles = dist((a[0] + c[0], a[1] + c[1]), (b[0] + d[0], b[1] + d[1])) / 2
    return max(middles, abs(dist(a, c) - dist(b, d))) < (1 - _BOX_SHARE) * dist(a, c)


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

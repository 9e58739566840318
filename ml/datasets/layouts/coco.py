"""The layout with `_annotations.coco.json`, as Roboflow exports it: polygons are the masks.

The format is COCO's for object detection (https://cocodataset.org/#format-data).
All categories are one tumor class. An image without annotation has an empty mask, and is its own group: no patient is
named in these files.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TypeGuard

from ml.datasets.case import LIMITS, Case, DatasetError, Outline
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import ANNOTATIONS_FILE

MAX_ANNOTATIONS_BYTES = 2**28

# An object of the JSON file, whose fields are checked one by one.
_Entry = Mapping[str, object]


@dataclass(frozen=True)
class _Image:
    """An entry of `images`."""

    key: int | str
    name: str
    grid: tuple[int, int]  # (height, width)


def read_coco_folder(folder: Path, prefix: str) -> tuple[list[Case], list[Problem]]:
    """The folder's cases by name, and what is wrong with its annotations; a group is `prefix` and the file's stem.

    Raises DatasetError where the annotations are no COCO at all.
    """
    image_entries, annotations = _read_document(folder / ANNOTATIONS_FILE)
    problems: list[Problem] = []
    images: dict[int | str, _Image] = {}
    for entry in image_entries:
        image = _read_image(entry)
        if image is None or image.key in images:
            problems.append(_problem("bad_annotation", prefix, f"image entry {_short(entry)} is damaged or doubled"))
        else:
            images[image.key] = image
    outlines: dict[int | str, list[Outline]] = {key: [] for key in images}
    for entry in annotations:
        key = entry.get("image_id")
        image = images.get(key) if isinstance(key, int | str) else None
        polygons = _read_polygons(entry, image.grid) if image is not None else None
        if image is None:
            problems.append(_problem("bad_annotation", prefix, f"annotation {_short(entry)} names an unknown image"))
        elif polygons is None:
            text = f"annotation {_short(entry)} of {image.name} has no polygon inside the image"
            problems.append(_problem("bad_annotation", prefix, text))
        else:
            outlines[image.key].extend(polygons)
    cases = [
        Case(f"{prefix}{Path(image.name).stem}", folder / image.name, None, tuple(outlines[key]), image.grid)
        for key, image in images.items()
    ]
    return sorted(cases, key=lambda case: case.image), problems


def _read_document(path: Path) -> tuple[Sequence[_Entry], Sequence[_Entry]]:
    """The entries of `images` and of `annotations`. Raises DatasetError."""
    try:
        if path.stat().st_size > MAX_ANNOTATIONS_BYTES:
            raise DatasetError(f"{path.name} has more than {MAX_ANNOTATIONS_BYTES // 2**20} MiB; split the data set.")
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read as JSON ({error}); export it again.") from error
    images, annotations = (
        document.get(key) if isinstance(document, dict) else None for key in ("images", "annotations")
    )
    if not _is_list_of_objects(images) or not _is_list_of_objects(annotations):
        raise DatasetError(f"{path} has no lists `images` and `annotations`; export it again as COCO segmentation.")
    return images, annotations


def _is_list_of_objects(value: object) -> TypeGuard[list[_Entry]]:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _read_image(entry: _Entry) -> _Image | None:
    """None where a field is missing, the name leaves the folder or the size is beyond the limits of a slice."""
    key, name, height, width = (entry.get(field) for field in ("id", "file_name", "height", "width"))
    if not isinstance(key, int | str) or not isinstance(name, str) or Path(name).name != name:
        return None
    if not isinstance(height, int) or not isinstance(width, int):
        return None
    if min(height, width) < 1 or max(height, width) > LIMITS.max_side or height * width > LIMITS.max_pixels_per_slice:
        return None
    return _Image(key, name, (height, width))


def _read_polygons(annotation: _Entry, grid: tuple[int, int]) -> list[Outline] | None:
    """The annotation's polygons; None where one of them has fewer than three points or leaves the image."""
    segmentation = annotation.get("segmentation")
    if not isinstance(segmentation, list) or not segmentation:
        return None
    polygons: list[Outline] = []
    for points in segmentation:
        if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
            return None
        if not all(isinstance(value, int | float) and isfinite(value) for value in points):
            return None
        # One pixel of tolerance: exporters round outwards.
        if min(points) < -1 or max(points[::2]) > grid[1] + 1 or max(points[1::2]) > grid[0] + 1:
            return None
        polygons.append(tuple(float(value) for value in points))
    return polygons


def _problem(code: str, prefix: str, text: str) -> Problem:
    return Problem(code, (f"{prefix}{ANNOTATIONS_FILE}",), f"{text}; correct or remove it.")


def _short(entry: _Entry) -> str:
    return repr(entry.get("id"))[:40]

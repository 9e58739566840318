"""The layout with `_annotations.coco.json`, as Roboflow exports it: polygons are the masks.

The format is COCO's for object detection (https://cocodataset.org/#format-data).
All categories are one tumour class. An image without annotation has an empty mask, and is its own group: no patient is
named in these files.
"""

import json
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from ml.datasets.case import LIMITS, Case, DatasetError, Outline
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import ANNOTATIONS_FILE

MAX_ANNOTATIONS_BYTES = 2**28


@dataclass(frozen=True)
class _Image:
    """An entry of `images`."""

    name: str
    grid: tuple[int, int]  # (height, width)


def read_coco_folder(folder: Path, prefix: str) -> tuple[list[Case], list[Problem]]:
    """The folder's cases by name, and what is wrong with its annotations; a group is `prefix` and the file's stem.

    Raises DatasetError where the annotations are no COCO at all.
    """
    document = _read_document(folder / ANNOTATIONS_FILE)
    problems: list[Problem] = []
    images: dict[Any, _Image] = {}
    for entry in document["images"]:
        image = _read_image(entry)
        if image is None or entry.get("id") in images:
            problems.append(_problem("bad_annotation", prefix, f"image entry {_short(entry)} is damaged or doubled"))
        else:
            images[entry.get("id")] = image
    outlines: dict[Any, list[Outline]] = {key: [] for key in images}
    for entry in document["annotations"]:
        image = images.get(_key(entry))
        polygons = _read_polygons(entry, image.grid) if image is not None else None
        if image is None:
            problems.append(_problem("bad_annotation", prefix, f"annotation {_short(entry)} names an unknown image"))
        elif polygons is None:
            text = f"annotation {_short(entry)} of {image.name} has no polygon inside the image"
            problems.append(_problem("bad_annotation", prefix, text))
        else:
            outlines[_key(entry)].extend(polygons)
    cases = [
        Case(f"{prefix}{Path(image.name).stem}", folder / image.name, None, tuple(outlines[key]), image.grid)
        for key, image in images.items()
    ]
    return sorted(cases, key=lambda case: case.image), problems


def _read_document(path: Path) -> dict[str, list[Any]]:
    try:
        if path.stat().st_size > MAX_ANNOTATIONS_BYTES:
            raise DatasetError(f"{path.name} has more than {MAX_ANNOTATIONS_BYTES // 2**20} MiB; split the data set.")
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read as JSON ({error}); export it again.") from error
    lists = [document.get(key) if isinstance(document, dict) else None for key in ("images", "annotations")]
    if not all(isinstance(entries, list) and all(isinstance(item, dict) for item in entries) for entries in lists):
        raise DatasetError(f"{path} has no lists `images` and `annotations`; export it again as COCO segmentation.")
    return document


def _key(annotation: dict[str, Any]) -> int | str | None:
    key = annotation.get("image_id")
    return key if isinstance(key, int | str) else None


def _read_image(entry: dict[str, Any]) -> _Image | None:
    """None where a field is missing, the name leaves the folder or the size is beyond the limits of a slice."""
    name, height, width = entry.get("file_name"), entry.get("height"), entry.get("width")
    if not isinstance(entry.get("id"), int | str) or not isinstance(name, str) or Path(name).name != name:
        return None
    if not all(isinstance(side, int) and 0 < side <= LIMITS.max_side for side in (height, width)):
        return None
    return _Image(name, (height, width)) if height * width <= LIMITS.max_pixels_per_slice else None


def _read_polygons(annotation: dict[str, Any], grid: tuple[int, int]) -> list[Outline] | None:
    """The annotation's polygons; None where one of them has fewer than three points or leaves the image."""
    segmentation = annotation.get("segmentation")
    if not isinstance(segmentation, list) or not segmentation:
        return None
    polygons = []
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


def _short(entry: dict[str, Any]) -> str:
    return repr(entry.get("id"))[:40]

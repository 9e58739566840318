"""LabelMe's annotations (https://github.com/wkentaro/labelme), a JSON file for each image, as COCO's lists."""

import re
from collections.abc import Collection
from pathlib import Path

from ml.datasets.file_names import name_key
from ml.datasets.layouts.annotation_files import AnnotationsError, Document, read_beginning, read_json

_SHAPES = re.compile(rb"\s*\{.*\"shapes\"\s*:", re.DOTALL)
_BOX, _POLYGON = "rectangle", "polygon"


def begins_as_labelme(path: Path) -> bool:
    """Whether a file's first bytes are those of LabelMe's annotations."""
    return _SHAPES.match(read_beginning(path).removeprefix(b"\xef\xbb\xbf")) is not None


def read_labelme(path: Path, images: Collection[str], image: str) -> Document:
    """The image that the file names, if it is one of `images`, else `image`, with its shapes.

    Raises AnnotationsError.
    """
    document = read_json(path)
    shapes = document.get("shapes") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(shapes, list):
        raise AnnotationsError(path, "has no list `shapes`; save it again with LabelMe.")
    named = str(document.get("imagePath")).replace("\\", "/").rpartition("/")[2]
    is_there = name_key(named) in {name_key(name) for name in images}
    labels = {str(shape["label"]) for shape in shapes if isinstance(shape, dict) and "label" in shape}
    size = {"width": document.get("imageWidth"), "height": document.get("imageHeight")}
    return {
        "images": [{"id": 1, "file_name": named if is_there else image, **size}],
        "annotations": [_annotation(number, shape) for number, shape in enumerate(shapes, start=1)],
        "categories": [{"id": label, "name": label} for label in sorted(labels)],
    }


def _annotation(number: int, shape: object) -> dict[str, object]:
    """A shape as an annotation; one that is no object is a polygon that cannot be read."""
    entry: dict[str, object] = {"id": f"shape {number}", "image_id": 1}
    if not isinstance(shape, dict):
        return entry | {"segmentation": _polygon(None)}
    kind = shape.get("shape_type") or _POLYGON
    entry |= {"category_id": str(shape["label"])} if "label" in shape else {}
    if kind == _BOX:
        return entry | {"bbox": shape.get("points")}
    if kind != _POLYGON:
        return entry | {"shape": str(kind)}
    return entry | {"segmentation": _polygon(shape.get("points"))}


def _polygon(points: object) -> list[list[object]]:
    """One polygon of COCO; what is none makes the annotation fail, it is not left out."""
    are_pairs = isinstance(points, list) and all(isinstance(one, list) and len(one) == 2 for one in points)
    if not isinstance(points, list) or not are_pairs:
        return [["unreadable"]]
    return [[value for pair in points for value in pair]]

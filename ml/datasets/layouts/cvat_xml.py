"""CVAT's own annotations, "CVAT for images 1.1" (https://docs.cvat.ai, XML annotation format), as COCO's lists."""

import re
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, fromstring

import numpy as np

from ml.datasets.case import LIMITS
from ml.datasets.layouts.annotation_files import AnnotationsError, Document, read_beginning, read_text
from ml.datasets.layouts.categories import names_tumor
from ml.datasets.run_lengths import runs_of

_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>)?\s*(?:<!--.*?-->\s*)*<annotations>", re.DOTALL)
# Nothing of the kind is in these files, and entities may grow without end.
_DECLARES = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_BOX, _POLYGON, _MASK, _TAG = "box", "polygon", "mask", "tag"
_SHAPES = (_BOX, _POLYGON, _MASK, "polyline", "points", "ellipse", "cuboid", "skeleton")


def begins_as_cvat(path: Path) -> bool:
    """Whether a file's first bytes are those of CVAT's annotations."""
    return _BEGINNING.match(read_beginning(path)) is not None


def read_cvat(path: Path) -> Document:
    """Its images with their shapes. Raises AnnotationsError."""
    text = read_text(path)
    if _DECLARES.search(text):
        raise AnnotationsError(path, "declares a document type, which CVAT's files do not; export it again.")
    try:
        root = fromstring(text)  # noqa: S314 - nothing is declared, as was just seen
    except (ParseError, ValueError, RecursionError) as error:
        raise AnnotationsError(path, f"cannot be read as XML ({error}); export it again.") from error
    images = root.findall("image")
    if not images:
        kind = "tracks of a video" if root.find("track") is not None else "no images"
        raise AnnotationsError(path, f"has {kind}; export it as `CVAT for images 1.1` or as `COCO 1.0`.")
    entries: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    labels = {element.text or "" for element in root.findall("./meta//label/name")}
    for place, image in enumerate(images):
        size = {side: _whole(image.get(side)) for side in ("width", "height")}
        # Of a project's images each lies in the folder of its task's subset.
        entries.append({"id": place, "file_name": image.get("name"), "subset": image.get("subset"), **size})
        for shape in (one for one in image if one.tag in _SHAPES or _is_tumor_tag(one, image)):
            number = f"{shape.tag} {len(annotations) + 1}"
            label = shape.get("label", "")
            labels.add(label)
            annotations.append({"id": number, "image_id": place, "category_id": label, **_drawn(shape, size)})
    return {
        "images": entries,
        "annotations": annotations,
        "categories": [{"id": label, "name": label} for label in sorted(labels)],
    }


def _is_tumor_tag(shape: Element, image: Element) -> bool:
    """Whether an image that nothing is drawn on is itself called a tumor's: then its outline lacks."""
    is_alone = all(other.tag == _TAG for other in image)
    return shape.tag == _TAG and is_alone and names_tumor(shape.get("label", ""))


def _drawn(shape: Element, size: dict[str, int | None]) -> dict[str, object]:
    """What it draws, in COCO's fields."""
    if shape.tag == _BOX:
        return {"bbox": [shape.get("xtl"), shape.get("ytl"), shape.get("xbr"), shape.get("ybr")]}
    if shape.tag == _POLYGON:
        try:
            points = [float(value) for pair in shape.get("points", "").split(";") for value in pair.split(",")]
        except ValueError:
            return {"segmentation": [["unreadable"]]}
        return {"segmentation": [points]}
    if shape.tag == _MASK:
        return {"segmentation": _runs(shape, size)}
    return {"shape": shape.tag}


def _runs(shape: Element, size: dict[str, int | None]) -> dict[str, object]:
    """Runs of a part of the image, along its rows, as those of the image along its columns; without counts where they
    are of no part of it."""
    left, top, width, height = (_whole(shape.get(name)) for name in ("left", "top", "width", "height"))
    if left is None or top is None or not width or not height or not size["width"] or not size["height"]:
        return {"counts": None}
    if size["width"] * size["height"] > LIMITS.max_pixels_per_slice:
        return {"counts": None}
    if left + width > size["width"] or top + height > size["height"]:
        return {"counts": None}
    counts = [_whole(count) for count in shape.get("rle", "").split(",")]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts) or sum(known) != width * height:
        return {"counts": None}
    values = np.repeat(np.arange(len(known)) % 2 == 1, known).reshape(height, width)  # (H * W,) -> (H, W)
    mask = np.zeros((size["height"], size["width"]), bool)
    mask[top : top + height, left : left + width] = values
    return {"counts": runs_of(mask), "size": [size["height"], size["width"]]}


def _whole(text: str | None) -> int | None:
    """A whole number of zero or more that fits a size; None for anything else."""
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 9 else None

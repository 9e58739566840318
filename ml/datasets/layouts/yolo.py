"""Outlines of YOLO's segmentation (https://docs.ultralytics.com/datasets/segment), a text file for each image, as
COCO's lists: a line is a class and the corners in fractions of the image.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from ml.datasets.layouts.annotation_files import Document, read_beginning, read_text
from ml.datasets.layouts.annotations import Grid

NAMES_FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml", "classes.txt")
_LINE = re.compile(r"\d{1,4}(?:\s+-?\d*\.?\d+(?:[eE][-+]?\d+)?){4,}")
_NAMES = re.compile(r"^names\s*:(.*?)(?=^[A-Za-z_]\w*\s*:|\Z)", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"(?:^|\s)#.*")
# Of a list in one line or a name in each, with numbers or without: `[tumor, brain]`, `0: tumor`, `- tumor`.
_NAME = re.compile(r"\s*(?:(\d{1,4})\s*:|-)?\s*(?:'([^']*)'|\"([^\"]*)\"|([^\s,\[\]{}'\"][^,\[\]{}\n]*))")
_BOX_NUMBERS = 4


def begins_as_yolo(path: Path) -> bool:
    """Whether a text file's first line is a class and numbers."""
    first, *_ = read_beginning(path).decode("utf-8", "replace").lstrip("\ufeff").strip().split("\n")
    return _LINE.fullmatch(first.strip()) is not None


def read_names(path: Path) -> dict[str, str]:
    """The names of classes by their numbers; none where the file is of another form. Raises AnnotationsError."""
    lines = [_COMMENT.sub("", line) for line in read_text(path).splitlines()]
    if path.suffix.lower() == ".txt":
        return {str(number): line.strip() for number, line in enumerate(lines) if line.strip()}
    found = _NAMES.search("\n".join(lines) + "\n")
    if found is None:
        return {}
    entries = _NAME.findall(found[1])
    return {
        number or str(place): (one or two or three).strip() for place, (number, one, two, three) in enumerate(entries)
    }


def read_yolo(path: Path, image: str, grid: Grid | None, names: Mapping[str, str]) -> Document:
    """The image with its outlines. grid: of the image, None where it cannot be read. Raises AnnotationsError."""
    lines = [] if not path.stat().st_size else [line.split() for line in read_text(path).splitlines()]
    height, width = grid or (None, None)
    annotations: list[object] = []
    numbers = {*names}
    for place, words in enumerate(lines, start=1):
        if not words:
            continue
        entry: dict[str, object] = {"id": f"line {place}", "image_id": 1, "category_id": words[0]}
        numbers.add(words[0])
        annotations.append(entry | _drawn(words[1:], grid))
    categories = [{"id": number, "name": names.get(number, f"class {number}"[:40])} for number in sorted(numbers)]
    entry = {"id": 1, "file_name": image, "width": width, "height": height}
    return {"images": [entry], "annotations": annotations, "categories": categories}


def _drawn(words: list[str], grid: Grid | None) -> dict[str, object]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        return {"segmentation": [["unreadable"]]}
    if len(values) == _BOX_NUMBERS:
        return {"bbox": values}
    height, width = grid or (1, 1)
    return {"segmentation": [[value * (height if place % 2 else width) for place, value in enumerate(values)]]}

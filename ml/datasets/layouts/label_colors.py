"""Files beside masks that say which label each color or value of theirs is.

A mask's tumor is all that is not black, so every label but the background must be tumor, and the background black.
Other files are refused, never guessed.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ml.datasets.file_names import (
    EXPORT_NAMES,
    LABEL_MAP,
    MACHINE_COLORS,
    MASK_CLASSES,
    VOC_NAMES,
    name_key,
    shown,
)
from ml.datasets.layouts.categories import is_tumor
from ml.datasets.layouts.tree import Tree
from ml.datasets.layouts.unknown import UnknownLayoutError
from ml.datasets.mask_names import CLASS_FOLDER, MACHINE_FOLDER
from ml.scans.scan import EMPTY

_MOST_BYTES = 2**20
_REMEDY = "Export the set as COCO 1.0, whose categories are told apart, or masks of tumor alone."
# The first of the columns of Roboflow's, "Pixel Value, Class", of its masks for semantic segmentation.
_VALUE_COLUMN = "pixel value"
# The first line of `labelme2voc`'s, which no pixel has.
_IGNORED = "__ignore__"


class _Label(NamedTuple):
    """A label and what a mask has of it. value: as a sentence says it; is_background: whether that is black, or 0."""

    name: str
    value: str
    is_background: bool


def check_label_map(tree: Tree, folder: Path) -> None:
    """Raises UnknownLayoutError where a color or a value of the folder's masks would be read as what it is not."""
    for path in _files(tree, folder):
        tree.check(path.parent)
        tree.check(path)
        for label, value, is_background in _labels(folder, path):
            if is_tumor(label) and is_background:
                text = f"Its {path.name} has `{label}` {value}, as the background. {_REMEDY}"
                raise UnknownLayoutError(folder, text)
            if not is_tumor(label) and not is_background:
                text = f"Its {path.name} has `{label}` {value}, and all that is not black is tumor here. {_REMEDY}"
                raise UnknownLayoutError(folder, text)


def _files(tree: Tree, folder: Path) -> Iterator[Path]:
    known = {MASK_CLASSES, EXPORT_NAMES, MACHINE_COLORS}
    known |= {LABEL_MAP, VOC_NAMES} if tree.folder(folder, [CLASS_FOLDER]) is not None else set()
    yield from (path for path in tree.listing(folder).files if name_key(path.name) in known)
    if tree.folder(folder, [MACHINE_FOLDER]) is not None and (around := folder.parent / MACHINE_COLORS).is_file():
        yield around


def _labels(folder: Path, path: Path) -> Iterator[_Label]:
    """The labels of one such file. Raises UnknownLayoutError where it cannot be read."""
    try:
        if not path.stat().st_size:
            raise UnknownLayoutError(folder, f"Its {path.name} {EMPTY}.")
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        text = path.read_bytes().decode("utf-8-sig")
        kinds = {LABEL_MAP: _of_cvat, MASK_CLASSES: _of_roboflow, MACHINE_COLORS: _of_supervisely}
        labels = list(kinds.get(name_key(path.name), _of_labelme)(text))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UnknownLayoutError(folder, f"Its {path.name} cannot be read as text; export it again.") from error
    yield from (label._replace(name=shown(label.name.strip())[:80]) for label in labels)


def _of_cvat(text: str) -> Iterator[_Label]:
    """Lines "label:r,g,b:parts:actions" (https://docs.cvat.ai/docs/dataset_management/formats/format-smask)."""
    for line in text.splitlines():
        label, _, rest = line.partition(":")
        if label.strip() and not label.lstrip().startswith("#"):
            is_black = [part.strip() for part in rest.partition(":")[0].split(",")] == ["0", "0", "0"]
            yield _Label(label, "in black" if is_black else "in a color", is_black)


def _of_roboflow(text: str) -> Iterator[_Label]:
    """Lines "1, tumor" below that of the columns; none of a file of another kind, which a classification has."""
    first, *lines = csv.reader(text.splitlines())
    if first and name_key(first[0].strip()) == _VALUE_COLUMN:
        for line in lines:
            if len(line) > 1:
                yield _Label(line[1], f"as the value {int(line[0])}", int(line[0]) == 0)


def _of_labelme(text: str) -> Iterator[_Label]:
    """A name a line, of the values 0, 1, 2 and so on."""
    names = [name for name in text.splitlines() if name.strip() != _IGNORED]
    for value, name in enumerate(names):
        if name.strip():
            yield _Label(name, f"as the value {value}", value == 0)


def _of_supervisely(text: str) -> Iterator[_Label]:
    for name, color in json.loads(text).items():
        yield _Label(name, "in black" if not any(color) else "in a color", not any(color))

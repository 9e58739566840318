"""Files of annotations, each read as COCO's lists `images`, `annotations` and `categories`, whoever wrote it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ml.datasets.case import DatasetError
from ml.datasets.file_names import shown
from ml.datasets.layouts.annotations import Entry
from ml.scans.scan import EMPTY

MAX_ANNOTATIONS_BYTES = 2**28
# How much of a file is read to tell what it is.
_BEGINNING_BYTES = 4096

Document = Mapping[str, object]


class AnnotationsError(DatasetError):
    """A file of annotations cannot be read, or names no image that is there. finding: with the file's name."""

    def __init__(self, path: Path, finding: str) -> None:
        super().__init__(f"{shown(str(path))} {finding}")
        self.finding = f"{shown(path.name)} {finding}"


@dataclass(frozen=True)
class AnnotationFile:
    """One file of annotations. images: the folders that its images are looked for in, the first one foremost.

    prefix: what makes its groups different from those of other files. read: makes COCO's lists of it. image: the one
    that it is of, where it is of one alone: what cannot be read fails this one. patient: whose all its images are, else
    empty. set_name: what findings about all files of one set call these; empty where each file is a set.
    """

    path: Path
    images: tuple[Path, ...]
    prefix: str
    read: Callable[[Path], Document]
    image: Path | None = None
    patient: str = ""
    set_name: str = ""


def read_beginning(path: Path) -> bytes:
    """A file's first bytes; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_BEGINNING_BYTES)
    except OSError:
        return b""


def read_text(path: Path) -> str:
    """A file's text. Raises AnnotationsError."""
    try:
        size = path.stat().st_size
        if size > MAX_ANNOTATIONS_BYTES:
            raise AnnotationsError(path, f"has more than {MAX_ANNOTATIONS_BYTES // 2**20} MiB; split the data set.")
        if not size:
            raise AnnotationsError(path, f"{EMPTY}.")
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise AnnotationsError(path, f"cannot be read as text ({reason}); export it again.") from error


def read_json(path: Path) -> object:
    """A file's JSON value. Raises AnnotationsError."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnnotationsError(path, f"cannot be read as JSON ({error}); export it again.") from error


def read_coco_document(path: Path) -> Document:
    """The object with the lists `images` and `annotations`. Raises AnnotationsError."""
    document = read_json(path)
    if not isinstance(document, dict) or not all(_is_list(document.get(key)) for key in ("images", "annotations")):
        raise AnnotationsError(path, "has no lists `images` and `annotations`; export it again as COCO segmentation.")
    return document


def listed(document: Document, key: str) -> list[object]:
    """The list of this name, empty where there is none."""
    value = document.get(key)
    return value if isinstance(value, list) else []


def objects(document: Document, key: str) -> list[Entry]:
    """The objects of the list of this name."""
    return [item for item in listed(document, key) if isinstance(item, dict)]


def _is_list(value: object) -> bool:
    """Whether a value is a list of objects; one that is none among others is for the reader to name."""
    return isinstance(value, list) and (not value or any(isinstance(item, dict) for item in value))

"""Receiving: a client's bytes into a temporary file, counted and hashed, under a name that can be shown."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ml.scans.formats import HEAD_BYTES, find_format
from ml.scans.scan import EMPTY
from webapp.domain.errors import UploadRejected
from webapp.domain.resources import Resources
from webapp.domain.storage.interface import translated_errors

CHUNK_BYTES = 1_048_576

# What a name may be long in the database and in a row of the history; file systems allow 255 bytes.
LONGEST_NAME = 255
# What a public demonstration takes.
PICTURES = ("png", "jpeg", "webp", "tiff")
PICTURES_ONLY = (
    "This demonstration takes pictures alone (PNG, JPEG, TIFF, WebP), and no DICOM, NIfTI or zip, which may hold"
    " patients' data; export the slices as pictures, or install Glioscope where the data is."
)


@dataclass(frozen=True)
class UploadedFile:
    """A file of a request, as the client named and sent it."""

    filename: str
    stream: BinaryIO


@dataclass(frozen=True)
class Received:
    """An upload in a temporary file, not looked at yet."""

    path: Path
    filename: str
    sha256: str
    bytes: int


@contextmanager
def received(resources: Resources, stream: BinaryIO, filename: str, *, is_archive: bool = False) -> Iterator[Received]:
    """Copy a client's stream to a temporary file, which is gone after the block unless it was stored.

    is_archive: an evaluation's zip, which has a limit of its own. Raises UploadRejected (no name, empty, over the
    limit), StorageFull, StorageUnavailable.
    """
    settings = resources.settings
    most, setting = (
        (settings.max_archive_bytes, "GLIOSCOPE_MAX_ARCHIVE_MB")
        if is_archive
        else (settings.max_upload_bytes, "GLIOSCOPE_MAX_UPLOAD_MB")
    )
    name = display_name(filename)
    # The request has been spooled already, so the true size is known: mostly far below the limit.
    resources.storage.check(min(_size_of(stream), most))
    path = resources.storage.temporary_file()
    try:
        digest, size = hashlib.sha256(), 0
        # The stream is a file of ours by now, and closing writes what is buffered: every fault here is the disk's.
        with translated_errors(), path.open("wb") as file:
            while chunk := stream.read(CHUNK_BYTES):
                size += len(chunk)
                if size > most:
                    raise UploadRejected("too_large", too_large_message(most, setting))
                digest.update(chunk)
                file.write(chunk)
        if size == 0:
            raise UploadRejected("empty", f"The file {EMPTY}.")
        if settings.auth == "demo":
            _check_picture(path)
        yield Received(path, name, digest.hexdigest(), size)
    finally:
        path.unlink(missing_ok=True)


def adopt(path: Path, filename: str) -> Received:
    """A file out of a zip, on our disk already. Raises UploadRejected (no name, empty), StorageUnavailable."""
    name = display_name(filename)
    with translated_errors():
        size = path.stat().st_size
        if size == 0:
            raise UploadRejected("empty", f"The file {EMPTY}.")
        with path.open("rb") as file:
            return Received(path, name, hashlib.file_digest(file, "sha256").hexdigest(), size)


def display_name(filename: str) -> str:
    """The client's name as it is shown: its last path component, without control characters, at most 255 long.

    It is never a path on our disk. Raises UploadRejected where nothing is left.
    """
    last = re.split(r"[/\\]", filename)[-1]
    # Cc and Cf: control and format characters, the right-to-left override that disguises an ending among them.
    shown = "".join(c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")).strip()
    if not shown:
        raise UploadRejected("no_name", "The file has no name; choose a file and send it again.")
    if len(shown) > LONGEST_NAME:
        stem, dot, ending = shown.rpartition(".")
        keep = LONGEST_NAME - len(ending) - 2
        shown = f"{stem[:keep]}…{dot}{ending}" if stem and keep > 0 else f"{shown[: LONGEST_NAME - 1]}…"
    return shown


def too_large_message(limit_bytes: int, setting: str) -> str:
    """The sentence for an upload over the limit."""
    return f"The file is larger than {limit_bytes / 1e6:g} MB; send a smaller one, or raise {setting}."


def _check_picture(path: Path) -> None:
    """Raises UploadRejected for what is no picture. What is of no format at all its reader refuses."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    found = find_format(head)
    if head.startswith(b"PK") or (found is not None and found.name not in PICTURES):
        raise UploadRejected("pictures_only", PICTURES_ONLY)


def _size_of(stream: BinaryIO) -> int:
    position = stream.tell()
    size = stream.seek(0, 2)
    stream.seek(position)
    return size

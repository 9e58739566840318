"""Admission by signature: the first bytes decide which reader is used, never the name of the file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from ml.scans.labels import LabelMap
from ml.scans.scan import Limits, Scan, ScanError
from ml.scans.unread_formats import unread_by_bytes

# Bytes that tell a format. NIfTI has the last magic number of all medical images, at bytes 344 to 347.
HEAD_BYTES = 348
# The longest signature here is RIFF's: a shorter file is truncated, and its format cannot be told.
SHORTEST_FILE_BYTES = 12


class Reader(Protocol):
    """A module that decodes a format."""

    def read(self, path: Path, limits: Limits) -> Scan:
        """Decode an image."""

    def read_labels(self, path: Path, limits: Limits) -> LabelMap:
        """Decode an expert's mask, which has one slice."""

    def read_label_stack(self, path: Path, limits: Limits) -> Iterator[LabelMap]:
        """Decode the masks of a file's slices, one at a time."""


@dataclass(frozen=True)
class Format:
    """A file format: how its first bytes look, and the module that is its `Reader` (imported when needed)."""

    name: str
    is_match: Callable[[bytes], bool]
    module: str


_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0")

# What Git LFS, and git-annex with unlocked files, keep in place of a file.
_POINTERS = (b"version https://git-lfs.github.com/spec/", b"/annex/objects/")


# The first element of a DICOM file or data set without its preamble: group 2, or group 8, little-endian.
_BARE_DICOM = (b"\2\0\0\0UL\4\0", b"\x08\0\0\0", b"\x08\0\5\0", b"\x08\0\x08\0", b"\x08\0\x16\0")


def is_dicom(head: bytes) -> bool:
    """DICOM has 128 bytes of anything before its magic number (PS3.10 7.1)."""
    return head[128:132] == b"DICM"


def _is_nifti(head: bytes) -> bool:
    """NIfTI-1 has its magic number at byte 344, NIfTI-2 at byte 4; gzip does not tell what is in it."""
    is_first = head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c") and head[344:346] in (b"n+", b"ni")
    is_second = head[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") and head[4:6] in (b"n+", b"ni")
    return head[:2] == b"\x1f\x8b" or is_first or is_second


FORMATS: tuple[Format, ...] = (
    Format("png", lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), "ml.scans.readers.pillow"),
    Format("jpeg", lambda head: head.startswith(b"\xff\xd8\xff"), "ml.scans.readers.pillow"),
    Format("webp", lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", "ml.scans.readers.pillow"),
    Format("tiff", lambda head: head.startswith(_TIFF_MAGIC), "ml.scans.readers.tiff.reader"),
    Format("nifti", _is_nifti, "ml.scans.readers.nifti"),
    Format("dicom", is_dicom, "ml.scans.readers.dicom.reader"),
    # Of experts' masks alone.
    Format("nrrd", lambda head: head.startswith(b"NRRD0") and head[5:8].isdigit(), "ml.scans.readers.nrrd"),
)


def find_format(head: bytes) -> Format | None:
    """The format of a file by its first `HEAD_BYTES` bytes, or None."""
    return next((entry for entry in FORMATS if entry.is_match(head)), None)


def find_reader(path: Path, limits: Limits) -> Reader:
    """The reader for a file. Raises ScanError `empty`, `limit`, `unreadable` (a stub) or `unsupported`."""
    limits.check_bytes(path.stat().st_size)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if len(head) < SHORTEST_FILE_BYTES:
        raise ScanError("unreadable", f"The file has only {len(head)} bytes, too few for an image; export it again.")
    if head.startswith(_POINTERS):
        raise ScanError(
            "unsupported",
            "The file stands for one that was not fetched: get it (`git lfs pull`, `git annex get`) and try again.",
        )
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        raise ScanError("unsupported", "The file is a zip, whatever its name says; unpack it and use what is in it.")
    if head.startswith(_BARE_DICOM):
        raise ScanError("unreadable", "The DICOM file lacks its preamble and file meta information; export it again.")
    entry = find_format(head)
    if entry is None and (unread := unread_by_bytes(head)) is not None:
        raise ScanError("unsupported", unread.sentence)
    if entry is None:
        raise ScanError(
            "unsupported",
            "The file is not a PNG, JPEG, TIFF or WebP image, nor NIfTI or DICOM; convert it to one of these.",
        )
    return cast(Reader, import_module(entry.module))

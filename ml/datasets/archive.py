"""The zip of a data set, checked and unpacked. Runs in a sandboxed process (`ml.sandbox.entries.unpack`).

What is taken: images, masks and annotations, under their own names below one folder. What is refused as a whole:
members that would leave the folder, links, encryption, archives within the archive, and more than the limits, counted
in the bytes that really come out.
"""

import errno
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ml.datasets.file_names import (
    ANNOTATION_SUFFIXES,
    ARCHIVE_SUFFIXES,
    FOLDER_ICON,
    IMAGE_SUFFIXES,
    MASK_VOLUME_SUFFIXES,
    OTHER_SUFFIXES,
    VOLUME_SUFFIXES,
    is_description,
    is_of_system,
    lacks_ending,
    may_be_outlines,
    placeholder_of,
    suffix_of,
)
from ml.datasets.member_names import names_of
from ml.datasets.remedies import remedies
from ml.scans.scan import EMPTY
from ml.scans.unread_formats import OFFICE_DOCUMENT, is_office_document

ERROR_CODES = ("unsupported", "unreadable", "unsafe", "limit", "empty")
# PKWARE's APPNOTE 4.4.4: bit 0 of a member's flags.
_ENCRYPTED = 0x1
# What zipfile unpacks, and the others by their numbers (APPNOTE 4.4.5).
_READ_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_OTHER_METHODS = {9: "Deflate64, as Windows packs large files", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
_DEEPEST = 12
_LONGEST_SHOWN = 80
_PIECE_BYTES = 1_048_576
_LONGEST_NAME_BYTES = 255  # of one part, as file systems have it
# A data set of masks and images shrinks to a tenth; a bomb to a thousandth. Small archives may shrink more.
_MOST_RATIO = 100
_RATIO_FREE_BYTES = 100_000_000


class ArchiveError(Exception):
    """An archive that is refused: one of ERROR_CODES, and one sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class ArchiveLimits:
    """members: files and folders. member_bytes: of one file, unpacked. bytes: of all of them.

    spare_bytes: what must stay free on the disk, which is no fault of the archive's.
    """

    members: int
    member_bytes: int
    bytes: int
    spare_bytes: int = 0


def unpack(archive: Path, folder: Path, limits: ArchiveLimits, *, takes_all: bool = False) -> int:
    """Unpack what belongs to a data set into an existing empty folder; says how many files.

    takes_all: every file, whatever its ending: a scan's reader is found by its first bytes.

    Raises ArchiveError; OSError where there is no room for what the archive says that it unpacks to. More than it says
    never comes out of zipfile.
    """
    _check_directory(archive, limits)
    try:
        with zipfile.ZipFile(archive) as file:
            chosen = _choose(file, limits, takes_all)
            readable = [member for member in chosen if member.is_read]
            if not any(member.is_data for member in chosen):
                raise _empty(chosen)
            for member in readable:
                if (method := member.info.compress_type) not in _READ_METHODS:
                    raise _unread_method(method)
            most = min(limits.bytes, _MOST_RATIO * archive.stat().st_size + _RATIO_FREE_BYTES)
            needed = min(most, sum(member.info.file_size for member in readable))
            if shutil.disk_usage(folder).free < needed + limits.spare_bytes:
                raise OSError(errno.ENOSPC, "no room for the unpacked archive")
            written = 0
            for member in chosen:
                target = folder.joinpath(*member.parts)
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not member.is_read:
                    with target.open("xb") as sink:  # a byte stands for all of a file: one without any is said to be
                        sink.truncate(min(1, member.info.file_size) if lacks_ending(member.parts[-1]) else 0)
                    continue
                with file.open(member.info) as source, target.open("xb") as sink:
                    written += _copy(source, sink, min(limits.member_bytes, most - written))
            return len(readable)
    except FileExistsError as error:
        raise ArchiveError("unsafe", "Two members of the archive have one name; zip the data set again.") from error
    except NotADirectoryError as error:
        raise ArchiveError("unsafe", "A member is both a file and a folder; zip the data set again.") from error
    except NotImplementedError as error:  # zipfile: a newer form of zip, or an encryption
        text = "The archive is of a form of zip that is not read here; zip the files again, without a password."
        raise ArchiveError("unsupported", text) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError) as error:
        raise ArchiveError("unreadable", "The archive is damaged or cut off; make it again.") from error


def _check_directory(archive: Path, limits: ArchiveLimits) -> None:
    """The number of members, before Python's reader makes an object of each. Raises ArchiveError."""
    size = archive.stat().st_size
    if size == 0:
        raise ArchiveError("empty", f"The archive {EMPTY}.")
    with archive.open("rb") as file:
        if file.read(4) not in (b"PK\x03\x04", b"PK\x05\x06"):
            raise ArchiveError("unsupported", "The file is not a zip by its bytes; zip the data set's folder.")
    try:
        with archive.open("rb") as file:
            end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    except (zipfile.BadZipFile, OSError, struct.error) as error:
        raise ArchiveError("unreadable", "The archive is damaged or cut off; make it again.") from error
    if end is None:
        raise ArchiveError(
            "unreadable",
            "The archive is cut off: its list of members is missing; make it again, or, if it is one part of several"
            " (.001, .z01), put them together first.",
        )
    # 46 bytes is the shortest entry of the central directory (APPNOTE 4.3.12): its size tells more than its count.
    if end[zipfile._ECD_ENTRIES_TOTAL] > limits.members or end[zipfile._ECD_SIZE] > limits.members * 512:  # type: ignore[attr-defined]
        raise _too_many(limits)


@dataclass(frozen=True)
class _Member:
    """A member to unpack, and its safe path. is_read: False for images and annotations of a kind that is not read: a
    file of their name is left, of one byte at most, which the check of the data set names as left out. is_data: whether
    it can be a data set without others, as outlines cannot."""

    info: zipfile.ZipInfo
    parts: tuple[str, ...]
    is_read: bool
    is_data: bool


def _choose(file: zipfile.ZipFile, limits: ArchiveLimits, takes_all: bool) -> list[_Member]:
    """The members to unpack. Raises ArchiveError for what makes the whole archive unsafe."""
    members = file.infolist()
    if len(members) > limits.members:
        raise _too_many(limits)
    names = names_of(members)
    if is_office_document(names):
        raise ArchiveError("unsupported", OFFICE_DOCUMENT.sentence)
    chosen = []
    for member, member_name in zip(members, names, strict=True):
        path = member_name.replace("\\", "/")  # as older programs of Windows write it
        if path.lower().endswith(FOLDER_ICON):  # of all names with a control character the one that people have
            continue
        path = _printable(path)
        parts = _safe_parts(path)
        if not parts:  # `./`, the folder itself
            continue
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveError("unsafe", "The archive has a link or a special file in it; zip the files themselves.")
        if member.flag_bits & _ENCRYPTED:
            raise ArchiveError("unreadable", "The archive is encrypted; make it again without a password.")
        if path.endswith("/") or any(map(is_of_system, parts)):
            continue
        name = parts[-1].lower()
        is_volume = suffix_of(name) in (*VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES)
        # What the page sends of an archive in a folder: its name, so that the check says that it is left out.
        is_outlines = may_be_outlines(parts) and member.file_size <= limits.member_bytes
        is_named_archive = name.endswith(ARCHIVE_SUFFIXES) and member.file_size == 0
        is_of_name = lacks_ending(name) or is_named_archive or bool(placeholder_of(name))
        is_other = (
            not takes_all
            and (suffix_of(name) in (*OTHER_SUFFIXES, *ANNOTATION_SUFFIXES) or is_of_name)
            and not is_description(name)
            and not is_outlines
            and not is_volume
        )
        if name.endswith(ARCHIVE_SUFFIXES) and not is_other and suffix_of(name) != ".nii.gz":
            raise ArchiveError("unreadable", "The archive has archives in it; unpack them and zip one folder.")
        if member.file_size > limits.member_bytes and not is_other:
            raise _too_large(limits.member_bytes)
        is_data = takes_all or is_volume or name.endswith(IMAGE_SUFFIXES) or is_description(name)
        if is_data or is_other or is_outlines:
            chosen.append(_Member(member, parts, not is_other, is_data=is_data and not is_other))
    return chosen


def _empty(others: list[_Member]) -> ArchiveError:
    """Of an archive without one member that is read."""
    kinds = Counter(suffix_of(member.parts[-1]) or "without an ending" for member in others)
    found = f" but {', '.join(f'{count:,} {kind}' for kind, count in kinds.most_common())}" if kinds else ""
    is_dicom = any(kind in kinds for kind in ("without an ending", ".dcm", ".dicom", ".ima"))
    dicom = (
        " (DICOM is not read from a zip: give a folder of series with DICOM SEG or RTSTRUCT, or convert them to NIfTI)"
        if is_dicom
        else ""
    )
    return ArchiveError(
        "empty",
        f"The archive has no images ({', '.join(IMAGE_SUFFIXES)}){found}{dicom}; zip the data set's own folder."
        f"{remedies(kinds)}",
    )


def _safe_parts(name: str) -> tuple[str, ...]:
    """A member's path in parts; those that are `.`, as bsdtar (Windows' and macOS' tar) and jar write, are none.

    Raises ArchiveError, with the name, where it could lead anywhere but below the folder or is no name of a file.
    """
    parts = tuple(part for part in name.rstrip("/").split("/") if part != ".")
    is_safe = (
        not name.startswith("/")
        and not re.match("[A-Za-z]:", name)
        and len(parts) <= _DEEPEST
        and all(part not in ("", "..") and len(part.encode()) <= _LONGEST_NAME_BYTES for part in parts)
    )
    if not is_safe:
        raise ArchiveError(
            "unsafe",
            f"The archive has a member whose name leads out of it, or is none: {_quoted(name)}; zip the data set's own"
            " folder.",
        )
    return parts


def _printable(name: str) -> str:
    """A member's name without control characters, as an upload's: a line break would be one in every table."""
    return "".join(letter for letter in name if unicodedata.category(letter) not in ("Cc", "Cs"))


def _quoted(name: str) -> str:
    """A name's end as it can be shown: what is no letter is escaped."""
    return repr(name if len(name) <= _LONGEST_SHOWN else f"...{name[-_LONGEST_SHOWN:]}")


def _copy(source: IO[bytes], sink: IO[bytes], most: int) -> int:
    """Copy and count the bytes that really come, whatever a header says. Raises ArchiveError over the limit."""
    written = 0
    while piece := source.read(_PIECE_BYTES):
        written += len(piece)
        if written > most:
            raise _too_large(most)
        sink.write(piece)
    return written


def _unread_method(method: int) -> ArchiveError:
    packed = f"by {_OTHER_METHODS[method]}" if method in _OTHER_METHODS else f"by a method (number {method})"
    return ArchiveError(
        "unsupported",
        f"The archive is packed {packed}, which is not read here; zip the files again by the method Deflate (in 7-Zip:"
        " Add to archive, zip, Deflate), or in several archives of less than 2 GB.",
    )


def _too_many(limits: ArchiveLimits) -> ArchiveError:
    return ArchiveError("limit", f"The archive has more than {limits.members:,} members; split it.")


def _too_large(most: int) -> ArchiveError:
    return ArchiveError(
        "limit", f"The archive unpacks to more than it may ({max(most, 0) / 1e6:,.0f} MB here); split it."
    )

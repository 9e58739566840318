"""Admission: from a client's bytes to a stored scan with a queued segmentation.

Hostile bytes are parsed once, here, in the sandbox; after it everything works on plain arrays.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ml.scans import ScanError
from ml.scans.sandbox import Decoded, DecoderError
from webapp.domain import segmentations
from webapp.domain.errors import DecoderUnavailable, UploadRejected
from webapp.domain.models import Scan, new_id
from webapp.domain.portal import Portal
from webapp.domain.storage import original_key, scan_prefix, stack_key, translated_errors

CHUNK_BYTES = 1_048_576

# What a name may be long in the database and in a row of the history; file systems allow 255 bytes.
LONGEST_NAME = 255


@dataclass(frozen=True)
class Received:
    """An upload in a temporary file, not looked at yet."""

    path: Path
    filename: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Accepted:
    """A stored scan and its queued segmentation."""

    scan_id: str
    segmentation_id: str


@contextmanager
def received(portal: Portal, stream: BinaryIO, filename: str, *, is_archive: bool = False) -> Iterator[Received]:
    """Copy a client's stream to a temporary file, which is gone after the block unless it was stored.

    is_archive: an evaluation's zip, which has a limit of its own. Raises UploadRejected (no name, empty, over the
    limit), StorageFull, StorageUnavailable.
    """
    settings = portal.settings
    most, setting = (
        (settings.max_archive_bytes, "GLIOSCOPE_MAX_ARCHIVE_MB")
        if is_archive
        else (settings.max_upload_bytes, "GLIOSCOPE_MAX_UPLOAD_MB")
    )
    name = display_name(filename)
    # The request has been spooled already, so an archive's true size is known: mostly far below its large limit.
    portal.storage.check(_size_of(stream) if is_archive else most)
    path = portal.storage.temporary_file()
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
            raise UploadRejected("empty", "The file is empty; choose the scan's own file.")
        yield Received(path, name, digest.hexdigest(), size)
    finally:
        path.unlink(missing_ok=True)


def admit(
    portal: Portal, upload: Received, *, model: str | None, threshold: float | None, origin: str = "upload"
) -> Accepted:
    """Decode, store, and queue. Raises UploadRejected, InvalidInput, StorageFull, StorageUnavailable.

    Nothing is left behind where it raises.
    """
    card = portal.catalog.card(model)
    wanted = segmentations.checked_threshold(threshold, card.threshold)
    stack = portal.storage.temporary_file()
    scan_id = new_id()
    try:
        decoded = _decode(portal, upload.path, stack)
        # Files first, then the row: a crash between the two leaves a file that the sweeper removes, never a row
        # without its file.
        portal.storage.put(upload.path, original_key(scan_id))
        portal.storage.put(stack, stack_key(scan_id))
        with portal.database.write() as session:
            session.add(_scan_row(scan_id, upload, decoded, origin))
            session.flush()
            segmentation = segmentations.add(session, scan_id, model=card.name, version=card.version, threshold=wanted)
            accepted = Accepted(scan_id, segmentation.id)
    except BaseException:
        portal.storage.delete(scan_prefix(scan_id))
        raise
    finally:
        stack.unlink(missing_ok=True)
    segmentations.announce(portal, accepted.segmentation_id)
    return accepted


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


def _size_of(stream: BinaryIO) -> int:
    position = stream.tell()
    size = stream.seek(0, 2)
    stream.seek(position)
    return size


def _decode(portal: Portal, source: Path, stack: Path) -> Decoded:
    with translated_errors():  # the stack may find no room
        try:
            return portal.decoder.decode(source, stack)
        except ScanError as error:
            raise UploadRejected(error.code, error.message) from error
        except DecoderError as error:
            raise DecoderUnavailable("Files cannot be read right now; try again in a few seconds.") from error


def _scan_row(scan_id: str, upload: Received, decoded: Decoded, origin: str) -> Scan:
    return Scan(
        id=scan_id,
        filename=upload.filename,
        origin=origin,
        format=decoded.format,
        width=decoded.width,
        height=decoded.height,
        slice_count=decoded.slice_count,
        spacing_mm=list(decoded.spacing_mm) if decoded.spacing_mm else None,
        sha256=upload.sha256,
        bytes=upload.bytes,
        warnings=[*decoded.warnings, *(["synthetic"] if origin == "phantom" else [])],
    )

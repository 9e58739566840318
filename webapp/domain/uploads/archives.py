"""Zips that were uploaded: unpacked in the sandbox within the settings' limits, with the portal's own errors."""

from pathlib import Path
from typing import BinaryIO

from ml.datasets.archive import ArchiveError, ArchiveLimits
from ml.datasets.unpacking import unpack_archive
from webapp.domain.errors import UploadRejected
from webapp.domain.resources import Resources
from webapp.domain.storage.interface import RESERVE_BYTES, translated_errors
from webapp.domain.uploads.receiving import Received
from webapp.domain.uploads.sandbox_errors import sandbox_errors

# PKWARE's APPNOTE 4.3: a member, or the end of an empty archive.
_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")


def is_zip(stream: BinaryIO) -> bool:
    """Whether a file begins as a zip does, whatever it is called."""
    head = stream.read(4)
    stream.seek(0)
    return head in _SIGNATURES


def unpack(resources: Resources, upload: Received, folder: Path, timeout_s: float, *, takes_all: bool = False) -> None:
    """Unpack an uploaded zip into an existing empty folder, which the caller removes where this raises.

    takes_all: of `ml.datasets.unpacking.unpack_archive`. Raises UploadRejected (what is wrong with the archive),
    StorageFull, StorageUnavailable, DecoderUnavailable.
    """
    settings = resources.settings
    limits = ArchiveLimits(
        settings.max_archive_files, settings.max_upload_bytes, settings.max_unpacked_bytes, RESERVE_BYTES
    )
    try:
        with translated_errors(), sandbox_errors("Archives cannot be unpacked right now; try again in a few seconds."):
            unpack_archive(upload.path, folder, limits, timeout_s, takes_all=takes_all)
    except ArchiveError as error:
        raise UploadRejected(error.code, error.message) from error

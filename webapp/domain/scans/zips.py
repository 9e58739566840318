"""Zips among the files of an upload: unpacked in the sandbox, and treated like the files in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO

from ml.datasets.archive import ArchiveError, ArchiveLimits
from ml.datasets.unpacking import unpack_archive
from ml.sandbox.launcher import SandboxError
from webapp.domain.database.orm import new_id
from webapp.domain.errors import DecoderUnavailable, UploadRejected
from webapp.domain.resources import Resources
from webapp.domain.storage.interface import RESERVE_BYTES, translated_errors
from webapp.domain.uploads import receiving
from webapp.domain.uploads.receiving import UploadedFile

UNPACK_TIMEOUT_S = 120.0
# PKWARE's APPNOTE 4.3: a member, or the end of an empty archive.
_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")


def is_zip(stream: BinaryIO) -> bool:
    """Whether a file begins as a zip does, whatever it is called."""
    head = stream.read(4)
    stream.seek(0)
    return head in _SIGNATURES


@contextmanager
def unpacked(resources: Resources, file: UploadedFile) -> Iterator[list[tuple[str, Path]]]:
    """The files of a zip, gone after the block unless they were stored: paths as a client would name them, and on disk.

    Raises UploadRejected (what is wrong with the archive), StorageFull, StorageUnavailable, DecoderUnavailable.
    """
    settings, folder_name = resources.settings, new_id()
    with receiving.received(resources, file.stream, file.filename, is_archive=True) as upload:
        folder = resources.folders.make(folder_name)
        try:
            limits = ArchiveLimits(
                settings.max_archive_files, settings.max_upload_bytes, settings.max_unpacked_bytes, RESERVE_BYTES
            )
            with translated_errors():
                unpack_archive(upload.path, folder, limits, UNPACK_TIMEOUT_S, takes_all=True)
            yield _named(folder, PurePath(upload.filename).stem)
        except ArchiveError as error:
            raise UploadRejected(error.code, error.message) from error
        except SandboxError as error:
            raise DecoderUnavailable("Zips cannot be unpacked right now; try again in a few seconds.") from error
        finally:
            resources.folders.delete(folder_name)


def _named(folder: Path, stem: str) -> list[tuple[str, Path]]:
    """Below the zip's own name, unless all of it is in one folder, which has a name already."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in paths]
    is_one_folder = len({name.partition("/")[0] for name in names}) == 1 and all("/" in name for name in names)
    return list(zip(names if is_one_folder else [f"{stem}/{name}" for name in names], paths, strict=True))

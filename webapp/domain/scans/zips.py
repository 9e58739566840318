"""Zips among the files of an upload: unpacked in the sandbox, and treated like the files in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from ml.datasets.file_names import natural_key
from webapp.domain.database.orm import new_id
from webapp.domain.resources import Resources
from webapp.domain.uploads import archives, receiving
from webapp.domain.uploads.receiving import UploadedFile

UNPACK_TIMEOUT_S = 120.0


@contextmanager
def unpacked(resources: Resources, file: UploadedFile) -> Iterator[list[tuple[str, Path]]]:
    """The files of a zip, gone after the block unless they were stored: paths as a client would name them, and on disk.

    Raises UploadRejected (what is wrong with the archive), StorageFull, StorageUnavailable, DecoderUnavailable.
    """
    folder_name = new_id()
    with receiving.received(resources, file.stream, file.filename, is_archive=True) as upload:
        folder = resources.folders.make(folder_name)
        try:
            archives.unpack(resources, upload, folder, UNPACK_TIMEOUT_S, takes_all=True)
            yield _named(folder, PurePath(upload.filename).stem)
        finally:
            resources.folders.delete(folder_name)


def _named(folder: Path, stem: str) -> list[tuple[str, Path]]:
    """Below the zip's own name, unless all of it is in one folder, which has a name already."""
    paths = sorted(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: natural_key(path.as_posix())
    )
    names = [path.relative_to(folder).as_posix() for path in paths]
    is_one_folder = len({name.partition("/")[0] for name in names}) == 1 and all("/" in name for name in names)
    return list(zip(names if is_one_folder else [f"{stem}/{name}" for name in names], paths, strict=True))

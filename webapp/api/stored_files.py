"""A file of the storage as an answer."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from flask import Response, send_file

from webapp.context import resources
from webapp.domain.errors import DataLost, StorageUnavailable
from webapp.downloads import fitting


def attachment(key: str, mimetype: str, name: str, missing: str, *, length: int | None = None) -> Response:
    """The stored bytes to be saved under `name`, kept by no cache. length: how many a row says that they are.

    Raises DataLost with the sentence `missing` where a row names a file that the storage has not, or another one.
    """
    if length is not None:
        try:
            with resources().storage.local_copy(key) as path:
                found = path.stat().st_size
        except FileNotFoundError as error:
            raise DataLost(missing) from error
        if found != length:
            raise DataLost(f"The stored file has {found:,} bytes of {length:,}; restore it, or delete the scan.")
    response = inline(key, mimetype, missing, as_attachment=True, download_name=fitting(name))
    response.headers["Cache-Control"] = "no-store"
    return response


def inline(key: str, mimetype: str, missing: str, **options: object) -> Response:
    """The stored bytes to be shown. options: of Flask's `send_file`. Raises StorageUnavailable as `attachment`."""
    try:
        with resources().storage.local_copy(key) as path:
            # A key is written once, so it is the name of its bytes, too; a copy's path and date are not.
            return send_file(path, mimetype=mimetype, etag=sha256(key.encode()).hexdigest()[:32], **options)  # type: ignore[arg-type]
    except FileNotFoundError as error:
        raise StorageUnavailable(missing) from error


def written(write: Callable[[Path], None], media_type: str, name: str) -> Response:
    """A file that is made for one answer and has no name any more when it is sent."""
    path = resources().storage.temporary_file()
    try:
        write(path)
        file = path.open("rb")
    finally:
        path.unlink(missing_ok=True)
    response = send_file(file, mimetype=media_type, as_attachment=True, download_name=fitting(name))
    response.headers["Cache-Control"] = "no-store"
    return response

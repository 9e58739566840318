"""A file of the storage as an answer."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path

from flask import Response, send_file

from webapp.context import resources
from webapp.domain.errors import DataLost, StorageUnavailable
from webapp.downloads import fitting


@dataclass(frozen=True)
class Content:
    """What a row says of a stored file: its size in bytes and its SHA-256, in hexadecimal digits."""

    length: int
    sha256: str


def attachment(key: str, mimetype: str, name: str, missing: str, *, content: Content | None = None) -> Response:
    """The stored bytes to be saved under `name`, kept by no cache. content: what a row says of them, which is looked at
    before the first byte is sent (a large file's in a tenth of a second).

    Raises DataLost with the sentence `missing` where a row names a file that the storage has not, or another one.
    """
    if content is not None:
        try:
            with resources().storage.local_copy(key) as path, path.open("rb") as file:
                found = path.stat().st_size
                digest = file_digest(file, "sha256").hexdigest() if found == content.length else ""
        except FileNotFoundError as error:
            raise DataLost(missing) from error
        if found != content.length:
            raise DataLost(
                f"The stored file has {found:,} bytes of {content.length:,}; restore it, or delete the scan."
            )
        if digest != content.sha256:
            raise DataLost("The stored file is not what was sent any more; restore it, or delete the scan.")
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
    response = send_file(file, mimetype=media_type, as_attachment=True, download_name=fitting(name), conditional=False)
    response.headers["Cache-Control"] = "no-store"
    return response

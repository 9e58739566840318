"""The POST that makes an evaluation, for the API and the form: a folder's path or a zip, done once for each key."""

import hashlib
import json
from collections.abc import Callable

from flask import request

from webapp.domain.errors import UploadRejected
from webapp.domain.evaluations import submission
from webapp.domain.evaluations.submission import Wish
from webapp.domain.resources import Portal
from webapp.domain.uploads import idempotency, receiving

ARCHIVE_FIELD = "archive"


def take_folder(portal: Portal, path: str, wish: Wish, key: str | None) -> str:
    """Queue an evaluation of a folder; its id. Raises FolderRefused, InvalidInput, KeyReused, KeyInUse."""
    return _once(portal, key, ["folder", path], wish, lambda: submission.from_folder(portal, path, wish))


def take_archive(portal: Portal, wish: Wish, key: str | None) -> str:
    """Queue an evaluation of the request's zip; its id.

    Raises UploadRejected, InvalidInput, StorageFull, StorageUnavailable, KeyReused, KeyInUse.
    """
    file = request.files.get(ARCHIVE_FIELD)
    if file is None:
        raise UploadRejected(
            "no_file", f"The request has no archive; send a zip in the form field `{ARCHIVE_FIELD}`, or a path as JSON."
        )
    with receiving.received(portal, file.stream, file.filename or "", is_archive=True) as upload:
        return _once(
            portal,
            key,
            ["archive", upload.filename, upload.sha256],
            wish,
            lambda: submission.from_archive(portal, upload, wish),
        )


def _once(portal: Portal, key: str | None, source: list[str], wish: Wish, work: Callable[[], str]) -> str:
    body = json.dumps([*source, wish.model, wish.threshold, wish.name]).encode()
    answer = idempotency.once(
        portal,
        scope="POST evaluations",
        key=key,
        body_sha256=hashlib.sha256(body).hexdigest(),
        work=lambda: {"evaluation": work()},
    )
    return str(answer["evaluation"])

"""The POST that makes an evaluation, for the API and the form: a folder's path or a zip, done once for each key."""

import hashlib
import json
from collections.abc import Callable

from flask import request

from webapp.domain.errors import UploadRejected
from webapp.domain.evaluations import submission
from webapp.domain.evaluations.submission import EvaluationOptions
from webapp.domain.resources import Resources
from webapp.domain.uploads import idempotency, receiving

ARCHIVE_FIELD = "archive"


def take_folder(resources: Resources, path: str, options: EvaluationOptions, key: str | None) -> str:
    """Queue an evaluation of a folder; its id. Raises FolderRefused, InvalidInput, KeyReused, KeyInUse."""
    return _once(resources, key, ["folder", path], options, lambda: submission.from_folder(resources, path, options))


def take_archive(resources: Resources, options: EvaluationOptions, key: str | None) -> str:
    """Queue an evaluation of the request's zip; its id.

    Raises UploadRejected, InvalidInput, StorageFull, StorageUnavailable, KeyReused, KeyInUse.
    """
    file = request.files.get(ARCHIVE_FIELD)
    if file is None:
        raise UploadRejected(
            "no_file", f"The request has no archive; send a zip in the form field `{ARCHIVE_FIELD}`, or a path as JSON."
        )
    with receiving.received(resources, file.stream, file.filename or "", is_archive=True) as upload:
        return _once(
            resources,
            key,
            ["archive", upload.filename, upload.sha256],
            options,
            lambda: submission.from_archive(resources, upload, options),
        )


def _once(
    resources: Resources, key: str | None, source: list[str], options: EvaluationOptions, work: Callable[[], str]
) -> str:
    body = json.dumps([*source, options.model, options.threshold, options.name]).encode()
    answer = idempotency.once(
        resources,
        scope="POST evaluations",
        key=key,
        body_sha256=hashlib.sha256(body).hexdigest(),
        work=lambda: {"evaluation": work()},
    )
    return str(answer["evaluation"])

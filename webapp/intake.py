"""The files of one POST, for the API and the form: each is admitted, or refused with a sentence."""

import hashlib
import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from flask import request

from webapp.domain.errors import (
    DatabaseUnavailable,
    DecoderUnavailable,
    PortalError,
    StorageFull,
    StorageUnavailable,
    UploadRejected,
)
from webapp.domain.resources import Resources
from webapp.domain.scans import admission
from webapp.domain.uploads import idempotency, receiving
from webapp.domain.uploads.receiving import Received


@dataclass(frozen=True)
class Rejected:
    """A file that was not admitted, and why."""

    filename: str
    code: str
    message: str


@dataclass(frozen=True)
class Intake:
    """What became of the files of one POST."""

    scan_ids: tuple[str, ...]
    rejected: tuple[Rejected, ...]


class AllRejected(PortalError):
    """No file was admitted: the first one's code, sentence and status, and the list."""

    def __init__(self, first: UploadRejected, rejected: list[dict[str, str]]) -> None:
        super().__init__(first.message)
        self.code = first.code  # type: ignore[misc]
        self.status = first.status  # type: ignore[misc]
        self.rejected = rejected


def take_files(resources: Resources, *, model: str | None, threshold: float | None, key: str | None) -> Intake:
    """Admit every file of the request's field `file`.

    A bad file does not stop the others. Raises AllRejected, UploadRejected (no file, too many), InvalidInput,
    StorageFull, StorageUnavailable, KeyReused, KeyInUse.
    """
    files = request.files.getlist("file")
    if not files:
        raise UploadRejected("no_file", "The request has no file; send one or more in the form field `file`.")
    if len(files) > resources.settings.max_files_per_upload:
        raise UploadRejected(
            "too_many_files", f"At most {resources.settings.max_files_per_upload} files are taken at once; send fewer."
        )
    names = [file.filename or "" for file in files]
    with ExitStack() as stack:
        received: list[Received | UploadRejected] = []
        for file in files:
            try:
                received.append(stack.enter_context(receiving.received(resources, file.stream, file.filename or "")))
            except UploadRejected as error:
                received.append(error)
        answer = idempotency.once(
            resources,
            scope=f"POST {request.path}",
            key=key,
            body_sha256=_digest(names, received, model, threshold),
            work=lambda: _admit_all(resources, received, model, threshold),
        )
    rejected = tuple(Rejected(names[index], code, message) for index, code, message in answer["rejected"])
    if not answer["scans"]:
        first = rejected[0]
        raise AllRejected(UploadRejected(first.code, first.message), [vars(item) for item in rejected])
    return Intake(tuple(answer["scans"]), rejected)


def _admit_all(
    resources: Resources, received: list[Received | UploadRejected], model: str | None, threshold: float | None
) -> dict[str, Any]:
    """Ids and codes only: this is what an Idempotency-Key keeps."""
    scan_ids: list[str] = []
    rejected: list[tuple[int, str, str]] = []
    for index, upload in enumerate(received):
        try:
            if isinstance(upload, UploadRejected):
                raise upload
            scan_ids.append(admission.admit(resources, upload, model=model, threshold=threshold).scan_id)
        except UploadRejected as error:
            rejected.append((index, error.code, error.message))
        except (StorageFull, StorageUnavailable, DecoderUnavailable, DatabaseUnavailable) as error:
            # The machine's fault: an error where nothing is stored yet, else the files before it stay admitted.
            if not scan_ids:
                raise
            rejected.append((index, error.code, error.message))
    return {"scans": scan_ids, "rejected": rejected}


def _digest(
    names: list[str], received: list[Received | UploadRejected], model: str | None, threshold: float | None
) -> str:
    """What the client sent, apart from the multipart boundary, which differs at every try."""
    contents = [item.sha256 if isinstance(item, Received) else item.code for item in received]
    return hashlib.sha256(json.dumps([names, contents, model, threshold]).encode()).hexdigest()

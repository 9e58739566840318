"""Starting an evaluation, waiting for it, canceling it. What workers do is in `chunks`."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from sqlalchemy import select

from ml.datasets.file_names import is_text
from webapp.domain.catalog.thresholds import checked_threshold
from webapp.domain.database.orm import new_id
from webapp.domain.errors import InvalidInput, NotFound, OutcomeUnknown, UploadRejected
from webapp.domain.evaluations import sources, states
from webapp.domain.evaluations.models import ChunkKind, Evaluation, EvaluationChunk, SourceKind
from webapp.domain.jobs.broker import BATCH
from webapp.domain.jobs.models import OPEN_STATUSES, Status
from webapp.domain.jobs.wait import Waiters
from webapp.domain.resources import Resources
from webapp.domain.tracing import asked
from webapp.domain.uploads import archives, idempotency, receiving
from webapp.domain.uploads.receiving import Received, UploadedFile

ARCHIVE_FIELD = "archive"
LONGEST_NAME = 200
UNPACK_TIMEOUT_S = 600.0

waiters = Waiters(most=16)


@dataclass(frozen=True)
class EvaluationOptions:
    """What a person chose for an evaluation; None: the default."""

    model: str | None = None
    threshold: float | None = None
    name: str | None = None


def submit(
    resources: Resources, source: str | UploadedFile | None, options: EvaluationOptions, key: str | None = None
) -> str:
    """Queue an evaluation, once for each Idempotency-Key; its id. source: a folder's path, or a zip.

    Raises FolderRefused, UploadRejected, InvalidInput, StorageFull, StorageUnavailable, KeyReused, KeyInUse.
    """
    if source is None:
        raise UploadRejected(
            "no_file", f"The request has no archive; send a zip in the form field `{ARCHIVE_FIELD}`, or a path as JSON."
        )
    if isinstance(source, str):
        return _once(resources, key, ["folder", source], options, lambda: from_folder(resources, source, options))
    with receiving.received(resources, source.stream, source.filename, is_archive=True) as upload:
        identity = ["archive", upload.filename, upload.sha256]
        return _once(resources, key, identity, options, lambda: from_archive(resources, upload, options))


def from_folder(resources: Resources, path: str, options: EvaluationOptions) -> str:
    """Queue an evaluation of a folder; its id. Raises FolderRefused, InvalidInput, StorageFull."""
    folder = sources.resolve(resources.settings, path)
    resources.storage.check()
    return _queue(resources, new_id(), options, SourceKind.FOLDER, str(folder), folder.name)


def from_archive(resources: Resources, upload: Received, options: EvaluationOptions) -> str:
    """Unpack an uploaded zip and queue its evaluation; its id. The zip itself is not kept.

    Raises UploadRejected, InvalidInput, StorageFull, StorageUnavailable, DecoderUnavailable; nothing is left behind
    then. OutcomeUnknown leaves the folder to the sweeper.
    """
    return _from_own_folder(
        resources,
        lambda folder: archives.unpack(resources, upload, folder, UNPACK_TIMEOUT_S),
        options,
        upload.filename,
        PurePath(upload.filename).stem,
        is_archive=True,
    )


def from_scans(
    resources: Resources,
    write: Callable[[Path], None],
    identity: list[str],
    location: str,
    default_name: str,
    options: EvaluationOptions,
    key: str | None = None,
) -> str:
    """Queue an evaluation of what `write` puts into a folder of its own, once for each Idempotency-Key; its id.

    identity: of what is written, for the key. location: in words. Raises as `from_archive` does, and what `write` does.
    """
    return _once(
        resources,
        key,
        ["scans", *identity],
        options,
        lambda: _from_own_folder(resources, write, options, location, default_name),
    )


def wait(resources: Resources, evaluation_id: str, seconds: float, is_abandoned: Callable[[], bool]) -> None:
    """Come back when the evaluation has ended, at the latest after `seconds`, or when it `is_abandoned`.

    Raises NotFound, TooManyWaiting.
    """
    waiters.wait(lambda: _is_open(resources, evaluation_id), seconds, resources.endings, evaluation_id, is_abandoned)


def cancel(resources: Resources, evaluation_id: str) -> None:
    """End an open evaluation; finished cases stay. Raises NotFound, WrongState."""
    with resources.database.write() as session:
        states.cancel(session, evaluation_id)


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


def _from_own_folder(
    resources: Resources,
    write: Callable[[Path], object],
    options: EvaluationOptions,
    location: str,
    default_name: str,
    *,
    is_archive: bool = False,
) -> str:
    """Queue an evaluation of a folder that `write` fills and that goes with it; its id.

    is_archive: a folder around all files is the one that somebody packed, not a patient's that the portal made.
    Raises InvalidInput, before it writes, and what `write` does: nothing is left behind then.
    """
    checked_threshold(options.threshold, resources.catalog.card(options.model).threshold)
    evaluation_id = new_id()
    folder = resources.folders.make(evaluation_id)
    try:
        write(folder)
        # Folders first, then the row, as with uploads.
        wrapper = sources.wrapper_in(folder) if is_archive else None
        return _queue(resources, evaluation_id, options, SourceKind.ARCHIVE, location, default_name, wrapper)
    except OutcomeUnknown:  # a row may name the folder
        raise
    except BaseException:
        resources.folders.delete(evaluation_id)
        raise


@asked("evaluation")
def _queue(
    resources: Resources,
    evaluation_id: str,
    options: EvaluationOptions,
    source: SourceKind,
    location: str,
    default_name: str,
    data_folder: str | None = None,
) -> str:
    card = resources.catalog.card(options.model)
    name = " ".join((options.name or "").split())[:LONGEST_NAME] or default_name[:LONGEST_NAME] or "data set"
    if "\0" in name or not is_text(name):
        raise InvalidInput("A name is plain text; leave out what is none.")
    with resources.database.write() as session:
        session.add(
            Evaluation(
                id=evaluation_id,
                name=name,
                source=source,
                location=location,
                data_folder=data_folder,
                model=card.name,
                model_version=card.release,
                threshold=checked_threshold(options.threshold, card.threshold),
                min_tumor_pixels=card.min_tumor_pixels,
                status=Status.QUEUED,
            )
        )
        session.flush()
        session.add(EvaluationChunk(evaluation_id=evaluation_id, kind=ChunkKind.CHECK, status=Status.QUEUED))
    resources.queue.publish(BATCH)
    resources.traces.begin(evaluation_id)
    return evaluation_id


def _is_open(resources: Resources, evaluation_id: str) -> bool:
    with resources.database.read() as session:
        status = session.scalar(select(Evaluation.status).where(Evaluation.id == evaluation_id))
    if status is None:
        raise NotFound("There is no such evaluation.")
    return status in OPEN_STATUSES

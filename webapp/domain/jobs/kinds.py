"""The kinds of jobs, most urgent first: a new kind is one entry in KINDS, and its step in worker.jobs.runner.

This is the one module of `jobs` that knows the features; no feature imports it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, exists, false, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute, Session

from webapp.domain.errors import DataLost, PortalError
from webapp.domain.evaluations import chunks
from webapp.domain.evaluations.chunks import ChunkInput
from webapp.domain.evaluations.models import EvaluationChunk
from webapp.domain.jobs import lifecycle
from webapp.domain.jobs.broker import BATCH, INTERACTIVE, served
from webapp.domain.jobs.failure_codes import (
    DATA_LOST,
    INTERNAL,
    MACHINE_UNAVAILABLE,
    MODEL_UNAVAILABLE,
    OUT_OF_MEMORY,
    TIMEOUT,
)
from webapp.domain.jobs.lifecycle import Claim
from webapp.domain.jobs.models import JobColumns
from webapp.domain.resources import Resources
from webapp.domain.scans import segmentations
from webapp.domain.scans.models import Segmentation
from webapp.domain.scans.segmentations import SegmentationInput
from webapp.domain.settings import Settings

Row = TypeVar("Row", bound=JobColumns)
Input = TypeVar("Input")


@dataclass(frozen=True)
class JobKind(Generic[Row, Input]):
    """One table of jobs.

    describe: names a row in the log. subject: of `webapp.domain.jobs.endings`, the scan or evaluation whose end is
    waited for. timeout_s: how long a row's job may run. begin: reads what a claimed row needs, in the claim's
    transaction, and nothing but the database: other writers wait meanwhile. prepare: makes the step's input of that,
    after the commit. after_failure: what follows for other rows, in the transaction that ended the row as failed.
    messages: for each code with which the runner may end a job, what people read. says_why_it_waits: whether a
    released row shows the reason. order: what tells rows apart that were queued at one moment. queue: of
    `webapp.domain.jobs.broker`, whose workers do these jobs.
    """

    name: str
    queue: str
    table: type[Row]
    describe: Callable[[Row], str]
    subject: Callable[[Row], str]
    timeout_s: Callable[[Settings, Row], float]
    begin: Callable[[Session, Row], Any]
    prepare: Callable[[Resources, Any], Input]
    after_failure: Callable[[Session, str], None]
    messages: Mapping[str, str]
    says_why_it_waits: bool
    # The id of the trace that a row's work belongs to: what was asked for in one.
    trace: Callable[[Row], str] = lambda row: row.id
    order: Sequence[InstrumentedAttribute[Any]] = ()


@dataclass(frozen=True)
class ClaimedJob(Generic[Input]):
    """A claimed row as plain values, so that no session stays open while it runs. name: for the log.

    begun: what the step needs, or why it cannot be read. trace: of `webapp.domain.tracing`. subject: of
    `webapp.domain.jobs.endings`.
    """

    kind: JobKind[Any, Input]
    claim: Claim
    begun: Input | Exception
    name: str
    timeout_s: float
    trace: str
    subject: str
    # In the queue, of a first attempt; None of another, which waited for other reasons, too.
    waited_s: float | None

    @property
    def input(self) -> Input:
        """What the step needs. Raises what reading it raised, so that the runner ends the job as failed."""
        if isinstance(self.begun, Exception):
            raise self.begun
        return self.begun


GIVEN_UP = "The server could not do this for a day; mend what it says, and try again."

SEGMENTATION = JobKind[Segmentation, SegmentationInput](
    name="segmentation",
    queue=INTERACTIVE,
    table=Segmentation,
    describe=lambda row: f"segmentation {row.id}",
    subject=lambda row: row.scan_id,
    timeout_s=lambda settings, _row: settings.job_timeout_s,
    begin=segmentations.read_input,
    prepare=lambda _resources, begun: begun,
    after_failure=lambda _session, _id: None,
    messages={
        OUT_OF_MEMORY: "The scan is too large for this machine's memory; send fewer slices, or use a larger machine.",
        TIMEOUT: "Processing took longer than it may; send fewer slices, or raise GLIOSCOPE_JOB_TIMEOUT_S.",
        MODEL_UNAVAILABLE: "The model cannot be loaded; its package must be restored on the server.",
        DATA_LOST: "What was stored of the scan is missing or damaged; restore it, or delete the scan.",
        MACHINE_UNAVAILABLE: GIVEN_UP,
        INTERNAL: "Processing failed by a fault of this software; the server's log has it under this segmentation's"
        " id.",
    },
    says_why_it_waits=False,
)
EVALUATION_CHUNK = JobKind[EvaluationChunk, ChunkInput](
    name="evaluation_chunk",
    queue=BATCH,
    table=EvaluationChunk,
    describe=lambda row: f"evaluation {row.evaluation_id} {row.kind.value} chunk {row.id}",
    subject=lambda row: row.evaluation_id,
    timeout_s=lambda settings, row: chunks.timeout_s(settings, row.kind),
    begin=chunks.begin,
    prepare=chunks.prepare,
    after_failure=chunks.after_failure,
    messages={
        OUT_OF_MEMORY: "This needs more memory than there is; use smaller images, or a larger machine.",
        TIMEOUT: "This took longer than it may; use fewer or smaller files, or raise the time limits of the settings.",
        MODEL_UNAVAILABLE: "The model cannot be loaded, or is not the one that the evaluation began with; restore its"
        " package and evaluate again.",
        DATA_LOST: "What was stored of the evaluation is missing or damaged; restore it, or evaluate again.",
        MACHINE_UNAVAILABLE: GIVEN_UP,
        INTERNAL: "This failed by a fault of this software; the server's log has it under the evaluation's id.",
    },
    says_why_it_waits=True,
    trace=lambda row: row.evaluation_id,
    order=(EvaluationChunk.position,),
)

# A person waits for a segmentation and not for a chunk. (`Any`: each entry's own types fit together, and differ.)
KINDS: tuple[JobKind[Any, Any], ...] = (SEGMENTATION, EVALUATION_CHUNK)


def served_kinds(settings: Settings) -> tuple[JobKind[Any, Any], ...]:
    """The kinds that a worker of these settings does, most urgent first."""
    return tuple(kind for kind in KINDS if kind.queue in served(settings.worker_jobs))


def claim_next(
    resources: Resources, worker_id: str, kinds: Sequence[JobKind[Any, Any]] = KINDS
) -> ClaimedJob[Any] | None:
    """Take the oldest ready job of the first of these kinds that has one. Raises DatabaseUnavailable."""
    return next((job for kind in kinds if (job := claim(resources, kind, worker_id)) is not None), None)


def is_any_ready(resources: Resources, kinds: Sequence[JobKind[Any, Any]]) -> bool:
    """Whether a job of these kinds could be claimed; it only reads. Raises DatabaseUnavailable."""
    with resources.database.read() as session:
        return bool(session.scalar(select(_is_one_ready([kind.table for kind in kinds]))))


def claim(
    resources: Resources, kind: JobKind[Row, Input], worker_id: str, *conditions: ColumnElement[bool]
) -> ClaimedJob[Input] | None:
    """Take the oldest ready job of this kind that meets the conditions, and read what it needs."""
    settings, database = resources.settings, resources.database
    # A power cut ends this worker and SQLite alike: the row is then still queued. PostgreSQL may run elsewhere, and
    # would give another worker an attempt that is running.
    with database.write(waits_for_disk=not database.is_sqlite) as session:
        found = lifecycle.claim_next(
            session, kind.table, *conditions, order=kind.order, worker_id=worker_id, lease_s=settings.lease_s
        )
        if found is None:
            return None
        row = session.get_one(kind.table, found.id)
        name = f"{kind.describe(row)} attempt {found.attempt}"
        timeout_s, trace, subject = kind.timeout_s(settings, row), kind.trace(row), kind.subject(row)
        waited_s = None
        if found.attempt == 1 and not row.releases and row.started_at is not None:
            waited_s = max(0.0, (row.started_at - row.queued_at).total_seconds())
        # A job that cannot be read is claimed all the same: else every worker would meet it first, again and again.
        begun: Any
        try:
            with session.begin_nested():
                begun = kind.begin(session, row)
        except SQLAlchemyError:
            raise
        except Exception as error:  # noqa: BLE001 - the runner ends the job with it
            begun = error
    if not isinstance(begun, Exception):
        try:
            begun = kind.prepare(resources, begun)
        except Exception as error:  # noqa: BLE001 - as above
            begun = error
    return ClaimedJob(kind, found, begun, name, timeout_s, trace, subject, waited_s)


def fail(resources: Resources, job: ClaimedJob[Any], code: str, message: str = "") -> bool:
    """End a job as failed, with what follows from it; False where the lease is lost. Raises DatabaseUnavailable."""
    with resources.database.write() as session:
        if not lifecycle.fail(session, job.claim, code=code, message=message or job.kind.messages[code]):
            return False
        job.kind.after_failure(session, job.claim.id)
        return True


def release(resources: Resources, job: ClaimedJob[Any], error: PortalError) -> bool:
    """Put a job back into the queue, for a fault of the machine; False where the lease is lost.

    error: what the machine has not got right now. A job that waited for a day of it ends as failed; one whose data are
    lost has its attempts, since a disk may only be away. Raises DatabaseUnavailable.
    """
    is_lost = isinstance(error, DataLost)
    if is_lost and job.claim.tries >= resources.settings.max_attempts:
        return fail(resources, job, DATA_LOST, error.message)
    if lifecycle.has_waited_enough(job.claim.releases):
        return fail(resources, job, MACHINE_UNAVAILABLE, f"{GIVEN_UP} {error.message}")
    reason = {"code": error.code, "message": error.message} if job.kind.says_why_it_waits else {}
    with resources.database.write() as session:
        return lifecycle.release(session, job.claim, costs_attempt=is_lost, **reason)


def publish_if_ready(resources: Resources) -> bool:
    """Wake a worker where a job is ready and no message lies in its queue. Raises DatabaseUnavailable.

    One message a queue is enough: the worker that claims a job calls this before it runs it, so that all idle workers
    wake one after the other, and there are never more messages than workers to read them.
    """
    empty = [name for name, length in resources.queue.lengths().items() if length == 0]
    if not empty:
        return False
    tables = {name: [kind.table for kind in KINDS if kind.queue == name] for name in empty}
    with resources.database.read() as session:
        found = session.execute(select(*map(_is_one_ready, tables.values()))).one()
    published = [resources.queue.publish(name) for name, is_ready in zip(tables, found, strict=True) if is_ready]
    return any(published)


def _is_one_ready(tables: Sequence[type[JobColumns]]) -> ColumnElement[bool]:
    return or_(false(), *(exists().where(lifecycle.is_ready(table)) for table in tables))

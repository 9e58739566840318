"""The sweeper: brings back what a crash left. `python -m worker.recovery.sweeper` runs it every few seconds.

It needs no memory of its own for being right: everything it does is an atomic change of a row that is as it saw it.
Two sweepers at once do no harm.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from webapp.domain import logs
from webapp.domain.errors import PortalError
from webapp.domain.evaluations import chunks, states, submission
from webapp.domain.evaluations.models import Evaluation, EvaluationCase, EvaluationChunk
from webapp.domain.jobs import lifecycle
from webapp.domain.jobs.broker import EVALUATION_QUEUE_NAME, QUEUE_NAME
from webapp.domain.jobs.lifecycle import ExpiredLease
from webapp.domain.jobs.models import JobColumns, Status
from webapp.domain.resources import Resources
from webapp.domain.scans import segmentations
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.settings import Settings
from webapp.domain.uploads import idempotency

logger = logging.getLogger(__name__)

# Hints sent in one sweep at most; the next sweep sends the rest.
MOST_HINTS = 1000
# Tidying reads every stored file's time: once an hour, and only what is older than any upload or job can be.
DELETE_ORPHANS_EVERY_S = 3600.0
ORPHAN_AGE_S = 3600.0


@dataclass(frozen=True)
class SweepReport:
    """What one sweep did: jobs brought back or ended, and hints sent again."""

    recovered: int
    hinted: int


@dataclass(frozen=True)
class JobKind:
    """One table of jobs: its queue, how to hint at one, its time limit, and what follows from a failure."""

    table: type[JobColumns]
    queue: str
    announce: Callable[[Resources, str], bool]
    timeout_s: Callable[[Resources, Session, str], float]
    after_failure: Callable[[Session, str], str | None]


def _chunk_timeout_s(resources: Resources, session: Session, chunk_id: str) -> float:
    kind = session.scalar(select(EvaluationChunk.kind).where(EvaluationChunk.id == chunk_id))
    return resources.settings.job_timeout_s if kind is None else chunks.timeout_s(resources, kind)


JOB_KINDS = (
    JobKind(
        Segmentation,
        QUEUE_NAME,
        segmentations.announce,
        lambda resources, _session, _id: resources.settings.job_timeout_s,
        lambda _session, _id: None,
    ),
    JobKind(EvaluationChunk, EVALUATION_QUEUE_NAME, submission.announce, _chunk_timeout_s, chunks.after_failure),
)


class Sweeper:
    """Requeues what lost its lease, and hints again at what lost its hint."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._suspects: dict[tuple[type[JobColumns], ExpiredLease], float] = {}
        self._tidied_at = -DELETE_ORPHANS_EVERY_S

    def sweep(self) -> SweepReport:
        """One round. Raises DatabaseUnavailable."""
        report = SweepReport(recovered=self._recover(), hinted=sum(self._hint_again(kind) for kind in JOB_KINDS))
        if report.recovered or report.hinted:
            logger.info("recovered %d, hinted %d", report.recovered, report.hinted)
        return report

    def delete_orphans_when_due(self) -> None:
        """Remove files without a row and keys past their time, at most once an hour."""
        if time.monotonic() - self._tidied_at >= DELETE_ORPHANS_EVERY_S:
            self._tidied_at = time.monotonic()
            delete_orphans(self._resources, older_than_s=ORPHAN_AGE_S)

    def _recover(self) -> int:
        """A lease counts as lost when it stayed expired for a whole heartbeat: a clock that jumps ahead expires every
        lease at once, and a live job renews its own within a heartbeat."""
        now = time.monotonic()
        with self._resources.database.read() as session:
            expired = [(kind, lease) for kind in JOB_KINDS for lease in lifecycle.expired_leases(session, kind.table)]
        self._suspects = {(kind.table, lease): self._suspects.get((kind.table, lease), now) for kind, lease in expired}
        return sum(
            self._recover_one(kind, lease)
            for kind, lease in expired
            if now - self._suspects[kind.table, lease] >= self._resources.settings.heartbeat_s
        )

    def _recover_one(self, kind: JobKind, lease: ExpiredLease) -> bool:
        with self._resources.database.write() as session:
            is_changed = lifecycle.recover(
                session,
                kind.table,
                lease,
                max_attempts=self._resources.settings.max_attempts,
                timeout_s=kind.timeout_s(self._resources, session, lease.id),
            )
            status = session.scalar(select(kind.table.status).where(kind.table.id == lease.id))
            follower = kind.after_failure(session, lease.id) if is_changed and status is Status.FAILED else None
        if is_changed:
            logger.warning("%s %s attempt %d: lease lost, now %s", kind.table.__name__, lease.id, lease.attempt, status)
            for job_id in (lease.id if status is Status.QUEUED else None, follower):
                if job_id is not None:
                    kind.announce(self._resources, job_id)
        return is_changed

    def _hint_again(self, kind: JobKind) -> int:
        """Queued rows that no hint stands for: the broker holds none, and they have waited for a whole sweep."""
        if self._resources.queue.length(kind.queue) != 0:
            return 0
        with self._resources.database.read() as session:
            waiting = lifecycle.waiting(session, kind.table, since_s=self._resources.settings.sweep_s, limit=MOST_HINTS)
        return sum(kind.announce(self._resources, job_id) for job_id in waiting)


def delete_orphans(resources: Resources, *, older_than_s: float) -> int:
    """Remove stored files that no row names, older than that, and what else is past its time; says how many files."""
    count = resources.storage.delete_temporary(older_than_s)
    named: dict[str, frozenset[str]] = {}
    for key in list(resources.storage.keys(older_than_s)):
        if not (
            _is_named_by_scan(resources, key)
            if key.startswith("scans/")
            else _is_named_by_evaluation(resources, key, named)
        ):
            resources.storage.delete(key)
            count += 1
    for folder in resources.storage.folders(older_than_s):
        # `ID`: an unpacked archive; `ID.report.ATTEMPT`: what a crashed report left.
        evaluation_id, _, is_scratch = folder.partition(".")
        with resources.database.read() as session:
            is_known = session.scalar(select(Evaluation.id).where(Evaluation.id == evaluation_id)) is not None
        if is_scratch or not is_known:
            resources.storage.delete_folder(folder)
            count += 1
    idempotency.forget_old(resources)
    resources.database.forget_deleted()
    if count:
        logger.info("removed %d files that no row named", count)
    return count


def _is_named_by_scan(resources: Resources, key: str) -> bool:
    scan_id, name = key.split("/")[-2:]
    with resources.database.read() as session:
        if session.scalar(select(Scan.id).where(Scan.id == scan_id)) is None:
            return False
        is_map = name not in ("original", "stack.npy")
        return not is_map or bool(session.scalar(select(Segmentation.id).where(Segmentation.map_key == key).limit(1)))


def _is_named_by_evaluation(resources: Resources, key: str, named: dict[str, frozenset[str]]) -> bool:
    """Groups of cases, the findings and the report that the rows of an evaluation name. named: those seen already."""
    evaluation_id = key.split("/")[2]
    if evaluation_id not in named:
        with resources.database.read() as session:
            keys = session.scalars(
                select(EvaluationCase.map_key).where(EvaluationCase.evaluation_id == evaluation_id).distinct()
            ).all()
            row = session.get(Evaluation, evaluation_id)
            prefixes = () if row is None else states.kept_prefixes(row)
        named[evaluation_id] = frozenset(item for item in (*keys, *prefixes) if item)
    return key in named[evaluation_id] or any(key.startswith(f"{item}/") for item in named[evaluation_id])


def main() -> None:
    """Sweep until SIGTERM or SIGINT."""
    logs.configure()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    resources = Resources.open(Settings.from_environment())
    sweeper = Sweeper(resources)
    while not stopped.is_set():
        try:
            sweeper.sweep()
            sweeper.delete_orphans_when_due()
        except PortalError as error:
            logger.warning("this sweep ended early: %s", error.code)
        stopped.wait(resources.settings.sweep_s)
    resources.close()


if __name__ == "__main__":
    main()

"""Figures of the portal as a whole, for its metrics."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from webapp.domain.database.clock import database_now
from webapp.domain.database.ownership import everyone
from webapp.domain.evaluations.models import Evaluation, EvaluationChunk
from webapp.domain.jobs import workers
from webapp.domain.jobs.broker import QUEUES
from webapp.domain.jobs.kinds import KINDS
from webapp.domain.jobs.models import JobColumns, Status
from webapp.domain.resources import Resources
from webapp.domain.scans import segmentations
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.stages import Stage

STAGE_SAMPLE = 500
QUANTILES = (0.5, 0.95)
# Nothing may stay `running` longer than this past its lease.
STUCK_AFTER_S = 60.0


@dataclass(frozen=True)
class Statistics:
    """`queue_workers` by the names in `broker.QUEUES`; a worker of both counts in each. `stage_seconds` by (stage,
    quantile)."""

    jobs_by_status: dict[str, int]
    chunks_by_status: dict[str, int]
    queue_age_s: float
    evaluation_queue_age_s: float
    stuck_jobs: int
    waiting_jobs: int
    live_workers: int
    queue_workers: dict[str, int]
    stage_seconds: dict[tuple[str, str], float]


def read(resources: Resources) -> Statistics:
    """Ask the database. Raises DatabaseUnavailable."""
    with everyone(), resources.database.read() as session:
        chunks = dict(
            session.execute(select(EvaluationChunk.status, func.count()).group_by(EvaluationChunk.status)).all()
        )
        timings = session.scalars(
            select(Segmentation.timings_ms)
            .where(Segmentation.finished_at.is_not(None), Segmentation.status == Status.SUCCEEDED)
            .order_by(Segmentation.finished_at.desc())
            .limit(STAGE_SAMPLE)
        ).all()
        lease_s = resources.settings.lease_s
        return Statistics(
            jobs_by_status=segmentations.counts_by_status(session),
            chunks_by_status={status.value: chunks.get(status, 0) for status in Status},
            queue_age_s=_age_s(session, Segmentation),
            evaluation_queue_age_s=_age_s(session, EvaluationChunk),
            stuck_jobs=_count(session, _is_stuck),
            waiting_jobs=_count(session, _waits_after_a_release),
            live_workers=workers.live_workers(session, lease_s),
            queue_workers={queue: workers.live_workers(session, lease_s, queue) for queue in QUEUES},
            stage_seconds=_quantiles(timings, resources.stages.recent()),
        )


def _age_s(session: Session, table: type[JobColumns]) -> float:
    """How long the oldest queued row has waited; 0 where none waits."""
    oldest, now = session.execute(
        select(func.min(table.queued_at), database_now()).where(table.status == Status.QUEUED)
    ).one()
    return max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0.0


@dataclass(frozen=True)
class Stored:
    """What everybody's scans and evaluations take. original_bytes: of the files as they were sent; the maps and stacks
    made of them come on top. free_bytes: of the disk where files lie; None in a bucket."""

    scans: int
    evaluations: int
    original_bytes: int
    free_bytes: int | None


def stored(resources: Resources) -> Stored:
    """Count what is kept. Raises DatabaseUnavailable."""
    with everyone(), resources.database.read() as session:
        scans, size = session.execute(select(func.count(), func.coalesce(func.sum(Scan.bytes), 0))).one()
        evaluations = session.scalar(select(func.count()).select_from(Evaluation)) or 0
    folder = resources.settings.storage
    try:
        free = None if "://" in folder else shutil.disk_usage(folder).free
    except OSError:
        free = None  # nothing was stored yet, or the disk is away, which readiness says
    return Stored(scans, evaluations, int(size), free)


def _count(session: Session, is_meant: Callable[[type[JobColumns]], ColumnElement[bool]]) -> int:
    """Jobs of all kinds that meet the condition."""
    tables = (kind.table for kind in KINDS)
    return sum(session.scalar(select(func.count()).select_from(item).where(is_meant(item))) or 0 for item in tables)


def _is_stuck(table: type[JobColumns]) -> ColumnElement[bool]:
    return (table.status == Status.RUNNING) & (table.lease_until < database_now(-STUCK_AFTER_S))


def _waits_after_a_release(table: type[JobColumns]) -> ColumnElement[bool]:
    return (table.status == Status.QUEUED) & (table.releases > 0)


def _quantiles(
    timings_ms: Sequence[dict[str, float]], of_web: Mapping[Stage, Sequence[float]]
) -> dict[tuple[str, str], float]:
    """timings_ms: of runs. of_web: seconds of what the web process does."""
    seconds: dict[str, list[float]] = {stage.value: list(taken) for stage, taken in of_web.items()}
    for row in timings_ms:
        for stage, taken_ms in row.items():
            seconds.setdefault(stage, []).append(taken_ms / 1000)
    return {
        (stage, str(quantile)): float(np.quantile(seconds[stage], quantile))
        for stage in sorted(seconds)
        for quantile in QUANTILES
    }

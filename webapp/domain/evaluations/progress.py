"""How far an evaluation is: rows done of rows in all, how fast, and how long it still takes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from webapp.domain.database.clock import database_now
from webapp.domain.evaluations.models import CaseOutcome, ChunkKind, Evaluation, EvaluationCase, EvaluationChunk
from webapp.domain.jobs.models import OPEN_STATUSES, Status

# The rate is taken over so long: it follows a second worker that joins, and does not jump with every group of cases.
RATE_WINDOW_S = 30.0


class Stage(StrEnum):
    """What an evaluation is at; webapp.schemas.labels has the words."""

    WAITING = "waiting"
    CHECKING = "checking"
    RUNNING = "running"
    REPORTING = "reporting"
    ENDED = "ended"


@dataclass(frozen=True)
class Progress:
    """total: None until the cases are listed.

    rate_per_s: of the last half minute, None while nothing is finished. outcomes: cases by outcome. waits_for: why
    chunks were put back (a full disk), None for nearly all evaluations.
    """

    stage: Stage
    total: int | None
    checked: int
    done: int
    failed: int
    rate_per_s: float | None
    seconds_left: float | None
    outcomes: dict[str, int]
    mean_dice: float | None
    waits_for: str | None


@dataclass(frozen=True)
class CaseCounts:
    """Finished cases: by outcome, their mean Dice (of slices with tumor), and cases a second from first to last."""

    outcomes: dict[str, int]
    mean_dice: float | None
    rate_per_s: float | None


def progress(session: Session, evaluation: Evaluation) -> Progress:
    """Ask the rows; of an ended evaluation, what was counted at its end."""
    is_open = evaluation.status in OPEN_STATUSES
    counts = CaseCounts(**evaluation.counts) if evaluation.counts is not None else count(session, evaluation.id)
    done = sum(counts.outcomes.values())
    rate = _rate_now(session, evaluation.id, done) if is_open else counts.rate_per_s
    left = None
    if is_open and rate and evaluation.case_count is not None:
        left = max(evaluation.case_count - done, 0) / rate
    return Progress(
        stage=_stage(session, evaluation),
        total=evaluation.case_count,
        checked=evaluation.checked_count,
        done=done,
        failed=counts.outcomes.get(CaseOutcome.FAILED.value, 0),
        rate_per_s=rate,
        seconds_left=left,
        outcomes=counts.outcomes,
        mean_dice=counts.mean_dice,
        waits_for=_waits_for(session, evaluation) if is_open else None,
    )


def count(session: Session, evaluation_id: str) -> CaseCounts:
    """Count the finished cases, in one query that an index answers alone."""
    dice = EvaluationCase.dice
    rows = session.execute(
        select(EvaluationCase.outcome, func.count(), func.count(dice), func.sum(dice))
        .where(EvaluationCase.evaluation_id == evaluation_id)
        .group_by(EvaluationCase.outcome)
    ).all()
    done = sum(number for _, number, _, _ in rows)
    measured = sum(number for _, _, number, _ in rows)
    mean_dice = sum(total or 0.0 for _, _, _, total in rows) / measured if measured else None
    rate = done / case_seconds(session, evaluation_id) if done else None
    return CaseCounts({outcome.value: number for outcome, number, _, _ in rows}, mean_dice, rate)


def case_seconds(session: Session, evaluation_id: str) -> float:
    """Seconds from the end of the check to the last finished case: what `slices_per_second` is taken over."""
    first, last = _span(session, evaluation_id)
    return max((last - first).total_seconds(), 1e-3) if first is not None and last is not None else 1e-3


def training_slices(session: Session, evaluation_id: str) -> int:
    """How many compared cases are slices that the model was trained on, by their pixels."""
    is_counted = (EvaluationCase.evaluation_id == evaluation_id, EvaluationCase.is_of_training.is_(True))
    return session.scalar(select(func.count()).where(*is_counted)) or 0


def _span(session: Session, evaluation_id: str) -> Any:
    last = select(func.max(EvaluationCase.finished_at)).where(EvaluationCase.evaluation_id == evaluation_id)
    first = select(EvaluationChunk.finished_at).where(
        EvaluationChunk.evaluation_id == evaluation_id, EvaluationChunk.kind == ChunkKind.CHECK
    )
    return session.scalar(first), session.scalar(last)


def _rate_now(session: Session, evaluation_id: str, done: int) -> float | None:
    """Cases a second over the last half minute, or since the check where that was later."""
    first, _ = _span(session, evaluation_id)
    if not done or first is None:
        return None
    now = session.scalar(select(database_now()))
    window = min(RATE_WINDOW_S, (now - first).total_seconds())
    recent = session.scalar(
        select(func.count())
        .select_from(EvaluationCase)
        .where(EvaluationCase.evaluation_id == evaluation_id, EvaluationCase.finished_at > database_now(-RATE_WINDOW_S))
    )
    return (recent or 0) / max(window, 0.1) or None


def _stage(session: Session, evaluation: Evaluation) -> Stage:
    if evaluation.status not in OPEN_STATUSES:
        return Stage.ENDED
    if evaluation.status is Status.QUEUED:
        return Stage.WAITING
    open_kinds = set(
        session.scalars(
            select(EvaluationChunk.kind)
            .where(EvaluationChunk.evaluation_id == evaluation.id, EvaluationChunk.status.in_(OPEN_STATUSES))
            .distinct()
        )
    )
    if ChunkKind.CHECK in open_kinds:
        return Stage.CHECKING
    return Stage.REPORTING if open_kinds == {ChunkKind.REPORT} else Stage.RUNNING


def _waits_for(session: Session, evaluation: Evaluation) -> str | None:
    return session.scalar(
        select(EvaluationChunk.error_message)
        .where(
            EvaluationChunk.evaluation_id == evaluation.id,
            EvaluationChunk.status == Status.QUEUED,
            EvaluationChunk.error_message.is_not(None),
        )
        .limit(1)
    )

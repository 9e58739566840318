"""How far an evaluation is: rows done of rows in all, how fast, and how long it still takes."""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from cachetools import LRUCache
from sqlalchemy import ColumnElement, ScalarSelect, func, select
from sqlalchemy.orm import Session

from webapp.domain.database.clock import database_now
from webapp.domain.evaluations.models import CaseOutcome, ChunkKind, Evaluation, EvaluationCase, EvaluationChunk
from webapp.domain.jobs.models import OPEN_STATUSES, Status

# The rate is taken over so long: it follows a second worker that joins, and does not jump with every group of cases.
RATE_WINDOW_S = 30.0
RATE_WINDOW = timedelta(seconds=RATE_WINDOW_S)


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
class Tally:
    """Cases of some positions. by_outcome: how many, how many with a Dice, and the sum of these."""

    by_outcome: dict[CaseOutcome, tuple[int, int, float]]

    def plus(self, other: "Tally") -> "Tally":
        """Of the positions of both."""
        found = dict(self.by_outcome)
        for outcome, (number, measured, total) in other.by_outcome.items():
            before = found.get(outcome, (0, 0, 0.0))
            found[outcome] = (before[0] + number, before[1] + measured, before[2] + total)
        return Tally(found)

    @property
    def outcomes(self) -> dict[str, int]:
        """Cases by outcome."""
        return {outcome.value: number for outcome, (number, _, _) in self.by_outcome.items()}

    @property
    def mean_dice(self) -> float | None:
        """None where no case has one."""
        measured = sum(number for _, number, _ in self.by_outcome.values())
        return sum(total for _, _, total in self.by_outcome.values()) / measured if measured else None


# Evaluations that run at the same time and are looked at.
MOST_COUNTED = 100
# By evaluation: the position up to which its cases are counted, and their tally.
_counted: LRUCache[str, tuple[int, Tally]] = LRUCache(MOST_COUNTED)
_lock = threading.Lock()


@dataclass(frozen=True)
class CaseCounts:
    """Finished cases: by outcome, their mean Dice (of slices with tumor), and cases a second from first to last."""

    outcomes: dict[str, int]
    mean_dice: float | None
    rate_per_s: float | None


def progress(session: Session, evaluation: Evaluation) -> Progress:
    """Ask the rows; of an ended evaluation, what was counted at its end."""
    is_open = evaluation.status in OPEN_STATUSES
    if evaluation.counts is not None:
        counts = CaseCounts(**evaluation.counts)
    elif is_open:
        tally = _tally_so_far(session, evaluation.id)
        counts = CaseCounts(tally.outcomes, tally.mean_dice, None)
    else:
        counts = count(session, evaluation.id)
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
    tally = _tally(session, evaluation_id)
    done = sum(tally.outcomes.values())
    rate = done / case_seconds(session, evaluation_id) if done else None
    return CaseCounts(tally.outcomes, tally.mean_dice, rate)


def _tally(session: Session, evaluation_id: str, *where: ColumnElement[bool]) -> Tally:
    dice = EvaluationCase.dice
    rows = session.execute(
        select(EvaluationCase.outcome, func.count(), func.count(dice), func.sum(dice))
        .where(EvaluationCase.evaluation_id == evaluation_id, *where)
        .group_by(EvaluationCase.outcome)
    ).all()
    return Tally({outcome: (number, measured, total or 0.0) for outcome, number, measured, total in rows})


def _tally_so_far(session: Session, evaluation_id: str) -> Tally:
    """Of a running evaluation, whose page asks every few seconds: what lies before its first open chunk is counted
    once.

    Each case of an ended chunk has its row, and no row is changed or removed while its evaluation is there.
    """
    open_from = session.scalar(
        select(func.min(EvaluationChunk.position)).where(
            EvaluationChunk.evaluation_id == evaluation_id,
            EvaluationChunk.kind == ChunkKind.CASES,
            EvaluationChunk.status.in_(OPEN_STATUSES),
        )
    )
    with _lock:
        until, tally = _counted.get(evaluation_id, (0, Tally({})))
    position = EvaluationCase.position
    if open_from is not None and open_from > until:
        tally = tally.plus(_tally(session, evaluation_id, position >= until, position < open_from))
        until = open_from
        with _lock:
            _counted[evaluation_id] = (until, tally)
    return tally.plus(_tally(session, evaluation_id, position >= until))


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
    return session.scalar(select(_end_of_check(evaluation_id))), session.scalar(last)


def _end_of_check(evaluation_id: str) -> ScalarSelect[datetime | None]:
    return (
        select(EvaluationChunk.finished_at)
        .where(EvaluationChunk.evaluation_id == evaluation_id, EvaluationChunk.kind == ChunkKind.CHECK)
        .scalar_subquery()
    )


def _rate_now(session: Session, evaluation_id: str, done: int) -> float | None:
    """Cases a second over the last half minute, or since the check where that was later."""
    if not done:
        return None
    first, now = session.execute(select(_end_of_check(evaluation_id), database_now())).one()
    if first is None:
        return None
    window = min(RATE_WINDOW_S, (now - first).total_seconds())
    recent = session.scalar(
        select(func.count())
        .select_from(EvaluationCase)
        # A time that is known beforehand: PostgreSQL compares its clock, which goes on, with every row.
        .where(EvaluationCase.evaluation_id == evaluation_id, EvaluationCase.finished_at > now - RATE_WINDOW)
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

"""The state of an evaluation, which follows its chunks: the only writer of `Evaluation.status`.

    queued --first claim--> running --report written--> succeeded
                               |---- check or report failed, nothing to report ---> failed
                               '---- cancel ---------> cancelled   (also from queued)

Whoever changes both, locks chunks before their evaluation: PostgreSQL would find a deadlock otherwise.
"""

from dataclasses import asdict

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from webapp.domain.database.clock import database_now
from webapp.domain.errors import NotFound, WrongState
from webapp.domain.evaluations import progress
from webapp.domain.evaluations.models import ChunkKind, Evaluation, EvaluationChunk
from webapp.domain.jobs import lifecycle
from webapp.domain.jobs.models import OPEN_STATUSES, Status


def begin(session: Session, evaluation_id: str) -> None:
    """The first chunk was claimed."""
    session.execute(
        update(Evaluation)
        .where(Evaluation.id == evaluation_id, Evaluation.status == Status.QUEUED)
        .values(status=Status.RUNNING, started_at=database_now())
        .execution_options(synchronize_session=False)
    )


def lock(session: Session, evaluation_id: str) -> Evaluation | None:
    """The evaluation, locked against other writers until the transaction ends; None where it is gone or has ended."""
    row = session.scalar(
        select(Evaluation)
        .where(Evaluation.id == evaluation_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return row if row is not None and row.status in OPEN_STATUSES else None


def end(session: Session, evaluation_id: str, status: Status, **values: object) -> bool:
    """End an open evaluation; its open chunks end with it. False where it has ended already."""
    cancel_chunks(session, evaluation_id)
    # No chunk is open any more, so no case is written any more.
    counts = asdict(progress.count(session, evaluation_id))
    changed = lifecycle.rows_changed(
        session,
        update(Evaluation)
        .where(Evaluation.id == evaluation_id, Evaluation.status.in_(OPEN_STATUSES))
        .values(status=status, finished_at=database_now(), counts=counts, **values),
    )
    # Chunks that were being written while the first call waited for their rows.
    cancel_chunks(session, evaluation_id)
    return changed == 1


def cancel(session: Session, evaluation_id: str) -> None:
    """End an evaluation because a person asked for it; what is finished stays. Raises NotFound, WrongState."""
    if end(session, evaluation_id, Status.CANCELLED):
        return
    status = session.scalar(select(Evaluation.status).where(Evaluation.id == evaluation_id))
    if status is None:
        raise NotFound("There is no such evaluation.")
    raise WrongState(f"Only a queued or running evaluation can be cancelled; this one is {status.value}.")


def cancel_chunks(session: Session, evaluation_id: str) -> None:
    """End every open chunk; what a worker still writes for it changes 0 rows."""
    lifecycle.cancel_all(session, EvaluationChunk, EvaluationChunk.evaluation_id == evaluation_id)


def settle(session: Session, evaluation_id: str) -> None:
    """Queue the report when no chunk of cases is open any more.

    Under the evaluation's lock, so that of two workers that finish the last two chunks one sees both as finished.
    """
    if lock(session, evaluation_id) is None:
        return
    kinds = session.execute(
        select(EvaluationChunk.kind, EvaluationChunk.status).where(EvaluationChunk.evaluation_id == evaluation_id)
    ).all()
    is_checked = any(kind is ChunkKind.CHECK and status is Status.SUCCEEDED for kind, status in kinds)
    is_busy = any(kind is not ChunkKind.CHECK and status in OPEN_STATUSES for kind, status in kinds)
    has_report = any(kind is ChunkKind.REPORT for kind, _ in kinds)
    if is_checked and not is_busy and not has_report:
        session.add(EvaluationChunk(evaluation_id=evaluation_id, kind=ChunkKind.REPORT, status=Status.QUEUED))

"""What storage and the private folders keep of an evaluation: the keys, prefixes and folders that its rows name."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from webapp.domain.evaluations.models import ChunkKind, Evaluation, EvaluationCase, EvaluationChunk
from webapp.domain.jobs.models import Status
from webapp.domain.storage.keys import findings_key, report_folder, report_prefix


def named(session: Session, evaluation_id: str) -> frozenset[str]:
    """Groups of its cases, its findings, and the prefix of its report; nothing where there is no such evaluation."""
    evaluation = session.get(Evaluation, evaluation_id)
    if evaluation is None:
        return frozenset()
    groups = session.scalars(
        select(EvaluationCase.map_key)
        .where(EvaluationCase.evaluation_id == evaluation_id, EvaluationCase.map_key.is_not(None))
        .distinct()
    )
    kept = {key for key in groups if key}
    if evaluation.findings is not None:
        kept.add(findings_key(evaluation.id, evaluation.findings["attempt"]))
    if evaluation.report_attempt is not None:
        kept.add(report_prefix(evaluation.id, evaluation.report_attempt))
    return frozenset(kept)


def named_folders(session: Session, evaluation_id: str) -> frozenset[str]:
    """Its unpacked archive, and the folder of a report that is just being made."""
    if session.scalar(select(Evaluation.id).where(Evaluation.id == evaluation_id)) is None:
        return frozenset()
    attempts = session.scalars(
        select(EvaluationChunk.attempt).where(
            EvaluationChunk.evaluation_id == evaluation_id,
            EvaluationChunk.kind == ChunkKind.REPORT,
            EvaluationChunk.status == Status.RUNNING,
        )
    )
    return frozenset((evaluation_id, *(report_folder(evaluation_id, attempt) for attempt in attempts)))

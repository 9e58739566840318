"""A case as the check of its evaluation listed it: what its row does not say."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from webapp.domain.evaluations import manifest
from webapp.domain.evaluations.manifest import ListedCase
from webapp.domain.evaluations.models import ChunkKind, EvaluationChunk


def listed_case(session: Session, evaluation_id: str, position: int) -> ListedCase | None:
    """None where the list is one of another version."""
    cases = session.scalar(
        select(EvaluationChunk.cases)
        .where(
            EvaluationChunk.evaluation_id == evaluation_id,
            EvaluationChunk.kind == ChunkKind.CASES,
            EvaluationChunk.position <= position,
        )
        .order_by(EvaluationChunk.position.desc())
        .limit(1)
    )
    try:
        return next((one for one in manifest.decode(cases or ()) if one.position == position), None)
    except manifest.UnreadableCases:
        return None

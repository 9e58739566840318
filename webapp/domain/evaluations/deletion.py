"""Deleting an evaluation with everything that was kept for it."""

from sqlalchemy import delete as delete_rows
from sqlalchemy.orm import Session

from webapp.domain.database.tombstones import Tombstone
from webapp.domain.errors import NotFound
from webapp.domain.evaluations.models import Evaluation, EvaluationChunk
from webapp.domain.resources import Resources
from webapp.domain.storage.keys import evaluation_prefix


def delete(resources: Resources, evaluation_id: str) -> None:
    """Delete an evaluation with its cases, maps, report and unpacked files; a tombstone stays. Raises NotFound.

    A worker in the middle of a chunk finds its row gone, and what it has is discarded.
    """
    resources.database.delete(lambda session: _delete_rows(session, evaluation_id))
    # Rows first: the sweeper removes what cannot be removed now.
    try:
        remove_files(resources, evaluation_id)
    finally:
        resources.images.delete(evaluation_id)
        resources.database.forget_deleted()


def _delete_rows(session: Session, evaluation_id: str) -> None:
    session.execute(delete_rows(EvaluationChunk).where(EvaluationChunk.evaluation_id == evaluation_id))
    gone = session.scalar(delete_rows(Evaluation).where(Evaluation.id == evaluation_id).returning(Evaluation.id))
    if gone is None:
        raise NotFound("There is no such evaluation.")
    session.add(Tombstone(id=evaluation_id, kind="evaluation"))


def remove_files(resources: Resources, evaluation_id: str) -> None:
    """Everything that storage has of an evaluation. Raises StorageUnavailable."""
    resources.storage.delete(evaluation_prefix(evaluation_id))
    resources.folders.delete(evaluation_id)

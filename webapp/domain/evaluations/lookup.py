"""Finding evaluations: one, or a page of them."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from webapp.domain.database import paging
from webapp.domain.database.orm import is_id
from webapp.domain.database.paging import Keyset, Page
from webapp.domain.errors import NotFound
from webapp.domain.evaluations.models import Evaluation

LARGEST_LIMIT = 200
_NEWEST = Keyset("newest", (Evaluation.created_at, Evaluation.id), is_descending=True)


def get(session: Session, evaluation_id: str) -> Evaluation:
    """One evaluation. Raises NotFound."""
    row = session.get(Evaluation, evaluation_id) if is_id(evaluation_id) else None
    if row is None:
        raise NotFound("There is no such evaluation.")
    return row


def page(session: Session, *, limit: int, cursor: str = "") -> Page[Evaluation]:
    """One page, newest first. Raises InvalidInput for a cursor that is not ours."""
    return paging.page(session, select(Evaluation), _NEWEST, limit=min(max(limit, 1), LARGEST_LIMIT), cursor=cursor)

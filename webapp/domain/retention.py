"""How long scans, evaluations and lines of the audit log are kept.

What is older goes as if somebody deleted it, and the audit log says so, of its own lines, too.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from webapp.domain.accounts import audit
from webapp.domain.accounts.audit import Event
from webapp.domain.database import changes
from webapp.domain.database.changes import Changed
from webapp.domain.database.clock import database_now
from webapp.domain.errors import NotFound
from webapp.domain.evaluations import deletion
from webapp.domain.evaluations.models import Evaluation
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup
from webapp.domain.scans.models import Scan

logger = logging.getLogger(__name__)

DAY_S = 86_400.0


@dataclass(frozen=True)
class Old:
    """The ids of what was uploaded, or begun, longer ago than it is kept; oldest first."""

    scans: tuple[str, ...]
    evaluations: tuple[str, ...]


def find(resources: Resources, days: int) -> Old:
    """What is older than these days by the database's clock. Raises DatabaseUnavailable."""
    limit = database_now(-days * DAY_S)
    with resources.database.read() as session:
        scans, evaluations = (
            tuple(session.scalars(select(kind.id).where(kind.created_at < limit).order_by(kind.created_at, kind.id)))
            for kind in (Scan, Evaluation)
        )
    return Old(scans, evaluations)


def purge(resources: Resources, days: int, *, by: str) -> Old:
    """Delete what is older than these days, one at a time; what another deleted meanwhile is left out of the answer.

    by: who, in the log's column of addresses. Raises DatabaseUnavailable, StorageUnavailable.
    """
    old = find(resources, days)
    gone = Old(
        _delete_each(resources, "scan", old.scans, lookup.delete, days, by),
        _delete_each(resources, "evaluation", old.evaluations, deletion.delete, days, by),
    )
    if gone.scans or gone.evaluations:
        logger.info("%d scans and %d evaluations were kept for %d days", len(gone.scans), len(gone.evaluations), days)
    return gone


def cut_audit(resources: Resources, days: int, *, by: str) -> int:
    """Cut off what is older than these days of the audit log: the number of lines. Raises DatabaseUnavailable."""
    number = audit.cut(resources.database, days, by=by)
    if number:
        logger.info("%d lines of the audit log were kept for %d days", number, days)
    return number


def _delete_each(
    resources: Resources, kind: str, ids: Sequence[str], delete: Callable[[Resources, str], object], days: int, by: str
) -> tuple[str, ...]:
    def append(session: Session, changed: Changed) -> None:
        details = {"days": days, "ids": changed.ids}
        audit.append(session, Event(f"purge.{kind}", "ok", None, by, None, details))

    gone: list[str] = []
    with changes.told(append):
        for one in ids:
            try:
                delete(resources, one)
            except NotFound:
                continue  # with what it was a part of, or by somebody else
            gone.append(one)
    return tuple(gone)

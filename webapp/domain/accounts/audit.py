"""The audit log: who did what to which object, when, and what came of it. Lines are appended and never changed.

Each line's digest covers the line and the digest before it: whoever changes, adds or takes out a line must write all
later digests anew, and then the newest one is not the one that was noted elsewhere. No line has a patient's value: ids
and names of actions alone.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.domain.accounts.models import AuditEntry
from webapp.domain.database.clock import database_now
from webapp.domain.database.engine import Database
from webapp.domain.errors import DatabaseUnavailable

# Before the first line.
START = "0" * 64
_AT_ONCE = 1000


@dataclass(frozen=True)
class Event:
    """What is to be written down. outcome: an HTTP status, or `ok`. details: ids, counts and names of settings."""

    action: str
    outcome: str
    user_id: str | None = None
    address: str = ""
    object_id: str | None = None
    details: dict[str, Any] | None = None


@dataclass(frozen=True)
class Verdict:
    """What a look at the whole log found. broken_at: the number of the first line that is not as it was written."""

    lines: int
    head: str
    broken_at: int | None


def record(database: Database, event: Event) -> None:
    """Append one line in a transaction of its own. Raises DatabaseUnavailable."""
    for _ in range(10):
        try:
            with database.write() as session:
                append(session, event)
            return
        except IntegrityError:
            continue  # another process took the number
    raise DatabaseUnavailable("The audit log is being written by too many at once; try again in a few seconds.")


def append(session: Session, event: Event) -> None:
    """Append one line in the session's transaction, which fails with IntegrityError where another took its number."""
    last = session.execute(
        select(AuditEntry.number, AuditEntry.digest).order_by(AuditEntry.number.desc()).limit(1)
    ).first()
    number, before = (last.number + 1, last.digest) if last is not None else (1, START)
    entry = AuditEntry(number=number, at=session.scalar(select(database_now())), **vars(event))
    entry.address, entry.action = event.address[:64], event.action[:100]
    entry.digest = _digest(before, entry)
    session.add(entry)
    session.flush()


def newest(session: Session, limit: int, before: int | None = None) -> list[AuditEntry]:
    """The last lines, newest first; `before`: those with a smaller number."""
    statement = select(AuditEntry).order_by(AuditEntry.number.desc()).limit(limit)
    return list(session.scalars(statement.where(AuditEntry.number < before) if before is not None else statement))


def every(session: Session) -> Iterator[AuditEntry]:
    """All lines, in their order."""
    after = 0
    while rows := session.scalars(
        select(AuditEntry).where(AuditEntry.number > after).order_by(AuditEntry.number).limit(_AT_ONCE)
    ).all():
        yield from rows
        after = rows[-1].number
        session.expunge_all()


def verify(session: Session, noted: tuple[int, str] | None = None) -> Verdict:
    """Compute every digest again. noted: the number and digest of a line as somebody kept them elsewhere."""
    lines, head, broken_at = 0, START, None
    for entry in every(session):
        lines += 1
        is_sound = entry.number == lines and entry.digest == _digest(head, entry)
        if noted is not None and noted[0] == entry.number and noted[1] != entry.digest:
            is_sound = False
        if not is_sound and broken_at is None:
            broken_at = min(entry.number, lines)
        head = entry.digest
    if broken_at is None and noted is not None and noted[0] > lines:
        broken_at = lines + 1
    return Verdict(lines, head, broken_at)


def as_json(entry: AuditEntry) -> dict[str, Any]:
    """A line as it is exported."""
    return {**_content(entry), "digest": entry.digest}


def _content(entry: AuditEntry) -> dict[str, Any]:
    names = ("number", "user_id", "address", "action", "object_id", "outcome", "details")
    return {"at": _utc(entry.at), **{name: getattr(entry, name) for name in names}}


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _digest(before: str, entry: AuditEntry) -> str:
    text = json.dumps(_content(entry), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()

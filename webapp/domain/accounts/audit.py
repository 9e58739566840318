"""The audit log: who did what to which object, when, and what came of it. Lines are appended and never changed.

Each line's digest covers the line and the digest before it: whoever changes, adds or takes out a line must write all
later digests anew, and then the newest one is not the one that was noted elsewhere. Where the settings say for how long
lines are kept, the oldest are cut off, and a line at the end says where and with which digest. No line has a patient's
value: ids and names of actions alone.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.domain.accounts.models import AuditEntry
from webapp.domain.database.clock import database_now
from webapp.domain.database.engine import Database
from webapp.domain.errors import Conflict, DatabaseUnavailable

# Before the first line.
START = "0" * 64
CUT = "audit.cut"
LOGIN = "login"
MOST_FAILED = 20
DAY_S = 86_400.0
_AT_ONCE = 1000
# Of one transaction, which others wait for.
MOST_CUT = 20_000
# Of PostgreSQL's advisory locks: who appends a line, one after the other. Four bytes that nothing else here takes.
_LOCK = 0x61756474
_ATTEMPTS = 10


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
    """What a look at the whole log found: the numbers of its first and last line, 1 and 0 of an empty one.

    head: the last line's digest. broken_at: the number of the first line that is not as it was written.
    """

    first: int
    last: int
    head: str
    broken_at: int | None


@dataclass(frozen=True)
class FailedLogins:
    """How often a login failed. user_id: whose name was given; None where it was no user's."""

    user_id: str | None
    address: str
    failures: int
    last_at: datetime


def record(database: Database, event: Event, *, waits_for_disk: bool = True) -> None:
    """Append one line in a transaction of its own. Raises DatabaseUnavailable.

    waits_for_disk: as of `Database.write`.
    """
    with database.write(waits_for_disk=waits_for_disk) as session:
        append(session, event)


def cut(database: Database, days: int, *, by: str) -> int:
    """Take off the lines that are older than these days, and say so in a new one: how many went.

    by: who, in the column of addresses. Raises DatabaseUnavailable.
    """
    gone = 0
    while True:
        with database.write() as session:
            number = _cut_some(session, days, by)
        if not number:
            return gone
        gone += number


def append(session: Session, event: Event) -> None:
    """Append one line in the session's transaction, at its end: whoever appends one waits for this one's COMMIT.

    Raises DatabaseUnavailable.
    """
    if session.get_bind().dialect.name != "postgresql":
        _append(session, event)  # SQLite has one writer
        return
    session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    for _ in range(_ATTEMPTS):
        try:
            with session.begin_nested():
                _append(session, event)
            return
        except IntegrityError:
            continue  # a process of the version before took the number, which takes no lock
    raise DatabaseUnavailable("The audit log is being written by too many at once; try again in a few seconds.")


def _append(session: Session, event: Event) -> None:
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


def failed_logins(session: Session) -> list[FailedLogins]:
    """Of the last day, by user and address, those of most failures first, MOST_FAILED of them."""
    day = database_now(-DAY_S)
    # By the primary key: the lines before are not read.
    older = select(AuditEntry.number).where(AuditEntry.at < day).order_by(AuditEntry.number.desc()).limit(1)
    whose = AuditEntry.details["of"].as_string()
    failures = func.count().label("failures")
    statement = (
        select(whose, AuditEntry.address, failures, func.max(AuditEntry.at))
        .where(
            AuditEntry.number > func.coalesce(older.scalar_subquery(), 0),
            AuditEntry.at >= day,
            AuditEntry.action == LOGIN,
            AuditEntry.outcome == "401",
        )
        .group_by(whose, AuditEntry.address)
        .order_by(failures.desc(), func.max(AuditEntry.at).desc())
        .limit(MOST_FAILED)
    )
    return [FailedLogins(*row) for row in session.execute(statement)]


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
    """Compute every digest again. noted: the number and digest of a line as somebody kept them elsewhere.

    Raises Conflict where the noted line is not kept any more.
    """
    first = session.scalar(select(AuditEntry.number).order_by(AuditEntry.number).limit(1)) or 1
    last, head = _before(session, first)
    broken_at = None if last == first - 1 else min(last + 1, first)
    if noted is not None and noted[0] == last and noted[1] != head:
        broken_at = noted[0]
    elif noted is not None and noted[0] < last:
        raise Conflict(f"Line {noted[0]} was cut off by its age; the log begins with line {first}. Note a newer line.")
    for entry in every(session):
        last += 1
        is_sound = entry.number == last and entry.digest == _digest(head, entry)
        if noted is not None and noted[0] == entry.number and noted[1] != entry.digest:
            is_sound = False
        if not is_sound and broken_at is None:
            broken_at = min(entry.number, last)
        head = entry.digest
    if broken_at is None and noted is not None and noted[0] > last:
        broken_at = last + 1
    return Verdict(first, last, head, broken_at)


def as_json(entry: AuditEntry) -> dict[str, Any]:
    """A line as it is exported."""
    return {**_content(entry), "digest": entry.digest}


def _cut_some(session: Session, days: int, by: str) -> int:
    """Cut off the oldest lines up to the first that is young, MOST_CUT at most."""
    limit = database_now(-days * DAY_S)
    numbers = select(AuditEntry.number).order_by(AuditEntry.number)
    first = session.scalar(numbers.limit(1))
    young = session.scalar(numbers.where(AuditEntry.at >= limit).limit(1))
    if first is None or first == young:
        return 0
    last = session.scalar(numbers.order_by(None).order_by(AuditEntry.number.desc()).limit(1)) or first
    through = min(young - 1 if young is not None else last, first + MOST_CUT - 1)
    digest = session.scalar(select(AuditEntry.digest).where(AuditEntry.number == through))
    # First: its number follows that of the last line, which may go.
    append(session, Event(CUT, "ok", None, by, None, {"days": days, "through": through, "digest": digest}))
    session.execute(delete(AuditEntry).where(AuditEntry.number <= through))
    return through - first + 1


def _before(session: Session, first: int) -> tuple[int, str]:
    """Number and digest of the line that stood before the first one, as the newest cut says; 0 and START without."""
    newest_cut = select(AuditEntry).where(AuditEntry.action == CUT).order_by(AuditEntry.number.desc()).limit(1)
    entry = session.scalar(newest_cut) if first > 1 else None
    details = entry.details or {} if entry is not None else {}
    return int(details.get("through", 0)), str(details.get("digest", START))


def _content(entry: AuditEntry) -> dict[str, Any]:
    names = ("number", "user_id", "address", "action", "object_id", "outcome", "details")
    return {"at": _utc(entry.at), **{name: getattr(entry, name) for name in names}}


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _digest(before: str, entry: AuditEntry) -> str:
    text = json.dumps(_content(entry), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()

"""The life of a job: the only writer of a job row's state.

    queued --claim--> running --complete--> succeeded
      ^                  |---- fail ------> failed
      |--- requeue ------|---- cancel ----> cancelled   (also from queued)
      |--- release ------'
      '--- retry --- failed, cancelled

The row is the truth; a broker's message only wakes a worker. A claim takes a lease and an attempt number; every later
write of that run names both the attempt and the state `running`, so a run that lost its lease changes 0 rows.
Times come from the database's clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, CursorResult, Update, and_, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from webapp.domain.database.clock import database_now
from webapp.domain.database.ownership import OF_EVERYONE
from webapp.domain.errors import NotFound, WrongState
from webapp.domain.jobs.failure_codes import POISON, TIMEOUT
from webapp.domain.jobs.models import OPEN_STATUSES, JobColumns, Status

Job = TypeVar("Job", bound=JobColumns)

# What a person sees where the sweeper ends a job; docs/api.md lists the codes.
POISON_MESSAGE = "Processing stopped the worker {attempts} times; this file is not tried again."
TIMEOUT_MESSAGE = "Processing took longer than {timeout_s:g} seconds and was stopped."
# A released job waits 5, 10, 20, ... seconds: a full disk is noticed to be free within seconds, and one that stays full
# costs its jobs one try every five minutes.
FIRST_DELAY_S = 5.0
LONGEST_DELAY_S = 300.0
# A fault of the machine that lasts through so much waiting is nothing that passes.
MOST_WAITING_S = 24 * 3600.0


@dataclass(frozen=True)
class Claim:
    """The right to run a job: valid while the row is `running` under this attempt."""

    table: type[JobColumns]
    id: str
    attempt: int
    # How often the job was released before.
    releases: int = 0
    # The attempts that count, this one among them.
    tries: int = 1

    def is_valid(self) -> ColumnElement[bool]:
        """The condition under which this run may still write."""
        return and_(self.table.id == self.id, self.table.attempt == self.attempt, self.table.status == Status.RUNNING)


@dataclass(frozen=True)
class ExpiredLease:
    """A running row whose lease is over, as one sweep saw it."""

    id: str
    attempt: int
    lease_until: datetime


def is_ready(table: type[JobColumns]) -> ColumnElement[bool]:
    """The condition under which a row may be claimed: queued, and not waiting after a release."""
    return and_(table.status == Status.QUEUED, or_(table.not_before.is_(None), table.not_before <= database_now()))


def claim_next(
    session: Session,
    table: type[Job],
    *conditions: ColumnElement[bool],
    order: Sequence[InstrumentedAttribute[Any]] = (),
    worker_id: str,
    lease_s: float,
) -> Claim | None:
    """Take the ready job that was queued first and meets the conditions; None where there is none.

    One statement: SQLite runs one writer at a time, and PostgreSQL skips the rows that other workers are taking, so
    that no two workers get one job and none waits for another. order: what tells rows of one moment apart.
    """
    first = (
        select(table.id)
        .where(is_ready(table), *conditions)
        .order_by(table.created_at, *order, table.id)
        .limit(1)
        .with_for_update(skip_locked=True)  # left out on SQLite
        .correlate(None)
        .scalar_subquery()
    )
    row = session.execute(
        update(table)
        .where(table.id == first)
        .values(
            status=Status.RUNNING,
            attempt=table.attempt + 1,
            started_at=database_now(),
            lease_until=database_now(lease_s),
            worker_id=worker_id,
        )
        .returning(table.id, table.attempt, table.releases, table.attempts_before)
        .execution_options(synchronize_session=False)
    ).first()
    return None if row is None else Claim(table, row.id, row.attempt, row.releases, row.attempt - row.attempts_before)


def extend(session: Session, claim: Claim, *, lease_s: float) -> bool:
    """Renew the lease; False where it is lost."""
    return _changed(session, update(claim.table).where(claim.is_valid()).values(lease_until=database_now(lease_s)))


def complete(session: Session, claim: Claim, **result: object) -> bool:
    """Write the result and end the job, in one statement; False where the lease is lost and nothing was written."""
    return _end(session, claim, Status.SUCCEEDED, error_code=None, error_message=None, **result)


def has_succeeded(session: Session, claim: Claim) -> bool:
    """Whether this very run has ended its job with a result."""
    is_own = and_(claim.table.id == claim.id, claim.table.attempt == claim.attempt)
    return session.scalar(select(claim.table.status).where(is_own)) is Status.SUCCEEDED


def fail(session: Session, claim: Claim, *, code: str, message: str) -> bool:
    """End the job as failed; False where the lease is lost."""
    return _end(session, claim, Status.FAILED, error_code=code, error_message=message)


def release(
    session: Session,
    claim: Claim,
    *,
    costs_attempt: bool = False,
    code: str | None = None,
    message: str | None = None,
) -> bool:
    """Put the job back into the queue, for a fault that is not the job's own (a full disk): mostly it costs no attempt.

    It is claimed again after a delay that doubles with every release. code, message: why it waits; the next run's end
    writes over them.
    """
    return _changed(
        session,
        update(claim.table)
        .where(claim.is_valid())
        .values(
            **_QUEUED,
            attempts_before=claim.table.attempts_before + (0 if costs_attempt else 1),
            releases=claim.table.releases + 1,
            not_before=database_now(release_delay_s(claim.releases)),
            error_code=code,
            error_message=message,
        ),
    )


def release_delay_s(releases: int) -> float:
    """How long a job waits that was released so many times before."""
    return min(FIRST_DELAY_S * 2.0 ** min(releases, 10), LONGEST_DELAY_S)


def has_waited_enough(releases: int) -> bool:
    """Whether the delays of so many releases make up a day."""
    return sum(release_delay_s(count) for count in range(releases)) >= MOST_WAITING_S


def cancel(session: Session, table: type[Job], job_id: str) -> None:
    """End an open job because a person asked for it; a running one's result will change 0 rows.

    Raises NotFound, WrongState.
    """
    _change_or_explain(
        session,
        table,
        job_id,
        update(table)
        .where(table.id == job_id, table.status.in_(OPEN_STATUSES))
        .values(status=Status.CANCELLED, finished_at=database_now(), lease_until=None),
        "Only a queued or running job can be cancelled",
    )


def cancel_all(session: Session, table: type[Job], *conditions: ColumnElement[bool]) -> int:
    """End every open job that meets the conditions; the number of them."""
    statement = update(table).where(table.status.in_(OPEN_STATUSES), *conditions)
    return rows_changed(
        session, statement.values(status=Status.CANCELLED, finished_at=database_now(), lease_until=None)
    )


def retry(session: Session, table: type[Job], job_id: str) -> None:
    """Queue a failed or cancelled job again, with all its attempts anew. Raises NotFound, WrongState."""
    _change_or_explain(
        session,
        table,
        job_id,
        update(table)
        .where(table.id == job_id, table.status.in_((Status.FAILED, Status.CANCELLED)))
        .values(
            **_QUEUED,
            attempts_before=table.attempt,
            releases=0,
            not_before=database_now(),
            finished_at=None,
            error_code=None,
            error_message=None,
        ),
        "Only a failed or cancelled job can be tried again",
    )


def expired_leases(session: Session, table: type[Job]) -> frozenset[ExpiredLease]:
    """Every running job whose lease is over."""
    rows = session.execute(
        select(table.id, table.attempt, table.lease_until).where(
            table.status == Status.RUNNING, table.lease_until < database_now()
        )
    )
    return frozenset(ExpiredLease(job_id, attempt, until) for job_id, attempt, until in rows if until is not None)


def recover(session: Session, table: type[Job], lost: ExpiredLease, *, max_attempts: int, timeout_s: float) -> bool:
    """End or requeue a job whose worker is gone: over its time, over its attempts, or back into the queue.

    Over its time is a job whose lease was kept for as long: the hours for which the machine slept, was off or stood
    still are none that it ran. False where the lease was renewed, or the job ended, since it was seen expired.
    """
    is_lost = and_(
        table.id == lost.id,
        table.attempt == lost.attempt,
        table.status == Status.RUNNING,
        table.lease_until == lost.lease_until,
    )
    ended = {"status": Status.FAILED, "finished_at": database_now(), "lease_until": None}
    timed_out = update(table).where(is_lost, table.started_at <= lost.lease_until - timedelta(seconds=timeout_s))
    if _changed(
        session,
        timed_out.values(**ended, error_code=TIMEOUT, error_message=TIMEOUT_MESSAGE.format(timeout_s=timeout_s)),
    ):
        return True
    poisoned = update(table).where(is_lost, table.attempt - table.attempts_before >= max_attempts)
    if _changed(
        session,
        poisoned.values(**ended, error_code=POISON, error_message=POISON_MESSAGE.format(attempts=max_attempts)),
    ):
        return True
    return _changed(session, update(table).where(is_lost).values(**_QUEUED))


def queue_position(session: Session, job: JobColumns) -> int | None:
    """The job's place in line, from 1; None unless it is queued.

    The places of all queued jobs that the session has loaded are read at once, so that they are of one moment.
    """
    if job.status is not Status.QUEUED:
        return None
    table = type(job)
    places: dict[str, int] = session.info.setdefault((table, "places in line"), {})
    if job.id not in places:
        loaded = (item for item in session.identity_map.values() if isinstance(item, table))
        ids = [item.id for item in loaded if item.status is Status.QUEUED]
        place = func.row_number().over(order_by=(table.created_at, table.id)).label("place")
        line = select(table.id, place).where(table.status == Status.QUEUED).subquery()
        # The line is everybody's; of others' jobs nothing but their number is told.
        wanted = select(line.c.id, line.c.place).where(line.c.id.in_(ids)).execution_options(**OF_EVERYONE)
        places.update(session.execute(wanted).all())
    return places.get(job.id)


_QUEUED: Mapping[str, object] = {"status": Status.QUEUED, "lease_until": None, "started_at": None, "worker_id": None}


def rows_changed(session: Session, statement: Update) -> int:
    """Run an UPDATE past the session's own objects; the number of rows it changed."""
    result = session.execute(statement.execution_options(synchronize_session=False))
    return cast("CursorResult[Any]", result).rowcount


def _end(session: Session, claim: Claim, status: Status, **values: object) -> bool:
    statement = update(claim.table).where(claim.is_valid())
    return _changed(session, statement.values(status=status, finished_at=database_now(), lease_until=None, **values))


def _changed(session: Session, statement: Update) -> bool:
    return rows_changed(session, statement) == 1


def _change_or_explain(session: Session, table: type[Job], job_id: str, statement: Update, rule: str) -> None:
    if _changed(session, statement):
        return
    status = session.scalar(select(table.status).where(table.id == job_id))
    if status is None:
        raise NotFound("There is no such job.")
    raise WrongState(f"{rule}; this one is {status.value}.")

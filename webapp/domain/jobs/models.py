"""The columns that make a row a job, and the table of the workers that do them."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, String, Text, and_, case
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from webapp.domain.database.changes import bookkeeping
from webapp.domain.database.clock import database_now
from webapp.domain.database.orm import Base, by_value, new_id


class Status(StrEnum):
    """A job's state. `queued` and `running` are open, the other three are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    # Not a failure: a person asked for it.
    CANCELLED = "cancelled"


OPEN_STATUSES = (Status.QUEUED, Status.RUNNING)


class StateColumns:
    """The columns of whatever is in a job's state; failed, it says why in a code and a sentence."""

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(default=database_now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_message: Mapped[str | None] = mapped_column(Text)

    @declared_attr
    def status(cls) -> Mapped[Status]:  # noqa: N805 - SQLAlchemy hands in the class
        return mapped_column(by_value(Status, "status"), default=Status.QUEUED)


class JobColumns(StateColumns):
    """The columns that make a row a job; `webapp.domain.jobs.lifecycle` says how they change."""

    # Grows with every claim and never shrinks: the fencing token under which results are written.
    attempt: Mapped[int] = mapped_column(default=0)
    # The attempts that were spent before a person asked for a retry.
    attempts_before: Mapped[int] = mapped_column(default=0)
    # How often the job was put back into the queue for a fault that is not its own (a full disk), and until when it
    # waits there; of one that was not, when a person asked for it again.
    releases: Mapped[int] = mapped_column(default=0, server_default="0")
    not_before: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    worker_id: Mapped[str | None] = mapped_column(String(64))

    @hybrid_property
    def queued_at(self) -> datetime:
        """Since when somebody waits for it."""
        return self.not_before if self.not_before is not None and not self.releases else self.created_at

    @queued_at.inplace.expression
    @classmethod
    def _queued_at(cls) -> ColumnElement[datetime]:
        is_retried = and_(cls.not_before.is_not(None), cls.releases == 0)
        return case((is_retried, cls.not_before), else_=cls.created_at)


@bookkeeping
class WorkerPresence(Base):
    """A live worker process that has loaded its model; it updates `seen_at` with every heartbeat."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    engine: Mapped[str] = mapped_column(String(40))
    model: Mapped[str] = mapped_column(String(100))
    # GLIOSCOPE_WORKER_JOBS; a worker of the version before does not say it, and does all.
    jobs: Mapped[str] = mapped_column(String(20), default="all", server_default="all")
    started_at: Mapped[datetime] = mapped_column(default=database_now())
    seen_at: Mapped[datetime] = mapped_column(default=database_now())

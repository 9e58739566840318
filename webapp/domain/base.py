"""What every table is made of: naming, ids, and the columns that make a row a job."""

import re
from datetime import datetime
from enum import StrEnum
from uuid import uuid4

from sqlalchemy import Enum, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from webapp.domain.clock import UtcDateTime, database_now


class Status(StrEnum):
    """A job's state. `queued` and `running` are open, the other three are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    # Its own state and not a failure: somebody wanted it so.
    CANCELLED = "cancelled"


OPEN_STATUSES = (Status.QUEUED, Status.RUNNING)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime()}  # noqa: RUF012 - SQLAlchemy's own form


def new_id() -> str:
    """32 hexadecimal digits, 122 of their bits random: not to be guessed."""
    return uuid4().hex


def is_id(text: object) -> bool:
    """Whether the text can be one of our ids; PostgreSQL refuses some others (a zero byte) with an error."""
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{32}", text) is not None


def by_value(enum: type[StrEnum], name: str) -> Enum:
    """A column of an enum's values, as text with a check, on both databases."""
    return Enum(
        enum,
        name=name,
        native_enum=False,
        length=20,
        create_constraint=True,
        values_callable=lambda e: [m.value for m in e],
    )


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
    """The columns that make a row a job; `webapp.domain.jobs` says how they change."""

    # Grows with every claim and never shrinks: the fencing token under which results are written.
    attempt: Mapped[int] = mapped_column(default=0)
    # The attempts that were spent before a person asked for a retry.
    attempts_before: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    worker_id: Mapped[str | None] = mapped_column(String(64))

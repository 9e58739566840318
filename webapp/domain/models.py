"""The tables. A job's state columns are written by `webapp.domain.jobs` alone."""

import re
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import BigInteger, CheckConstraint, Enum, ForeignKey, Index, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column, relationship
from sqlalchemy.types import JSON

from webapp.domain import names
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


class Verdict(StrEnum):
    """What a segmentation says of the whole scan."""

    TUMOR_DETECTED = "tumor_detected"
    NO_TUMOR = "no_tumor"


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


def _by_value(enum: type[StrEnum], name: str) -> Enum:
    return Enum(
        enum,
        name=name,
        native_enum=False,
        length=20,
        create_constraint=True,
        values_callable=lambda e: [m.value for m in e],
    )


def _of_filename(key: Callable[[str], str]) -> Callable[[Any], str]:
    """A default that is made from the row's file name."""
    return lambda context: key(context.get_current_parameters()["filename"])


class JobColumns:
    """The columns that make a row a job; `webapp.domain.jobs` says how they change."""

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(default=database_now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    # Grows with every claim and never shrinks: the fencing token under which results are written.
    attempt: Mapped[int] = mapped_column(default=0)
    # The attempts that were spent before a person asked for a retry.
    attempts_before: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    worker_id: Mapped[str | None] = mapped_column(String(64))
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_message: Mapped[str | None] = mapped_column(Text)

    @declared_attr
    def status(cls) -> Mapped[Status]:  # noqa: N805 - SQLAlchemy hands in the class
        return mapped_column(_by_value(Status, "status"), default=Status.QUEUED)


class Scan(Base):
    """What was uploaded, decoded once."""

    __tablename__ = "scans"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(default=database_now())
    filename: Mapped[str] = mapped_column(Text)
    # The name as it is searched and sorted by (webapp.domain.names).
    search_name: Mapped[str] = mapped_column(Text, default=_of_filename(names.search_key))
    sort_name: Mapped[str] = mapped_column(Text, default=_of_filename(names.sort_key))
    origin: Mapped[str] = mapped_column(String(20), default="upload")
    format: Mapped[str] = mapped_column(String(20))
    width: Mapped[int]
    height: Mapped[int]
    slice_count: Mapped[int]
    spacing_mm: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))
    sha256: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int] = mapped_column(BigInteger)
    warnings: Mapped[list[str]] = mapped_column(JSON)
    # The run that the history and the result page show: the newest that succeeded, else the newest.
    shown_id: Mapped[str | None] = mapped_column(
        ForeignKey("segmentations.id", use_alter=True, ondelete="SET NULL"), unique=True
    )

    shown: Mapped["Segmentation | None"] = relationship(foreign_keys=[shown_id], lazy="raise", post_update=True)

    __table_args__ = (
        Index("ix_scans_created_at_id", "created_at", "id"),
        Index("ix_scans_sort_name_id", "sort_name", "id"),
        CheckConstraint("slice_count >= 1 AND width >= 1 AND height >= 1", name="size"),
    )


class Segmentation(JobColumns, Base):
    """One run of one model on one scan: a job, and its result."""

    __tablename__ = "segmentations"

    scan_id: Mapped[str] = mapped_column(ForeignKey("scans.id", ondelete="CASCADE"), index=True)
    # The scan's own, which never changes: one index then filters runs and has them in the history's order.
    scan_created_at: Mapped[datetime]
    model: Mapped[str] = mapped_column(String(100))
    model_version: Mapped[str | None] = mapped_column(String(40))
    engine: Mapped[str | None] = mapped_column(String(40))
    threshold: Mapped[float]
    # On the scan's own grid, scaled from the card's.
    min_tumor_pixels: Mapped[int | None]
    # Set where a threshold was changed: the stored map of that run is used and no network runs.
    map_of_id: Mapped[str | None] = mapped_column(ForeignKey("segmentations.id", ondelete="CASCADE"))
    map_key: Mapped[str | None] = mapped_column(String(200))
    verdict: Mapped[Verdict | None] = mapped_column(_by_value(Verdict, "verdict"))
    tumor_pixels: Mapped[int | None] = mapped_column(BigInteger)
    total_pixels: Mapped[int | None] = mapped_column(BigInteger)
    coverage_percent: Mapped[float | None]
    max_probability: Mapped[float | None]
    area_mm2: Mapped[float | None]
    volume_mm3: Mapped[float | None]
    slices: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    timings_ms: Mapped[dict[str, float]] = mapped_column(JSON, default=dict)
    warnings: Mapped[list[str]] = mapped_column(JSON, default=list)

    scan: Mapped[Scan] = relationship(foreign_keys=[scan_id], lazy="raise")

    __table_args__ = (
        Index("ix_segmentations_status_created_at", "status", "created_at"),
        Index("ix_segmentations_status_scan", "status", "scan_created_at", "scan_id"),
        Index("ix_segmentations_verdict_scan", "verdict", "scan_created_at", "scan_id"),
        Index("ix_segmentations_model_scan", "model", "scan_created_at", "scan_id"),
        Index("ix_segmentations_coverage_percent_id", "coverage_percent", "id"),
        Index("ix_segmentations_verdict_coverage_percent_id", "verdict", "coverage_percent", "id"),
        Index("ix_segmentations_finished_at", "finished_at"),
        CheckConstraint("threshold >= 0 AND threshold <= 1", name="threshold"),
        CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name="lease"),
    )


class WorkerPresence(Base):
    """A worker process that has loaded its model and lives: it writes `seen_at` anew with every heartbeat."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    engine: Mapped[str] = mapped_column(String(40))
    model: Mapped[str] = mapped_column(String(100))
    started_at: Mapped[datetime] = mapped_column(default=database_now())
    seen_at: Mapped[datetime] = mapped_column(default=database_now())


class IdempotencyKey(Base):
    """One Idempotency-Key of a POST, and what was answered: ids and codes, never names."""

    __tablename__ = "idempotency_keys"

    # The caller, the route and the client's key, hashed together.
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=database_now(), index=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class Tombstone(Base):
    """What is left of a deleted object: that it was, and when it went. Nothing of its content."""

    __tablename__ = "tombstones"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    deleted_at: Mapped[datetime] = mapped_column(default=database_now())

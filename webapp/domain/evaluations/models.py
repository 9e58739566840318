"""The tables of evaluations. States are written by `jobs.lifecycle` and `evaluations.states` alone."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import JSON

from ml.ood.detector import UNLIKE
from webapp.domain.database.clock import database_now
from webapp.domain.database.orm import Base, by_value
from webapp.domain.database.ownership import Owned, Part
from webapp.domain.database.search_keys import path_search_key, search_key
from webapp.domain.jobs.models import JobColumns, StateColumns


class SourceKind(StrEnum):
    """Where an evaluation's files are."""

    FOLDER = "folder"
    ARCHIVE = "archive"


class ChunkKind(StrEnum):
    """What a claimed row of an evaluation does."""

    # Lists the cases, checks every file, makes the chunks.
    CHECK = "check"
    CASES = "cases"
    # Adds everything up, when no chunk of cases is open any more.
    REPORT = "report"


class CaseOutcome(StrEnum):
    """What became of a case: truth and verdict of the slice, or the verdict alone where there is no truth."""

    FOUND = "found"
    # Tumor in the truth, nothing in the mask, a region in doubt.
    UNCERTAIN_TUMOR = "uncertain_tumor"
    MISSED = "missed"
    FALSE_ALARM = "false_alarm"
    # No tumor in the truth, nothing in the mask, a region in doubt.
    UNCERTAIN_CLEAR = "uncertain_clear"
    CLEAR = "clear"
    TUMOR_DETECTED = "tumor_detected"
    UNCERTAIN = "uncertain"
    NO_TUMOR = "no_tumor"
    NOT_ASSESSED = "not_assessed"
    FAILED = "failed"


# Outcomes of slices that have an expert's mask and were compared with it.
COMPARED = (
    CaseOutcome.FOUND,
    CaseOutcome.UNCERTAIN_TUMOR,
    CaseOutcome.MISSED,
    CaseOutcome.FALSE_ALARM,
    CaseOutcome.UNCERTAIN_CLEAR,
    CaseOutcome.CLEAR,
)


class Evaluation(StateColumns, Owned, Base):
    """A model over a folder of slices; its state follows its chunks."""

    __tablename__ = "evaluations"

    name: Mapped[str] = mapped_column(Text)
    source: Mapped[SourceKind] = mapped_column(by_value(SourceKind, "source"))
    # The folder's real path, or the uploaded archive's name.
    location: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(String(100))
    model_version: Mapped[str | None] = mapped_column(String(40))
    engine: Mapped[str | None] = mapped_column(String(200))
    threshold: Mapped[float]
    min_tumor_pixels: Mapped[int]
    # The data set's own folder below the source; set by the check, before it the folder around all files of an archive.
    data_folder: Mapped[str | None] = mapped_column(Text)
    has_truth: Mapped[bool | None]
    case_count: Mapped[int | None]
    checked_count: Mapped[int] = mapped_column(default=0)
    # What the check found: counts, analysis, and the first problems. All of them are in storage.
    findings: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # What webapp.domain.evaluations.progress counted at its end: 50 evaluations are listed without asking their cases.
    counts: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    headline: Mapped[str | None] = mapped_column(Text)
    summary: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # The attempt under whose key the report's files are.
    report_attempt: Mapped[int | None]

    __table_args__ = (
        Index("ix_evaluations_created_at_id", "created_at", "id"),
        Index("ix_evaluations_owner_id_created_at_id", "owner_id", "created_at", "id"),
        Index("ix_evaluations_status", "status"),
        CheckConstraint("threshold >= 0 AND threshold <= 1", name="threshold"),
    )


class EvaluationChunk(JobColumns, Part, Base):
    """A piece of an evaluation that one worker does: a job."""

    __tablename__ = "evaluation_chunks"
    owner_link = "evaluation_id"

    evaluation_id: Mapped[str] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"))
    kind: Mapped[ChunkKind] = mapped_column(by_value(ChunkKind, "kind"))
    # The first case's position; of the others 0.
    position: Mapped[int] = mapped_column(default=0)
    # The cases, as webapp.domain.evaluations.manifest writes them.
    cases: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    engine: Mapped[str | None] = mapped_column(String(40))

    __table_args__ = (
        # A second check or report of one evaluation cannot come to be.
        UniqueConstraint("evaluation_id", "kind", "position"),
        Index("ix_evaluation_chunks_status_created_at", "status", "created_at"),
        CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name="lease"),
    )


def _key_of(key: Callable[[str], str], column: str) -> Callable[[DefaultExecutionContext], str]:
    """A default that is made from another column of the row."""

    def made(context: DefaultExecutionContext) -> str:
        parameters: dict[str, Any] = context.get_current_parameters()  # type: ignore[no-untyped-call]  # SQLAlchemy has no type
        return key(parameters[column])

    return made


# Metrics with a column of their own: what tables are sorted by, filtered by or counted by. The others are in `metrics`.
CASE_COLUMNS = ("dice", "predicted_pixels")
PATIENT_COLUMNS = ("dice",)


class EvaluationCase(Part, Base):
    """One finished case: written once, under its chunk's attempt. `case_rows` alone maps it to and from its result."""

    __tablename__ = "evaluation_cases"
    owner_link = "evaluation_id"

    evaluation_id: Mapped[str] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    finished_at: Mapped[datetime] = mapped_column(default=database_now())
    patient: Mapped[str] = mapped_column(Text)
    # Below the data set's folder. It has the patient's folder, or its name begins with the patient's, in every layout.
    image: Mapped[str] = mapped_column(Text)
    search_name: Mapped[str] = mapped_column(Text, default=_key_of(path_search_key, "image"), server_default="")
    image_sha256: Mapped[str | None] = mapped_column(String(64))
    # Of ml.evaluation.scoring.SliceContent: of what was read, where image_sha256 is of the file.
    pixels_sha256: Mapped[str | None] = mapped_column(String(64))
    truth_sha256: Mapped[str | None] = mapped_column(String(64))
    outcome: Mapped[CaseOutcome] = mapped_column(by_value(CaseOutcome, "outcome"))
    width: Mapped[int | None]
    height: Mapped[int | None]
    # The smallest component of the mask, in pixels of the slice's own grid.
    min_tumor_pixels: Mapped[int | None]
    # As a segmentation's.
    doubt_rule: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # One pixel, [row, column], of each component that the depth rule dropped from the mask.
    dropped: Mapped[list[list[int]] | None] = mapped_column(JSON(none_as_null=True))
    predicted_pixels: Mapped[int | None]
    dice: Mapped[float | None]
    # By the names of ml.metrics.registry.SLICE_METRICS, and the four counts of pixels that the report adds up.
    metrics: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # What the input check says of the slice; None where its model has no check.
    is_out_of_distribution: Mapped[bool | None] = mapped_column("is_unlike")
    # The code of the warning of its background or sequence; None without one.
    input_warning: Mapped[str | None] = mapped_column("sequence_warning", String(40))
    # Whether the model was trained on the slice, by its pixels; None where its package cannot tell.
    is_of_training: Mapped[bool | None]
    # Whether the first member of a cascade answered alone; None for other models.
    is_first_look: Mapped[bool | None]
    # Of ml.metrics.calibration.pack_histogram; None without an expert mask.
    probability_histogram: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    # Of ml.evaluation.outlines.pack_outlines; None without an expert mask.
    outlines: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    # The stored group in which its map and truth are.
    map_key: Mapped[str | None] = mapped_column(String(200))
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_message: Mapped[str | None] = mapped_column(Text)

    @property
    def warning_codes(self) -> tuple[str, ...]:
        """What a reader must know of the slice."""
        unlike = (UNLIKE,) if self.is_out_of_distribution else ()
        return (*unlike, self.input_warning) if self.input_warning else unlike

    @property
    def has_truth(self) -> bool:
        """Whether it was compared with an expert's mask."""
        return self.outcome in COMPARED

    @property
    def all_metrics(self) -> dict[str, int | float | None]:
        """By the names of the registry, those with a column of their own included."""
        return {**(self.metrics or {}), **{name: getattr(self, name) for name in CASE_COLUMNS}}

    def metric(self, name: str) -> int | float | None:
        """One of them; None where nothing defines it."""
        return cast(int | float | None, getattr(self, name) if name in CASE_COLUMNS else (self.metrics or {}).get(name))

    __table_args__ = (
        Index("ix_evaluation_cases_dice", "evaluation_id", "dice", "position"),
        Index("ix_evaluation_cases_outcome", "evaluation_id", "outcome", "predicted_pixels", "position"),
        Index("ix_evaluation_cases_outcome_dice", "evaluation_id", "outcome", "dice", "position"),
        Index("ix_evaluation_cases_outcome_position", "evaluation_id", "outcome", "position"),
        Index("ix_evaluation_cases_predicted", "evaluation_id", "predicted_pixels", "position"),
        Index("ix_evaluation_cases_patient", "evaluation_id", "patient", "position"),
        Index("ix_evaluation_cases_patient_dice", "evaluation_id", "patient", "dice", "position"),
        # A search for a name reads this alone.
        Index("ix_evaluation_cases_search_name", "evaluation_id", "position", "search_name"),
        Index("ix_evaluation_cases_finished_at", "evaluation_id", "finished_at"),
    )


class EvaluationPatient(Part, Base):
    """One patient of a finished evaluation."""

    __tablename__ = "evaluation_patients"
    owner_link = "evaluation_id"

    evaluation_id: Mapped[str] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"), primary_key=True)
    # The place by name, from 0.
    position: Mapped[int] = mapped_column(primary_key=True)
    patient: Mapped[str] = mapped_column(Text)
    search_name: Mapped[str] = mapped_column(Text, default=_key_of(search_key, "patient"), server_default="")
    dice: Mapped[float | None]
    # By the names of ml.metrics.registry.PATIENT_METRICS, or of PREDICTED_PATIENT_METRICS without expert masks.
    metrics: Mapped[dict[str, Any]] = mapped_column(JSON(none_as_null=True))

    @property
    def all_metrics(self) -> dict[str, int | float | None]:
        """By the names of the registry, those with a column of their own included."""
        return {**self.metrics, **{name: getattr(self, name) for name in PATIENT_COLUMNS}}

    def metric(self, name: str) -> int | float | None:
        """One of them; None where nothing defines it."""
        return cast(int | float | None, getattr(self, name) if name in PATIENT_COLUMNS else self.metrics.get(name))

    __table_args__ = (
        Index("ix_evaluation_patients_dice", "evaluation_id", "dice", "position"),
        Index("ix_evaluation_patients_patient", "evaluation_id", "patient"),
    )

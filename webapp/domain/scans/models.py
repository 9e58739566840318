"""The tables of studies, scans, segmentations and the names that viewers have for scans.

A job's state columns are written by `webapp.domain.jobs.lifecycle` alone.
"""

from collections.abc import Callable
from datetime import date as Day
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import JSON

from ml.measurements import Verdict as Verdict
from webapp.domain.database import search_keys
from webapp.domain.database.clock import database_now
from webapp.domain.database.orm import Base, by_value, new_id
from webapp.domain.database.ownership import Owned, Part
from webapp.domain.jobs.models import JobColumns

_DICOM_ENDINGS = (".dcm", ".dicom", ".ima")


def _of_filename(key: Callable[[str], str]) -> Callable[[Any], str]:
    """A default that is made from the row's file name."""
    return lambda context: key(context.get_current_parameters()["filename"])


def _of_series(context: Any) -> str | None:
    """A default that is made from the pseudonym of the row's series."""
    patient = (context.get_current_parameters().get("series") or {}).get("patient")
    return search_keys.search_key(patient) if patient else None


# The warning that marks a scan whose spacing a person has entered.
SPACING_ENTERED = "spacing_entered"
# The warning of a header that does not state where left is (`ml.scans`).
ORIENTATION_ASSUMED = "orientation_assumed"


class SpacingSource(StrEnum):
    """Who says how far a scan's pixels and slices lie from each other."""

    FILE = "file"
    ENTERED = "entered"


class Study(Owned, Base):
    """Scans that belong together, of one patient mostly. `webapp.domain.scans.studies` alone writes it."""

    __tablename__ = "studies"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(default=database_now())
    name: Mapped[str] = mapped_column(Text)
    # The name as it is compared, behind its owner: no two studies of one owner have the same one.
    search_name: Mapped[str] = mapped_column(Text, unique=True)
    sort_name: Mapped[str] = mapped_column(Text)
    # Name, tags and notes, as they are searched.
    search_text: Mapped[str] = mapped_column(Text)
    notes: Mapped[str] = mapped_column(Text, default="")
    tags: Mapped[list[str]] = mapped_column(JSON, default=list)
    # As a person has entered them: when it was, and whose it is where no header says so (webapp.domain.scans.patients).
    date: Mapped[Day | None] = mapped_column(Date)
    patient: Mapped[str | None] = mapped_column(Text)
    # The patient as it is compared.
    patient_key: Mapped[str | None] = mapped_column(Text)
    # Counts its changes, so that two tabs do not overwrite each other.
    revision: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        Index("ix_studies_created_at_id", "created_at", "id"),
        Index("ix_studies_owner_id_created_at_id", "owner_id", "created_at", "id"),
        Index("ix_studies_sort_name_id", "sort_name", "id"),
        Index("ix_studies_patient_key_owner_id", "patient_key", "owner_id"),
    )


class Scan(Owned, Base):
    """What was uploaded, decoded once."""

    __tablename__ = "scans"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(default=database_now())
    filename: Mapped[str] = mapped_column(Text)
    # The name as it is searched and sorted by (webapp.domain.database.search_keys).
    search_name: Mapped[str] = mapped_column(Text, default=_of_filename(search_keys.search_key))
    sort_name: Mapped[str] = mapped_column(Text, default=_of_filename(search_keys.sort_key))
    origin: Mapped[str] = mapped_column(String(20), default="upload")
    format: Mapped[str] = mapped_column(String(20))
    width: Mapped[int]
    height: Mapped[int]
    slice_count: Mapped[int]
    spacing_mm: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))
    # Of `VolumeGrid.to_json`: the voxels of the file, which the stack was cut from; None of pictures.
    geometry: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # Of `ml.scans.sequence.StatedSequence.to_json`; None where neither header nor name says which it is.
    sequence: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    # Of webapp.domain.scans.joining.Part; None where the scan was not joined of others.
    parts: Mapped[list[dict[str, str]] | None] = mapped_column(JSON(none_as_null=True))
    sha256: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int] = mapped_column(BigInteger)
    warnings: Mapped[list[str]] = mapped_column(JSON)
    # Of some of the warnings, by code, what they mean in this scan: words behind the sentence of the registry.
    warning_details: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    # The files that a stack was made of, in the order of its slices; None where one file is the scan.
    slice_names: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    study_id: Mapped[str | None] = mapped_column(
        ForeignKey("studies.id", name="fk_scans_study_id_studies", ondelete="SET NULL")
    )
    # The newest earlier scan whose original has the same bytes; None also where that was deleted.
    same_as_id: Mapped[str | None] = mapped_column(
        ForeignKey("scans.id", name="fk_scans_same_as_id_scans", ondelete="SET NULL"), index=True
    )
    # The orientation tags of the slices' files, which were applied; None where all were upright, or nobody knows.
    orientations: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    # Of ml.scans.series_label.SeriesLabel, and the patient's pseudonym; None of what is no DICOM.
    series: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # The pseudonym as it is compared.
    patient_key: Mapped[str | None] = mapped_column(Text, default=_of_series)
    # Of webapp.domain.scans.truth.Truth; None without an expert's mask.
    truth: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # The run that the history and the result page show: the newest that succeeded, else the newest.
    displayed_id: Mapped[str | None] = mapped_column(
        ForeignKey("segmentations.id", name="fk_scans_shown_id_segmentations", use_alter=True, ondelete="SET NULL")
    )

    @property
    def stem(self) -> str:
        """What files that are made of it are called, without an ending."""
        is_file = self.format != "dicom" or self.filename.lower().endswith(_DICOM_ENDINGS)
        if self.slice_names or self.parts or not is_file:  # a folder's name, and words of a series
            return self.filename
        name = self.filename[:-3] if self.filename.lower().endswith(".nii.gz") else self.filename
        return PurePosixPath(name).stem

    @property
    def knows_directions(self) -> bool:
        """Whether its file says where left, front and head are: sides and heights are not told of another."""
        return self.geometry is not None and ORIENTATION_ASSUMED not in self.warnings

    @property
    def spacing_source(self) -> SpacingSource | None:
        """None where the spacing is not known."""
        if not self.spacing_mm:
            return None
        return SpacingSource.ENTERED if SPACING_ENTERED in self.warnings else SpacingSource.FILE

    displayed: Mapped["Segmentation | None"] = relationship(foreign_keys=[displayed_id], lazy="raise", post_update=True)
    study: Mapped[Study | None] = relationship(lazy="raise")
    same_as: Mapped["Scan | None"] = relationship(foreign_keys=[same_as_id], remote_side=[id], lazy="raise")

    __table_args__ = (
        # This one and the foreign key keep the names under which they were made, before the column was renamed: SQLite
        # renames a constraint only by copying the table.
        UniqueConstraint("displayed_id", name="uq_scans_shown_id"),
        Index("ix_scans_created_at_id", "created_at", "id"),
        Index("ix_scans_owner_id_created_at_id", "owner_id", "created_at", "id"),
        Index("ix_scans_sort_name_id", "sort_name", "id"),
        # A search for a name reads this alone.
        Index("ix_scans_search_name_id", "search_name", "id"),
        Index("ix_scans_study_id_created_at", "study_id", "created_at", "id"),
        Index("ix_scans_sha256", "sha256"),
        Index("ix_scans_patient_key_owner_id", "patient_key", "owner_id"),
        CheckConstraint("slice_count >= 1 AND width >= 1 AND height >= 1", name="size"),
    )


class ScanWarning(Part, Base):
    """A code that a scan is listed under: its own, or its displayed run's.

    Triggers of the database alone write it (migration 0031), from `Scan.warnings`, `Scan.displayed_id` and
    `Segmentation.warnings`; a migration that copies one of these tables makes them anew.
    """

    __tablename__ = "scan_warnings"
    owner_link = "scan_id"

    scan_id: Mapped[str] = mapped_column(ForeignKey("scans.id", ondelete="CASCADE"), primary_key=True)
    code: Mapped[str] = mapped_column(String(64), primary_key=True)
    # The scan's own, which never changes: one index then finds a code's scans in the history's order.
    scan_created_at: Mapped[datetime]

    __table_args__ = (Index("ix_scan_warnings_code_scan", "code", "scan_created_at", "scan_id"),)


class ViewerImage(Part, Base):
    """A scan under a name that a viewer has for it. `webapp.domain.scans.viewer_images` alone writes it."""

    __tablename__ = "viewer_images"
    owner_link = "scan_id"

    scan_id: Mapped[str] = mapped_column(ForeignKey("scans.id", ondelete="CASCADE"), primary_key=True)
    # Of the owner and the name, under the portal's key: a volume may be called by its patient.
    name_digest: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    named_at: Mapped[datetime] = mapped_column(default=database_now())


class Segmentation(JobColumns, Part, Base):
    """One run of one model on one scan: a job, and its result."""

    __tablename__ = "segmentations"
    owner_link = "scan_id"

    scan_id: Mapped[str] = mapped_column(ForeignKey("scans.id", ondelete="CASCADE"), index=True)
    # The scan's own, which never changes: one index then filters runs and has them in the history's order.
    scan_created_at: Mapped[datetime]
    model: Mapped[str] = mapped_column(String(100))
    model_version: Mapped[str | None] = mapped_column(String(40))
    engine: Mapped[str | None] = mapped_column(String(40))
    threshold: Mapped[float]
    # On the scan's own grid, scaled from the card's.
    min_tumor_pixels: Mapped[int | None]
    # Set where a threshold was changed: the stored map of that run is used and no network runs, unless another package
    # of the model's name was installed before its turn came.
    map_of_id: Mapped[str | None] = mapped_column(ForeignKey("segmentations.id", ondelete="CASCADE"))
    map_key: Mapped[str | None] = mapped_column(String(200))
    # `threshold`, and `min_pixels` on the scan's own grid; None where the model has no such rule.
    doubt_rule: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    verdict: Mapped[Verdict | None] = mapped_column(by_value(Verdict, "verdict"))
    tumor_pixels: Mapped[int | None] = mapped_column(BigInteger)
    total_pixels: Mapped[int | None] = mapped_column(BigInteger)
    coverage_percent: Mapped[float | None]
    max_probability: Mapped[float | None]
    area_mm2: Mapped[float | None]
    volume_mm3: Mapped[float | None]
    slices: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    # How far the network is; None where nobody counted, as in a stack of few slices.
    slices_done: Mapped[int | None]
    # Of ml.measurements.DoubtfulRegion; None where nothing is in doubt.
    doubt: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    timings_ms: Mapped[dict[str, float]] = mapped_column(JSON, default=dict)
    warnings: Mapped[list[str]] = mapped_column(JSON, default=list)

    scan: Mapped[Scan] = relationship(foreign_keys=[scan_id], lazy="raise")

    @property
    def volume_ml(self) -> float | None:
        """The volume as clinicians give it."""
        return None if self.volume_mm3 is None else self.volume_mm3 / 1000

    @property
    def uncounted_pixels(self) -> int | None:
        """Pixels of all slices that were seen and not counted; None where an earlier version wrote the run."""
        return self._sum("uncounted_pixels")

    @property
    def head_pixels(self) -> int | None:
        """Pixels of all slices that show the head; None where the run does not know, or there is no head."""
        return self._sum("head_pixels") or None

    @property
    def head_coverage_percent(self) -> float | None:
        """The mask's share of the head, in percent."""
        head = self.head_pixels
        return None if head is None or self.tumor_pixels is None else 100 * self.tumor_pixels / head

    @property
    def mean_confidence(self) -> float | None:
        """The mean probability of the mask's pixels, 0 to 1; None without a mask."""
        if not self.tumor_pixels or self._sum("border_pixels") is None:
            return None
        shares = [(item["tumor_pixels"], item["mean_confidence"]) for item in self.slices or () if item["tumor_pixels"]]
        return float(sum(pixels * mean for pixels, mean in shares)) / self.tumor_pixels

    @property
    def rim_width_pixels(self) -> float | None:
        """How wide the doubtful rim of the mask is in the mean: its pixels for each pixel of the mask's border."""
        rim, border = self._sum("rim_pixels"), self._sum("border_pixels")
        return rim / border if rim is not None and border else None

    def _sum(self, name: str) -> int | None:
        """A figure over all slices; None where an earlier version wrote the run, which did not count it."""
        if not self.slices or any(item.get(name) is None for item in self.slices):
            return None
        return sum(int(item[name]) for item in self.slices)

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

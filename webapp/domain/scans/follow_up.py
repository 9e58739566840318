"""The follow-up of one patient: studies in the order of their dates, volumes, and what changed between them.

A change is told only between runs that can be compared, each with a verdict that nothing puts in doubt; where there is
none, it is said why.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from ml.measurements import Verdict
from ml.metrics.growth import Growth, growth
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans import doubts, patients, studies
from webapp.domain.scans.dates import ExamDate, contradiction
from webapp.domain.scans.models import Scan, Segmentation, Study
from webapp.domain.scans.patients import StudyPatient

if TYPE_CHECKING:
    from ml.cards import VolumeError

# More dates than anybody has of one patient; but series that were de-identified elsewhere may all have one id.
MOST_POINTS = 100
_OF_ANOTHER_PERSON = "Studies of this patient's id state several birth dates; this one's is another, or not stated."


@dataclass(frozen=True)
class ModelError:
    """What the card of the model, as it ran, says of its volumes."""

    model: str
    version: str | None
    threshold: float
    volumes: "VolumeError"


@dataclass(frozen=True)
class Point:
    """A study of the patient. scan, run: whose figures stand for it, None where no scan has a result.

    others: further scans of the study with a volume. problem: why there is no volume that counts, else None. error:
    of the run's model, None where its card does not hold for the run; `error_problem` then says why. date_problem:
    that the series state another year than was entered.
    """

    study: Study
    date: ExamDate | None
    scan: Scan | None
    run: Segmentation | None
    others: int
    doubt: str
    problem: str | None
    error: ModelError | None
    error_problem: str | None
    date_problem: str | None = None

    @property
    def volume_ml(self) -> float | None:
        """None where there is none that counts."""
        return self.run.volume_ml if self.run is not None and self.problem is None else None

    @property
    def range_ml(self) -> tuple[float, float] | None:
        """What the true volume may be by the model's error; None where that does not hold for it."""
        if not self.volume_ml or self.error is None or self.doubt:
            return None
        factor = self.error.volumes.volume
        return self.volume_ml / factor, self.volume_ml * factor

    @property
    def name(self) -> str:
        """What a sentence calls it."""
        return self.date.label if self.date else f"“{self.study.name}”"


@dataclass(frozen=True)
class Change:
    """From one date to a later one. growth: None where none can be told of the two; `problem` then says why."""

    first: Point
    second: Point
    growth: Growth | None
    problem: str | None


@dataclass(frozen=True)
class LeftOut:
    """A study that names the patient and is not counted to it."""

    study: Study
    reason: str


@dataclass(frozen=True)
class FollowUp:
    """points: in the order of their dates, those without one behind them. changes: of `_pairs`.

    lone_scans: series of the patient that are in no study. older: studies beyond the newest MOST_POINTS, which are not
    looked at.
    """

    patient: StudyPatient
    points: tuple[Point, ...]
    changes: tuple[Change, ...]
    left_out: tuple[LeftOut, ...]
    lone_scans: int
    older: int = 0


def of_study(resources: Resources, session: Session, study_id: str) -> FollowUp:
    """The follow-up of a study's patient. Of one whose patient is not known it has the study alone. Raises NotFound."""
    study = studies.get(session, study_id)
    patient = patients.patient_of(session, study)
    if patient.name is None:
        return FollowUp(patient, (_point(resources, session, study),), (), (), 0)
    points, left_out = [], []
    naming = patients.studies_that_name(session, patient)
    newest = _newest(session, patient, naming, study)
    owners = [(found, patients.patient_of(session, found)) for found in newest]
    births = {whose.born for _, whose in owners if whose.key == patient.key} - {None}
    for found, whose in owners:
        is_same_person = found.id == study.id or len(births) < 2 or (whose.born == patient.born is not None)
        if whose.key != patient.key:
            left_out.append(LeftOut(found, whose.problem or "It is of another patient."))
        elif not is_same_person:
            left_out.append(LeftOut(found, _OF_ANOTHER_PERSON))
        else:
            points.append(_point(resources, session, found))
    dated = sorted((point for point in points if point.date), key=_order)
    changes = [change(first, second) for first, second in _pairs(dated)]
    undated = [point for point in points if not point.date]
    return FollowUp(
        patient,
        (*dated, *undated),
        tuple(changes),
        tuple(left_out),
        patients.lone_scans(session, patient),
        older=len(naming) - len(newest),
    )


def _newest(session: Session, patient: StudyPatient, naming: Sequence[Study], study: Study) -> Sequence[Study]:
    """The MOST_POINTS newest by their dates, `study` always among them; those without a date are the oldest."""
    if len(naming) <= MOST_POINTS:
        return naming
    years = patients.years_of_studies(session, patient)

    def age(one: Study) -> tuple[object, ...]:
        when = _date(one.date, years.get(one.id, ()))
        return (when is not None, when.middle if when else date.min, one.created_at, one.id)

    others = sorted((one for one in naming if one.id != study.id), key=age, reverse=True)
    kept = {study.id, *(one.id for one in others[: MOST_POINTS - 1])}
    return [one for one in naming if one.id in kept]


def _pairs(dated: Sequence[Point]) -> list[tuple[Point, Point]]:
    """The first and the last with a volume, then neighbors in time, also over dates without a volume."""
    places = {point.study.id: place for place, point in enumerate(dated)}
    measured = [point for point in dated if point.volume_ml is not None]
    ends = [(measured[0], measured[-1])] if len(measured) > 2 else []
    pairs = [*pairwise(dated), *pairwise(measured)]
    pairs.sort(key=lambda pair: (places[pair[0].study.id], places[pair[1].study.id]))
    found = [*ends, *pairs]
    return list({(first.study.id, second.study.id): (first, second) for first, second in found}.values())


def change(first: Point, second: Point) -> Change:
    """What changed from one point to another, or why that cannot be told."""
    problem = _problem(first, second)
    if problem or first.volume_ml is None or second.volume_ml is None or first.error is None:
        return Change(first, second, None, problem)
    error = first.error.volumes
    return Change(first, second, growth(first.volume_ml, second.volume_ml, error.volume, error.change), None)


def _problem(first: Point, second: Point) -> str | None:
    """Why two points cannot be compared; None where they can."""
    for point in (first, second):
        if point.problem or point.run is None:
            return f"{point.name}: {point.problem}"
        if point.doubt:
            return f"{point.name}: {point.doubt} The model's stated error does not hold for it."
    if first.date is None or second.date is None or not first.date.is_before(second.date):
        return "Which of the two was earlier is not known; enter the days of both."
    one, other = _read(first), _read(second)
    differing = [name for name in one if one[name] != other[name]]
    if differing:
        return "Not read alike: " + "; ".join(f"{name} {one[name]} and {other[name]}" for name in differing) + "."
    for point in (first, second):
        if point.error is None:
            return point.error_problem
        if not point.volume_ml:
            return f"{point.name}: nothing is marked, and of nothing the error is not known."
    return None


def _read(point: Point) -> dict[str, str]:
    """What must be alike in two runs that are compared."""
    run, scan = point.run, point.scan
    if run is None or scan is None:
        return {}
    parts = "+".join(sorted(part["sequence"] for part in scan.parts or ()))
    return {
        "model": f"{run.model} {run.model_version or ''}".strip(),
        "threshold": f"{run.threshold}",
        "sequence": parts or (scan.sequence or {}).get("kind") or "not stated",
    }


def _order(point: Point) -> tuple[object, ...]:
    date = point.date
    return (date.first, date.last, point.study.created_at, point.study.id) if date else ()


def _point(resources: Resources, session: Session, study: Study) -> Point:
    loaded = (joinedload(Scan.displayed), joinedload(Scan.study), joinedload(Scan.same_as))
    scans = session.scalars(
        select(Scan).where(Scan.study_id == study.id).options(*loaded).order_by(Scan.created_at)
    ).all()
    measured = {scan: scan.displayed for scan in scans if scan.displayed and scan.displayed.status is Status.SUCCEEDED}
    years = {year for scan in scans if (year := (scan.series or {}).get("date"))}
    when, date_problem = _date(study.date, years), contradiction(study.date, years)
    if not measured:
        return Point(study, when, None, None, 0, "", "None of its scans has a result yet.", None, None, date_problem)
    scan = max(measured, key=_fitness)
    run = measured[scan]
    error, error_problem = _error(resources, run)
    return Point(
        study,
        when,
        scan,
        run,
        others=sum(
            other is not scan and _has_volume(other) and doubts.is_assessed(its) for other, its in measured.items()
        ),
        doubt=doubts.doubt_of(scan, run),
        problem=_no_volume(scan, run),
        error=error,
        error_problem=error_problem,
        date_problem=date_problem,
    )


def _date(entered: date | None, years: Collection[str]) -> ExamDate | None:
    """What was entered, else the year in which all series of the study agree."""
    if entered is not None:
        return ExamDate.of_day(entered)
    return ExamDate.of_year(next(iter(years))) if len(years) == 1 else None


def _fitness(scan: Scan) -> tuple[object, ...]:
    """Which scan of a study stands for it: the largest of these."""
    run = scan.displayed
    is_flair = (scan.sequence or {}).get("kind") == "flair"
    is_assessed = run is not None and doubts.is_assessed(run)
    return (is_assessed and _has_volume(scan), is_assessed, bool(scan.parts), is_flair, scan.created_at, scan.id)


def _has_volume(scan: Scan) -> bool:
    return scan.displayed is not None and scan.displayed.volume_mm3 is not None


def _no_volume(scan: Scan, run: Segmentation) -> str | None:
    if run.verdict is Verdict.NOT_ASSESSED:
        return doubts.doubt_of(scan, run)
    if scan.slice_count < 2:
        return "A single slice has no volume."
    if run.volume_mm3 is None:
        return "The distances of its slices are not known, so it has no volume; enter them on the scan's page."
    return None


def _error(resources: Resources, run: Segmentation) -> tuple[ModelError | None, str | None]:
    """The card's error of volumes, if it is of this very model as it ran; else why there is none."""
    card = resources.catalog.readable_card(run.model)
    if card is None:
        return None, f"The card of {run.model} is not here, so its error is not known."
    if card.release != (run.model_version or ""):
        return None, f"The card is of {run.model} {card.release}, and the run of {run.model_version}."
    if abs(card.threshold - run.threshold) > 1e-9:
        return (
            None,
            f"The card states its error at a threshold of {card.threshold}, and the run has {run.threshold}.",
        )
    if card.volumes is None:
        return None, f"The card of {card.name} states no error of volumes, so it is not known."
    return ModelError(card.name, card.release, card.threshold, card.volumes), None

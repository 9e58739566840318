"""Whose a study is. Two persons are never taken for one: what does not agree is nobody's.

A study of DICOM series is that of their pseudonym; one of other files that of the patient whom a person has entered for
it, in whatever case. What is entered may be a pseudonym: so files without headers join a DICOM patient. Two hospitals
give one id to different persons: where birth dates differ, series of one id are not of one person.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, CompoundSelect, func, select, union
from sqlalchemy.orm import Session

from webapp.domain.database.search_keys import search_key
from webapp.domain.scans.models import Scan, Study


class PatientSource(StrEnum):
    """Who says whose a study is."""

    FILE = "file"
    ENTERED = "entered"


@dataclass(frozen=True)
class StudyPatient:
    """name: None where nobody says whose it is, or what is said does not agree (`is_contradicted`); `problem` then says
    which. born: the pseudonym of id and birth date that its series state."""

    name: str | None
    source: PatientSource | None
    problem: str | None = None
    is_contradicted: bool = False
    born: str | None = None

    @property
    def key(self) -> str | None:
        """By which two studies are of one patient."""
        return None if self.name is None else search_key(self.name)


def patient_of(session: Session, study: Study) -> StudyPatient:
    """Whose a study is."""
    stored = session.scalars(select(Scan.series).where(Scan.study_id == study.id, Scan.series.is_not(None)))
    series = [item for item in stored if item]
    names = sorted({name for item in series if (name := item.get("patient"))})
    births = sorted({born for item in series if (born := item.get("born"))})
    if len(names) > 1:
        problem = f"By their headers its series are of {len(names)} patients; move them apart."
        return StudyPatient(None, None, problem, is_contradicted=True)
    if len(births) > 1:
        problem = f"By their headers its series are of persons with {len(births)} birth dates; move them apart."
        return StudyPatient(None, None, problem, is_contradicted=True)
    born = next(iter(births), None)
    if not names and not study.patient:
        return StudyPatient(None, None, "Nobody says whose it is; enter its patient.")
    if not names:
        return StudyPatient(study.patient, PatientSource.ENTERED, born=born)
    if study.patient and search_key(study.patient) != search_key(names[0]):
        problem = f"Its series are of {names[0]}, and another patient was entered for it."
        return StudyPatient(None, None, problem, is_contradicted=True)
    return StudyPatient(names[0], PatientSource.FILE, born=born)


def studies_that_name(session: Session, patient: StudyPatient) -> list[Study]:
    """Studies in which anything names the patient, oldest entry first; whose each is, `patient_of` says."""
    found = select(Study).where(Study.id.in_(_naming(patient)))
    return list(session.scalars(found.order_by(Study.created_at, Study.id)))


def years_of_studies(session: Session, patient: StudyPatient) -> dict[str, set[str]]:
    """The years that the series of `studies_that_name` state, by the study's id."""
    return _years(session, Scan.study_id.in_(_naming(patient)))


def years_of_study(session: Session, study_id: str) -> set[str]:
    """The years that its series state."""
    return _years(session, Scan.study_id == study_id).get(study_id, set())


def _years(session: Session, is_meant: ColumnElement[bool]) -> dict[str, set[str]]:
    year = Scan.series["date"].as_string()
    found: dict[str, set[str]] = {}
    stated = select(Scan.study_id, year).where(is_meant, Scan.series.is_not(None))
    for study_id, text in session.execute(stated.distinct()):
        if study_id and text:
            found.setdefault(study_id, set()).add(text)
    return found


def _naming(patient: StudyPatient) -> CompoundSelect[tuple[str | None]]:
    """The ids of the studies in which anything names the patient."""
    key = patient.key
    of_series = select(Scan.study_id).where(Scan.patient_key == key, Scan.study_id.is_not(None))
    # Two reads by an index: PostgreSQL reads all studies for "in one, or the other".
    return union(of_series, select(Study.id).where(Study.patient_key == key))


def lone_scans(session: Session, patient: StudyPatient) -> int:
    """How many series of the patient are in no study."""
    own = select(func.count()).select_from(Scan).where(Scan.patient_key == patient.key, Scan.study_id.is_(None))
    return session.scalar(own) or 0

"""Studies: scans that belong together under a name, with notes and tags.

A study is known by its name, in whatever case, and lives as long as it has a scan: with its last one it goes whole,
since its name is often a patient's. Whoever changes which scans it has, locks its row first, and after the scan's.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, exists, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.domain.database import paging
from webapp.domain.database.orm import is_id
from webapp.domain.database.ownership import LOCAL, owner_of_new
from webapp.domain.database.paging import Keyset, Page
from webapp.domain.database.search_keys import search_key, sort_key, words_of
from webapp.domain.errors import Conflict, DatabaseUnavailable, InvalidInput, NotFound
from webapp.domain.resources import Resources
from webapp.domain.scans.models import Scan, Study

LONGEST_NAME = 255
LONGEST_NOTES = 10_000
MOST_TAGS = 20
LONGEST_TAG = 60
# No magnetic resonance image is older than the year.
_FIRST_YEAR = 1970
# Joiners, without which words of Persian, Hindi and others are written wrongly.
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True)
class StudyChange:
    """What to write; None leaves it as it is. date: as 2026-11-30; date, patient: empty, and it is not known any more.

    revision: of the study as its reader saw it, None whatever it was.
    """

    name: str | None = None
    notes: str | None = None
    tags: Sequence[str] | None = None
    date: str | None = None
    patient: str | None = None
    revision: int | None = None


def clean_name(text: str) -> str:
    """A study's name on one line, without control characters. Raises InvalidInput: none left, or too long."""
    name = _one_line(text)
    if not name:
        raise InvalidInput("A study has a name; type one.")
    if len(name) > LONGEST_NAME:
        raise InvalidInput(f"A study's name has at most {LONGEST_NAME} characters, and this one has {len(name):,}.")
    return name


def get(session: Session, study_id: str) -> Study:
    """One study. Raises NotFound."""
    study = session.get(Study, study_id)
    if study is None:
        raise NotFound("There is no such study.")
    return study


def find(session: Session, study_id: str) -> Study | None:
    """One study; None where there is none, whatever the text is."""
    return session.get(Study, study_id) if is_id(study_id) else None


def scans_with_truth(session: Session, study_id: str) -> list[str]:
    """The ids of a study's scans that have an expert's mask, oldest first."""
    chosen = select(Scan.id).where(Scan.study_id == study_id, Scan.truth.is_not(None))
    return list(session.scalars(chosen.order_by(Scan.created_at, Scan.id)))


def page(session: Session, query: str = "", *, limit: int, cursor: str = "") -> Page[Study]:
    """Studies, newest first. query: part of a name, a tag, the notes or the patient. Raises InvalidInput."""
    statement = select(Study)
    if query:
        statement = statement.where(matching(query))
    keyset = Keyset("newest", (Study.created_at, Study.id), is_descending=True)
    return paging.page(session, statement, keyset, limit=limit, cursor=cursor)


def matching(query: str) -> ColumnElement[bool]:
    """The condition that a study's name, tags, notes or patient have each of the words. Raises InvalidInput."""
    if "\0" in query:
        raise InvalidInput("A text to search for has no zero bytes; PostgreSQL stores none.")
    return and_(*map(has_word, words_of(query)))


def has_word(word: str) -> ColumnElement[bool]:
    """The condition that a study's name, tags, notes or patient have a word of `words_of`."""
    return Study.search_text.contains(word, autoescape=True) | Study.patient_key.contains(word, autoescape=True)


def scan_counts(session: Session, study_ids: Iterable[str]) -> dict[str, int]:
    """How many scans each study has."""
    counted = select(Scan.study_id, func.count()).where(Scan.study_id.in_(list(study_ids))).group_by(Scan.study_id)
    return {str(study_id): count for study_id, count in session.execute(counted)}


def scan_ids(session: Session, study_id: str) -> list[str]:
    """The ids of its scans, in the order in which they came."""
    return list(session.scalars(select(Scan.id).where(Scan.study_id == study_id).order_by(Scan.created_at, Scan.id)))


def place(session: Session, name: str) -> str:
    """The id of the study of this name, which is made where there is none and stays until the transaction ends.

    Raises InvalidInput, DatabaseUnavailable.
    """
    name = clean_name(name)
    wanted = select(Study.id).where(Study.search_name == _identity(owner_of_new(), name))
    for _ in range(3):
        found = session.scalar(wanted.with_for_update(read=True, key_share=True))
        if found is not None:
            return found
        try:
            with session.begin_nested():
                study = Study(name=name, notes="", tags=[], revision=1, owner_id=owner_of_new())
                _write_keys(study)
                session.add(study)
            return study.id
        except IntegrityError:
            continue  # another transaction has just made it
    raise DatabaseUnavailable("Another request changes this study right now; try again in a few seconds.")


def is_of_others(session: Session, name: str, patient: str | None, examination: str | None) -> bool:
    """Whether there is a study of this name whose headers name patients or examinations, and not these (pseudonyms, or
    None).

    Two examinations of one patient are two dates of a follow-up, though each disc calls its folder alike. Of whom no
    header names, each examination is somebody's.
    """
    identity = _identity(owner_of_new(), clean_name(name))
    own = select(Scan.series).join(Study, Scan.study_id == Study.id).where(Study.search_name == identity)
    there = [series for series in session.scalars(own.where(Scan.series.is_not(None))) if series]
    patients = {series.get("patient") for series in there} - {None}
    examinations = {series.get("examination") for series in there} - {None}
    is_of_another = examination is not None and examination not in examinations
    if patient is not None and patients:
        return patient not in patients or (bool(examinations) and is_of_another)
    return patient is None and bool(patients | examinations) and is_of_another


def move(resources: Resources, scan_id: str, name: str | None) -> None:
    """Put a scan into the study of this name, or, with None, into none. Raises NotFound, InvalidInput."""
    name = None if name is None else clean_name(name)
    with resources.database.write() as session:
        scan = session.scalar(select(Scan).where(Scan.id == scan_id).with_for_update(key_share=True))
        if scan is None:
            raise NotFound("There is no such scan.")
        left = scan.study_id
        # Both at once and in one order: two moves in opposite directions do not wait for each other.
        known = (Study.id == left) | (Study.search_name == _identity(owner_of_new(), name or ""))
        session.execute(select(Study.id).where(known).order_by(Study.id).with_for_update())
        scan.study_id = None if name is None else place(session, name)
        session.flush()
        if left is not None and left != scan.study_id:
            prune(session, left)


def prune(session: Session, study_id: str) -> None:
    """Delete a study that has no scan any more, with its name, notes and tags."""
    # Locked before its scans are looked at: of two that leave at once, the second sees that the first is gone.
    session.execute(select(Study.id).where(Study.id == study_id).with_for_update())
    is_used = exists(select(Scan.id).where(Scan.study_id == study_id))
    session.execute(delete(Study).where(Study.id == study_id, ~is_used))


def change(resources: Resources, study_id: str, wanted: StudyChange) -> None:
    """Rename a study, write its notes or tags. Raises NotFound, InvalidInput, Conflict (seen by another revision, or
    a name that another study has)."""
    name = None if wanted.name is None else clean_name(wanted.name)
    notes = None if wanted.notes is None else _clean_notes(wanted.notes)
    tags = None if wanted.tags is None else _clean_tags(wanted.tags)
    day = None if wanted.date is None else _clean_date(wanted.date)
    patient = None if wanted.patient is None else _clean_patient(wanted.patient)
    try:
        with resources.database.write() as session:
            study = session.scalar(select(Study).where(Study.id == study_id).with_for_update())
            if study is None:
                raise NotFound("There is no such study.")
            if wanted.revision not in (None, study.revision):
                raise Conflict("The study was changed elsewhere in the meantime; look at it and write yours again.")
            study.name = study.name if name is None else name
            study.notes = study.notes if notes is None else notes
            study.tags = study.tags if tags is None else tags
            study.date = study.date if wanted.date is None else day
            study.patient = study.patient if wanted.patient is None else patient
            study.revision += 1
            _write_keys(study)
    except IntegrityError as error:
        raise Conflict("Another study has this name; move the scans there, or choose another name.") from error


def _write_keys(study: Study) -> None:
    study.search_name, study.sort_name = _identity(study.owner_id, study.name), sort_key(study.name)
    study.search_text = search_key("\n".join([study.name, *study.tags, study.notes]))
    study.patient_key = search_key(study.patient) if study.patient else None


@dataclass(frozen=True)
class Adoption:
    """What the studies of two owners had in common: how many were renamed, and patients entered under one name."""

    renamed: int
    patients: int


def prepare_adoption(session: Session, owner_id: str, former_id: str = LOCAL, former_name: str = "local") -> Adoption:
    """Put the new owner in the names of the former one's studies.

    One of whose name the new owner has another is called `NAME (former_name)`: whether they are of one patient nobody
    here knows. Raises Conflict where such a name comes up meanwhile.
    """
    theirs = set(session.scalars(select(Study.search_name).where(Study.owner_id == owner_id)))
    former = session.scalars(select(Study).where(Study.owner_id == former_id)).all()
    taken = {_identity(owner_id, study.name) for study in former} | theirs
    renamed = [study for study in former if _identity(owner_id, study.name) in theirs]
    for study in renamed:
        study.name = _name_apart(study.name, former_name, owner_id, taken)
        taken.add(_identity(owner_id, study.name))
        study.revision += 1
        _write_keys(study)
    session.flush()
    name = func.substr(Study.search_name, len(_identity(former_id, "")) + 1)
    moved = update(Study).where(Study.owner_id == former_id).values(search_name=f"{owner_id}\n" + name)
    try:
        session.execute(moved.execution_options(synchronize_session=False))
    except IntegrityError as error:
        raise Conflict("A study of one of these names was made meanwhile; give the command again.") from error
    patients = set(session.scalars(select(Study.patient_key).where(Study.owner_id == owner_id)))
    return Adoption(len(renamed), len({study.patient_key for study in former} & patients - {None}))


def _name_apart(name: str, former_name: str, owner_id: str, taken: set[str]) -> str:
    number = 1
    while True:
        behind = f" ({former_name})" if number == 1 else f" ({former_name} {number})"
        apart = name[: LONGEST_NAME - len(behind)] + behind
        if _identity(owner_id, apart) not in taken:
            return apart
        number += 1


def _identity(owner_id: str, name: str) -> str:
    """What tells a study from all others: two owners may have studies of one name. A name has no line break."""
    return search_key(name) if owner_id == LOCAL else f"{owner_id}\n{search_key(name)}"


def _one_line(text: str) -> str:
    """Without control and format characters, a right-to-left override among them, and with single blanks."""
    kept = (" " if char.isspace() else char for char in text if char.isspace() or _is_shown(char))
    return " ".join("".join(kept).split()).strip(_JOINERS)


def _is_shown(char: str) -> bool:
    return char in _JOINERS or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _clean_date(text: str) -> date | None:
    """The day of an examination; None where it was emptied."""
    if not text.strip():
        return None
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(f"“{text.strip()[:40]}” is not a day; write it as 2026-11-30.") from None
    # Tomorrow, since it is that already east of here.
    if day.year < _FIRST_YEAR or day > datetime.now(UTC).date() + timedelta(days=1):
        raise InvalidInput(f"An examination was between {_FIRST_YEAR} and today; {day.isoformat()} is not.")
    return day


def _clean_patient(text: str) -> str | None:
    name = _one_line(text)
    if len(name) > LONGEST_NAME:
        raise InvalidInput(f"A patient's name has at most {LONGEST_NAME} characters, and this one has {len(name):,}.")
    return name or None


def _clean_notes(text: str) -> str:
    lines = ("".join(char for char in line if char == "\t" or _is_shown(char)) for line in text.splitlines())
    notes = "\n".join(lines).strip()
    if len(notes) > LONGEST_NOTES:
        raise InvalidInput(f"Notes have at most {LONGEST_NOTES:,} characters, and these have {len(notes):,}.")
    return notes


def _clean_tags(texts: Sequence[str]) -> list[str]:
    """In their order; equal ones, in whatever case, once."""
    by_key: dict[str, str] = {}
    for tag in filter(None, map(_one_line, texts)):
        by_key.setdefault(search_key(tag), tag)
    tags = list(by_key.values())
    if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
        raise InvalidInput(f"A study has at most {MOST_TAGS} tags of at most {LONGEST_TAG} characters each.")
    return tags

"""The history: scans filtered, sorted and paged by keyset, the same for the page and the API."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, select
from sqlalchemy.orm import Session, contains_eager, joinedload

from ml.measurements import Verdict
from webapp.domain.database import paging, text_search
from webapp.domain.database.orm import is_id
from webapp.domain.database.ownership import OF_OWNED
from webapp.domain.database.paging import Keyset, Page
from webapp.domain.database.search_keys import search_key, words_of
from webapp.domain.errors import InvalidInput
from webapp.domain.jobs.models import Status
from webapp.domain.scans import studies
from webapp.domain.scans.models import Scan, ScanWarning, Segmentation, Study

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200
# Scans that are looked up one by one faster than the history is walked to them.
FEW = 2000
# The same of those that have a warning.
FEW_WARNED = 1000
# Matches are counted so far; beyond it a reader learns nothing from the number that the next filter would not say.
MOST_COUNTED = 10_000
# What PostgreSQL alone has, and models do not name (migration 0034): all that a count asks of runs and of scans, both
# in the order of the run's id.
INDEXES = ("ix_segmentations_id_filters", "ix_scans_owner_id_displayed_id")


@dataclass(frozen=True)
class Sort:
    """One order of the history: the column, its direction, its label."""

    value: str
    label: str
    column: Any
    is_descending: bool

    @property
    def is_of_run(self) -> bool:
        """Whether the column belongs to the displayed run, and is empty while there is no result."""
        return self.column.class_ is Segmentation

    @property
    def is_of_study(self) -> bool:
        """Whether scans are in the order of their studies, those of one next to each other."""
        return self.column.class_ is Study


SORTS = (
    Sort("newest", "Newest first", Scan.created_at, True),
    Sort("oldest", "Oldest first", Scan.created_at, False),
    Sort("coverage", "Most tumor first", Segmentation.coverage_percent, True),
    Sort("name", "Name, A to Z", Scan.sort_name, False),
    Sort("study", "By study, A to Z", Study.sort_name, False),
)


@dataclass(frozen=True)
class HistoryFilter:
    """What is asked of the history; None and the empty text mean: any.

    query: words, each part of a file's name, or of the name, tags, notes or patient of its study; or the whole
    pseudonym of a DICOM series. study: an id. warnings: codes of which a scan has one.
    """

    query: str = ""
    status: Status | None = None
    verdict: Verdict | None = None
    model: str = ""
    study: str = ""
    warnings: Sequence[str] = ()
    from_date: date | None = None
    to_date: date | None = None
    sort: str = "newest"
    limit: int = DEFAULT_LIMIT
    cursor: str = ""

    @property
    def is_of_run(self) -> bool:
        """Whether a condition of the displayed run is among them: a scan without a run then has no place."""
        return bool(self.status or self.verdict or self.model)

    @property
    def is_by_warning(self) -> bool:
        """Whether the index of one warning has the scans, and in the order that is wanted."""
        return len(set(self.warnings)) == 1 and self.sort in ("newest", "oldest") and not self.is_of_run


def page(session: Session, wanted: HistoryFilter) -> Page[Scan]:
    """One page of scans with their displayed runs and studies. Raises InvalidInput for an unknown order or cursor.

    In the order of results, scans without one have no place; in that of studies, those of no study.
    """
    sort, statement = _matching(session, wanted, has_runs=True)
    # What is joined already must be named; anything else joins its own.
    of_study = contains_eager(Scan.study) if sort.is_of_study else joinedload(Scan.study)
    statement = statement.options(contains_eager(Scan.displayed), of_study, joinedload(Scan.same_as))
    limit = min(max(wanted.limit, 1), LARGEST_LIMIT)
    keyset = _keyset(sort, wanted)
    return paging.page(
        session, statement, keyset, limit=limit, cursor=wanted.cursor, values_of=lambda scan: _values(scan, keyset)
    )


def count(session: Session, wanted: HistoryFilter) -> int:
    """How many scans `page` would list in all, counted up to MOST_COUNTED + 1. Raises InvalidInput."""
    _, statement = _matching(session, wanted, has_runs=False)
    # A run's id and not a scan's: INDEXES have all the rest.
    some = statement.with_only_columns(Scan.displayed_id).limit(MOST_COUNTED + 1).subquery()
    return session.scalar(select(func.count()).select_from(some).execution_options(**OF_OWNED)) or 0


def has_any(session: Session) -> bool:
    """Whether there is any scan at all."""
    return session.scalar(select(Scan.id).limit(1)) is not None


def _matching(session: Session, wanted: HistoryFilter, *, has_runs: bool) -> tuple[Sort, Select[Scan]]:
    """has_runs: the displayed runs are among the tables, also where no condition is on them."""
    sort = next((item for item in SORTS if item.value == wanted.sort), None)
    if sort is None:
        raise InvalidInput(f"There is no such order; the orders are: {', '.join(item.value for item in SORTS)}.")
    if "\0" in wanted.query + wanted.model:
        raise InvalidInput("A text to search for has no zero bytes; PostgreSQL stores none.")
    # Sorted by a result, scans without one have no place: an inner join and a condition leave them out.
    is_outer = not (sort.is_of_run or wanted.is_of_run)
    statement = select(Scan)
    if has_runs or not is_outer:
        statement = statement.join(Scan.displayed, isouter=is_outer)
    if sort.is_of_run:
        statement = statement.where(sort.column.is_not(None))
    if sort.is_of_study:
        statement = statement.join(Scan.study)
    if wanted.query:
        statement = _named(session, statement, wanted.query)
    return sort, _filtered(session, statement, wanted)


def _named(session: Session, statement: Select[Scan], query: str) -> Select[Scan]:
    """The scans that have each of the words: by their ids where they are few, else by a look at each on the way.

    Names are read once a session: a page and its count ask for the same.
    """
    known: dict[str, ColumnElement[bool]] = session.info.setdefault("scans with a text in their names", {})
    if query not in known:
        known[query] = _has_text(session, query)
    return statement.where(known[query])


def _has_text(session: Session, query: str) -> ColumnElement[bool]:
    words = {word: _is_of_study(session, word) for word in words_of(query)}
    is_of_patient = Scan.patient_key == search_key(query)
    # Of one table, so that PostgreSQL reads an index for each.
    rare = [
        text_search.has_rare_text(session, Scan.search_name, word) | is_of_study for word, is_of_study in words.items()
    ]
    ids = session.scalars(select(Scan.id).where(and_(*rare) | is_of_patient).limit(FEW + 1)).all()
    if len(ids) <= FEW:
        return paging.is_one_of(session, Scan.id, ids)
    has_each = [Scan.search_name.contains(word, autoescape=True) | is_of_study for word, is_of_study in words.items()]
    return and_(*has_each) | is_of_patient


def _is_of_study(session: Session, word: str) -> ColumnElement[bool]:
    """That a scan's study has the word: by the studies' ids where they are few."""
    found = session.scalars(select(Study.id).where(studies.has_word(word)).limit(FEW + 1)).all()
    if len(found) > FEW:
        return Scan.study_id.in_(select(Study.id).where(studies.has_word(word)))
    return paging.is_one_of(session, Scan.study_id, found) if found else false()


def _filtered(session: Session, statement: Select[Scan], wanted: HistoryFilter) -> Select[Scan]:
    if wanted.status is not None:
        statement = statement.where(Segmentation.status == wanted.status)
    if wanted.verdict is not None:
        statement = statement.where(Segmentation.verdict == wanted.verdict)
    if wanted.model:
        statement = statement.where(Segmentation.model == wanted.model)
    if wanted.study:
        # What is no id of ours is none of any study, and PostgreSQL would refuse some.
        statement = statement.where(Scan.study_id == wanted.study if is_id(wanted.study) else false())
    if wanted.is_by_warning:
        statement = statement.join(ScanWarning, ScanWarning.scan_id == Scan.id)
        statement = statement.where(ScanWarning.code == wanted.warnings[0])
    elif wanted.warnings:
        statement = statement.where(_has_warning(session, wanted.warnings))
    created_at = _created_at(wanted)
    if wanted.from_date is not None:
        statement = statement.where(created_at >= _midnight(wanted.from_date))
    if wanted.to_date is not None and wanted.to_date < date.max:
        # The last day counts whole.
        statement = statement.where(created_at < _midnight(wanted.to_date + timedelta(days=1)))
    return statement


def _has_warning(session: Session, codes: Sequence[str]) -> ColumnElement[bool]:
    """Whether the scan is listed under one of the codes: by their ids where they are few, else by a look at each on the
    way."""
    listed = select(ScanWarning.scan_id).where(ScanWarning.code.in_(codes))
    ids = session.scalars(listed.limit(FEW_WARNED + 1)).all()
    if len(ids) <= FEW_WARNED:
        return paging.is_one_of(session, Scan.id, ids)
    return listed.where(ScanWarning.scan_id == Scan.id).exists()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _created_at(wanted: HistoryFilter) -> Any:
    """The scan's time, from the table that the conditions are on: its indexes hold both, in this order."""
    if wanted.is_by_warning:
        return ScanWarning.scan_created_at
    return Segmentation.scan_created_at if wanted.is_of_run else Scan.created_at


def _keyset(sort: Sort, wanted: HistoryFilter) -> Keyset:
    """The column to sort by, and an id of the same table that tells rows with equal values apart."""
    columns: tuple[Any, ...]
    if wanted.is_by_warning:
        columns = (_created_at(wanted), ScanWarning.scan_id)
    elif sort.column is Scan.created_at and wanted.is_of_run:
        columns = (_created_at(wanted), Segmentation.scan_id)
    elif sort.is_of_study:
        columns = (sort.column, Study.id, Scan.created_at, Scan.id)
    else:
        columns = (sort.column, Segmentation.id if sort.is_of_run else Scan.id)
    return Keyset(sort.value, columns, sort.is_descending)


def _values(scan: Scan, keyset: Keyset) -> list[Any]:
    """A scan's values of the keyset's columns, some of which are its displayed run's or its study's."""
    if keyset.columns[0].class_ is ScanWarning:
        return [scan.created_at, scan.id]
    return [getattr(_owner(scan, column), column.key) for column in keyset.columns]


def _owner(scan: Scan, column: Any) -> Scan | Segmentation | Study | None:
    if column.class_ is Segmentation:
        return scan.displayed
    return scan.study if column.class_ is Study else scan

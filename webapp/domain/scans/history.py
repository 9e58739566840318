"""The history: scans filtered, sorted and paged by keyset, the same for the page and the API.

A keyset cursor names the last row seen; the next page is asked for by value and costs the same on page 1 and 1,000.
"""

import base64
import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.orm import Session, contains_eager

from webapp.domain.database.orm import is_id
from webapp.domain.database.search_keys import search_key
from webapp.domain.errors import InvalidInput
from webapp.domain.jobs.models import Status
from webapp.domain.scans.models import Scan, Segmentation, Verdict

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200
# Scans that are looked up one by one faster than the history is walked to them.
_FEW = 200


@dataclass(frozen=True)
class Sort:
    """One order of the history: the column, its direction, its words."""

    value: str
    label: str
    column: Any
    is_descending: bool

    @property
    def is_of_run(self) -> bool:
        """Whether the column belongs to the shown run, and is empty while there is no result."""
        return self.column.class_ is Segmentation


SORTS = (
    Sort("newest", "Newest first", Scan.created_at, True),
    Sort("oldest", "Oldest first", Scan.created_at, False),
    Sort("coverage", "Most tumor first", Segmentation.coverage_percent, True),
    Sort("name", "Name, A to Z", Scan.sort_name, False),
)


@dataclass(frozen=True)
class HistoryFilter:
    """What is asked of the history; None and the empty text mean: any."""

    q: str = ""
    status: Status | None = None
    verdict: Verdict | None = None
    model: str = ""
    from_date: date | None = None
    to_date: date | None = None
    sort: str = "newest"
    limit: int = DEFAULT_LIMIT
    cursor: str = ""

    @property
    def is_of_run(self) -> bool:
        """Whether a condition of the shown run is among them: a scan without a run then has no place."""
        return bool(self.status or self.verdict or self.model)


@dataclass(frozen=True)
class HistoryPage:
    """One page, and the cursor of the next one, None on the last."""

    scans: list[Scan]
    next_cursor: str | None


def page(session: Session, wanted: HistoryFilter) -> HistoryPage:
    """One page of scans with their shown runs loaded. Raises InvalidInput for a cursor or an order that is not ours."""
    sort = next((item for item in SORTS if item.value == wanted.sort), None)
    if sort is None:
        raise InvalidInput(f"There is no such order; the orders are: {', '.join(item.value for item in SORTS)}.")
    if "\0" in wanted.q + wanted.model:
        raise InvalidInput("A text to search for has no zero bytes; PostgreSQL stores none.")
    limit = min(max(wanted.limit, 1), LARGEST_LIMIT)
    # Sorted by a result, scans without one have no place: an inner join and a condition leave them out.
    is_outer = not (sort.is_of_run or wanted.is_of_run)
    statement = select(Scan).join(Scan.displayed, isouter=is_outer).options(contains_eager(Scan.displayed))
    if sort.is_of_run:
        statement = statement.where(sort.column.is_not(None))
    if wanted.q:
        statement = _named(session, statement, wanted.q)
    statement = _filtered(statement, wanted)
    keys = _keys(sort, wanted)
    if wanted.cursor:
        statement = statement.where(_after(sort, keys, _decode_cursor(wanted.cursor, sort)))
    order = [key.desc() for key in keys] if sort.is_descending else keys
    scans = list(session.scalars(statement.order_by(*order).limit(limit + 1)))
    has_more = len(scans) > limit
    scans = scans[:limit]
    return HistoryPage(scans, _encode_cursor(sort, scans[-1]) if has_more else None)


def _named(session: Session, statement: Select[tuple[Scan]], q: str) -> Select[tuple[Scan]]:
    """The scans with q in their name: by their ids where they are few, else by a look at each on the way."""
    has_name = Scan.search_name.contains(search_key(q), autoescape=True)
    ids = session.scalars(select(Scan.id).where(has_name).limit(_FEW + 1)).all()
    return statement.where(Scan.id.in_(ids) if len(ids) <= _FEW else has_name)


def _filtered(statement: Select[tuple[Scan]], wanted: HistoryFilter) -> Select[tuple[Scan]]:
    if wanted.status is not None:
        statement = statement.where(Segmentation.status == wanted.status)
    if wanted.verdict is not None:
        statement = statement.where(Segmentation.verdict == wanted.verdict)
    if wanted.model:
        statement = statement.where(Segmentation.model == wanted.model)
    created_at = _created_at(wanted)
    if wanted.from_date is not None:
        statement = statement.where(created_at >= _midnight(wanted.from_date))
    if wanted.to_date is not None and wanted.to_date < date.max:
        # The last day counts whole.
        statement = statement.where(created_at < _midnight(wanted.to_date + timedelta(days=1)))
    return statement


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _created_at(wanted: HistoryFilter) -> Any:
    """The scan's time, from the table that the conditions are on: its indexes hold both, in this order."""
    return Segmentation.scan_created_at if wanted.is_of_run else Scan.created_at


def _keys(sort: Sort, wanted: HistoryFilter) -> tuple[Any, Any]:
    """The column to sort by, and an id of the same table that tells rows with equal values apart."""
    if sort.column is Scan.created_at and wanted.is_of_run:
        return _created_at(wanted), Segmentation.scan_id
    return sort.column, Segmentation.id if sort.is_of_run else Scan.id


def _after(sort: Sort, keys: tuple[Any, Any], cursor: tuple[Any, str]) -> ColumnElement[bool]:
    # Compared as a pair: with OR between two conditions a database walks the index from its start.
    return tuple_(*keys) < cursor if sort.is_descending else tuple_(*keys) > cursor


def _encode_cursor(sort: Sort, last: Scan) -> str:
    row: Any = last.displayed if sort.is_of_run else last
    value = getattr(row, sort.column.key)
    text = json.dumps(
        [sort.value, value.isoformat() if isinstance(value, datetime) else value, row.id], ensure_ascii=False
    )
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str, sort: Sort) -> tuple[Any, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        order, value, row_id = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        if order != sort.value or not is_id(row_id):
            raise ValueError("a cursor of another order")
        return _cursor_value(sort, value), row_id
    # Deep nesting ends as RecursionError; a date at the end of the calendar, in another zone, as OverflowError.
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise InvalidInput("The cursor is not one of ours; start again at the first page.") from error


def _cursor_value(sort: Sort, value: Any) -> Any:
    """A value that the database can compare with the sort's column. Raises ValueError, TypeError, OverflowError."""
    if sort.column is Scan.created_at:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError("a time without a zone")
        return moment.astimezone(UTC)
    if sort.column is Scan.sort_name:
        if not isinstance(value, str) or "\0" in value:
            raise TypeError("not a name")
        value.encode()  # a lone surrogate has no bytes: UnicodeEncodeError
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("not a number")
    return float(value)

"""Keyset pagination: a cursor names the last row seen, so page 1,000 costs what page 1 does."""

import base64
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ARRAY, ColumnElement, Select, String, func, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from webapp.domain.database.clock import UtcDateTime
from webapp.domain.database.orm import is_id
from webapp.domain.errors import InvalidInput

Row = TypeVar("Row")

# PostgreSQL's integer.
_INTEGERS = range(-(2**31), 2**31)


@dataclass(frozen=True)
class Keyset:
    """An order of rows. columns: mapped columns, compared as one tuple; the last tells rows with equal values apart.

    name: the order's public name; a cursor of another order is refused.
    """

    name: str
    columns: tuple[Any, ...]
    is_descending: bool = False


@dataclass(frozen=True)
class Page(Generic[Row]):
    """One page of rows, and the cursor of the next one, None on the last."""

    rows: list[Row]
    next_cursor: str | None


def page(
    session: Session,
    statement: Select[Row],
    keyset: Keyset,
    *,
    limit: int,
    cursor: str = "",
    values_of: Callable[[Row], Sequence[Any]] | None = None,
) -> Page[Row]:
    """One page of the statement's rows in the keyset's order. Raises InvalidInput for a cursor that is not of it.

    values_of: a row's values of the keyset's columns; by default its attributes of the same names.
    """
    if cursor:
        last = _decode(cursor, keyset)
        # Compared as a tuple: with OR between conditions a database walks the index from its start.
        here = tuple_(*keyset.columns)
        statement = statement.where(here < last if keyset.is_descending else here > last)
    order = [column.desc() if keyset.is_descending else column for column in keyset.columns]
    # One row more than the page holds says whether there is a next page.
    rows = list(session.scalars(statement.order_by(*order).limit(limit + 1)))
    if len(rows) <= limit:
        return Page(rows, None)
    rows = rows[:limit]
    values = values_of(rows[-1]) if values_of else [getattr(rows[-1], column.key) for column in keyset.columns]
    return Page(rows, _encode(keyset, values))


def is_one_of(session: Session, column: InstrumentedAttribute[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """The condition that a column has one of these texts, however many: they are one parameter."""
    if session.get_bind().dialect.name == "postgresql":
        return column.in_(select(func.unnest(literal(list(values), ARRAY(String)))))
    return column.in_(select(func.json_each(json.dumps(list(values))).table_valued("value").c.value))


def neighbors(session: Session, statement: Select[Row], keyset: Keyset, row: object) -> tuple[Row | None, Row | None]:
    """The statement's rows just before and just after a row in the keyset's order, None at the ends.

    row: has the keyset's columns; it need not be one of the statement's.
    """
    here, values = tuple_(*keyset.columns), tuple(getattr(row, column.key) for column in keyset.columns)
    found = []
    for is_descending in (not keyset.is_descending, keyset.is_descending):
        order = [column.desc() if is_descending else column for column in keyset.columns]
        beyond = here < values if is_descending else here > values
        found.append(session.scalars(statement.where(beyond).order_by(*order).limit(1)).first())
    return found[0], found[1]


def _encode(keyset: Keyset, values: Sequence[Any]) -> str:
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    text = json.dumps([keyset.name, *plain], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, keyset: Keyset) -> tuple[Any, ...]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        name, *values = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        if name != keyset.name:
            raise ValueError("a cursor of another order")
        return tuple(_checked(column, value) for column, value in zip(keyset.columns, values, strict=True))
    # Deep nesting ends as RecursionError; a date at the end of the calendar, in another zone, as OverflowError.
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise InvalidInput("The cursor is not one of ours; start again at the first page.") from error


def _checked(column: Any, value: object) -> Any:
    """A value that the database can compare with the column. Raises ValueError, TypeError, OverflowError."""
    kind = datetime if isinstance(column.type, UtcDateTime) else column.type.python_type
    if isinstance(value, str):
        if kind is datetime:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise ValueError("a time without a zone")
            return moment.astimezone(UTC)
        value.encode()  # a lone surrogate has no bytes: UnicodeEncodeError
        is_key = column.key == "id" or column.key.endswith("_id")
        if kind is str and "\0" not in value and (is_id(value) or not is_key):
            return value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if kind is int and isinstance(value, int) and value in _INTEGERS:
            return value
        if kind is float and math.isfinite(value):
            return float(value)
    raise TypeError(f"no value of {column.key}")

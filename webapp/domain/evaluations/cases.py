"""Cases and patients of an evaluation, filtered, ordered and paged by keyset; the same for the pages and the API."""

import base64
import json
import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.orm import Session

from webapp.domain.database.search_keys import search_key
from webapp.domain.errors import InvalidInput, NotFound
from webapp.domain.evaluations.models import CaseOutcome, EvaluationCase, EvaluationPatient

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 500
# So many cases with a name are looked up by their places; more are met soon enough on a walk through an order's index.
_FEW = 200


@dataclass(frozen=True)
class Order:
    """One order of a table: the column and its direction; rows whose value is empty have no place in it."""

    value: str
    label: str
    column: Any
    is_descending: bool = False


CASE_ORDERS = (
    Order("position", "As in the data set", EvaluationCase.position),
    Order("worst", "Worst Dice first", EvaluationCase.dice),
    Order("best", "Best Dice first", EvaluationCase.dice, is_descending=True),
    Order("largest", "Most marked pixels first", EvaluationCase.predicted_pixels, is_descending=True),
)
PATIENT_ORDERS = (
    Order("position", "By name", EvaluationPatient.position),
    Order("worst", "Worst Dice first", EvaluationPatient.dice),
    Order("best", "Best Dice first", EvaluationPatient.dice, is_descending=True),
)


@dataclass(frozen=True)
class CaseFilter:
    """What is asked for; None and the empty text mean: any. q: part of the patient's or the image's name."""

    outcome: CaseOutcome | None = None
    patient: str = ""
    q: str = ""
    order: str = "position"
    limit: int = DEFAULT_LIMIT
    cursor: str = ""


@dataclass(frozen=True)
class CasePage:
    """One page, and the cursor of the next one, None on the last."""

    cases: list[EvaluationCase]
    next_cursor: str | None


@dataclass(frozen=True)
class PatientPage:
    """One page, and the cursor of the next one, None on the last."""

    patients: list[EvaluationPatient]
    next_cursor: str | None


def cases(session: Session, evaluation_id: str, wanted: CaseFilter) -> CasePage:
    """One page of finished cases. Raises InvalidInput for an order or a cursor that is not ours."""
    statement = select(EvaluationCase).where(EvaluationCase.evaluation_id == evaluation_id)
    if wanted.outcome is not None:
        statement = statement.where(EvaluationCase.outcome == wanted.outcome)
    if wanted.patient:
        statement = statement.where(EvaluationCase.patient == _plain(wanted.patient))
    if wanted.q:
        statement = _named(session, evaluation_id, statement, wanted.q)
    rows, cursor = _page(session, statement, CASE_ORDERS, EvaluationCase.position, wanted)
    return CasePage(rows, cursor)


def _named(session: Session, evaluation_id: str, statement: Select[Any], q: str) -> Select[Any]:
    """The cases with q in their name: by their places where they are few, else by a look at each on the way."""
    has_name = EvaluationCase.search_name.contains(search_key(_plain(q)), autoescape=True)
    places = session.scalars(
        select(EvaluationCase.position).where(EvaluationCase.evaluation_id == evaluation_id, has_name).limit(_FEW + 1)
    ).all()
    return statement.where(EvaluationCase.position.in_(places) if len(places) <= _FEW else has_name)


def patients(session: Session, evaluation_id: str, wanted: CaseFilter) -> PatientPage:
    """One page of patients of a finished evaluation. Raises InvalidInput."""
    statement = select(EvaluationPatient).where(EvaluationPatient.evaluation_id == evaluation_id)
    if wanted.q:
        statement = statement.where(_contains(wanted.q, EvaluationPatient.patient))
    rows, cursor = _page(session, statement, PATIENT_ORDERS, EvaluationPatient.position, wanted)
    return PatientPage(rows, cursor)


def case(session: Session, evaluation_id: str, position: int) -> EvaluationCase:
    """One finished case. Raises NotFound."""
    row = session.get(EvaluationCase, (evaluation_id, position)) if 0 <= position < 2**31 else None
    if row is None:
        raise NotFound("There is no such case, or it is not finished yet.")
    return row


def neighbors(session: Session, evaluation_id: str, position: int) -> tuple[int | None, int | None]:
    """Positions of the finished case before and of the one after, None at the ends."""
    here = EvaluationCase.evaluation_id == evaluation_id
    before = select(func.max(EvaluationCase.position)).where(here, EvaluationCase.position < position)
    after = select(func.min(EvaluationCase.position)).where(here, EvaluationCase.position > position)
    return session.scalar(before), session.scalar(after)


def _page(
    session: Session, statement: Select[Any], orders: tuple[Order, ...], position: Any, wanted: CaseFilter
) -> tuple[list[Any], str | None]:
    order = next((item for item in orders if item.value == wanted.order), None)
    if order is None:
        raise InvalidInput(f"There is no such order; the orders are: {', '.join(item.value for item in orders)}.")
    limit = min(max(wanted.limit, 1), LARGEST_LIMIT)
    keys = [position] if order.column is position else [order.column, position]
    if len(keys) > 1:
        statement = statement.where(order.column.is_not(None))
    if wanted.cursor:
        last = _decode(wanted.cursor, order, len(keys))
        here = tuple_(*keys)
        statement = statement.where(here < last if order.is_descending else here > last)
    ordered = statement.order_by(*(key.desc() for key in keys) if order.is_descending else keys)
    rows = list(session.scalars(ordered.limit(limit + 1)))
    if len(rows) <= limit:
        return rows, None
    last_row = rows[limit - 1]
    return rows[:limit], _encode(order, [getattr(last_row, key.key) for key in keys])


def _contains(text: str, column: Any) -> ColumnElement[bool]:
    return func.lower(column).contains(_plain(text).lower(), autoescape=True)


def _plain(text: str) -> str:
    """Raises InvalidInput for a text that no database stores."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("A text to search for is plain text.") from error
    if "\0" in text:
        raise InvalidInput("A text to search for has no zero bytes.")
    return text


def _encode(order: Order, values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([order.value, *values]).encode()).decode().rstrip("=")


def _decode(cursor: str, order: Order, count: int) -> tuple[Any, ...]:
    try:
        name, *values = json.loads(base64.urlsafe_b64decode((cursor + "=" * (-len(cursor) % 4)).encode("ascii")))
        is_ours = name == order.value and len(values) == count and all(_is_number(value) for value in values)
        if not is_ours or not isinstance(values[-1], int) or not 0 <= values[-1] < 2**31:
            raise ValueError("a cursor of another order")
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInput("The cursor is not one of ours; start again at the first page.") from error
    return tuple(values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1e15

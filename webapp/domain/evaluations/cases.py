"""Cases and patients of an evaluation, filtered, ordered and paged by keyset; the same for the pages and the API."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, and_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from ml.evaluation.gallery import GALLERY_SIZE, ORDERS, Rank, choose_gallery
from webapp.domain.database import paging
from webapp.domain.database.paging import Keyset, Page, page
from webapp.domain.database.search_keys import words_of
from webapp.domain.errors import InvalidInput, NotFound
from webapp.domain.evaluations.models import CaseOutcome, EvaluationCase, EvaluationPatient

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 500
Row = TypeVar("Row", EvaluationCase, EvaluationPatient)

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
    """What is asked for; None and the empty text mean: any. query: words of the patient's or the image's name."""

    outcome: CaseOutcome | None = None
    patient: str = ""
    query: str = ""
    order: str = "position"
    limit: int = DEFAULT_LIMIT
    cursor: str = ""


def cases(session: Session, evaluation_id: str, wanted: CaseFilter) -> Page[EvaluationCase]:
    """One page of finished cases. Raises InvalidInput for an order or a cursor that is not ours."""
    statement = _filtered(session, evaluation_id, wanted)
    return _page(session, statement, CASE_ORDERS, EvaluationCase.position, wanted)


def _filtered(session: Session, evaluation_id: str, wanted: CaseFilter) -> Select[EvaluationCase]:
    statement = select(EvaluationCase).where(EvaluationCase.evaluation_id == evaluation_id)
    if wanted.outcome is not None:
        statement = statement.where(EvaluationCase.outcome == wanted.outcome)
    if wanted.patient:
        statement = statement.where(EvaluationCase.patient == _plain(wanted.patient))
    if wanted.query:
        statement = _named(session, evaluation_id, statement, wanted.query)
    return statement


def _named(session: Session, evaluation_id: str, statement: Select[Row], text: str) -> Select[Row]:
    """The cases with each word in their name: by their places where they are few, else by a look at each on the way."""
    has_name = _has_words(EvaluationCase.search_name, text)
    places = session.scalars(
        select(EvaluationCase.position).where(EvaluationCase.evaluation_id == evaluation_id, has_name).limit(_FEW + 1)
    ).all()
    return statement.where(EvaluationCase.position.in_(places) if len(places) <= _FEW else has_name)


def _has_words(column: InstrumentedAttribute[str], text: str) -> ColumnElement[bool]:
    return and_(*(column.contains(word, autoescape=True) for word in words_of(_plain(text))))


def patients(session: Session, evaluation_id: str, wanted: CaseFilter) -> Page[EvaluationPatient]:
    """One page of patients of a finished evaluation. Raises InvalidInput."""
    statement = select(EvaluationPatient).where(EvaluationPatient.evaluation_id == evaluation_id)
    if wanted.query:
        statement = statement.where(_has_words(EvaluationPatient.search_name, wanted.query))
    return _page(session, statement, PATIENT_ORDERS, EvaluationPatient.position, wanted)


def gallery_cases(session: Session, evaluation_id: str) -> list[tuple[str, list[EvaluationCase]]]:
    """The slices that a report shows first, of the cases finished so far, each order with its title."""

    def first(count: int, **wanted: Any) -> list[EvaluationCase]:
        return cases(session, evaluation_id, CaseFilter(limit=count, **wanted)).rows

    # Twice as many of the best: some may be among the worst.
    found = _worst(session, evaluation_id, first(GALLERY_SIZE, order="worst"))
    found += first(2 * GALLERY_SIZE, order="best")
    found += first(GALLERY_SIZE, order="largest", outcome=CaseOutcome.FALSE_ALARM)
    chosen = choose_gallery(
        [row for _, row in sorted({row.position: row for row in found}.items())],
        lambda row: Rank(row.dice, row.predicted_pixels or 0, int(row.metric("false_negative") or 0)),
    )
    return [(title, chosen[order]) for order, title in ORDERS.items()]


def _worst(session: Session, evaluation_id: str, first: list[EvaluationCase]) -> list[EvaluationCase]:
    """The worst cases, of equal ones those with the largest missed area. first: as many of the worst as are shown."""
    if len(first) < GALLERY_SIZE:
        return first
    is_worse = EvaluationCase.dice < first[-1].dice
    statement = select(EvaluationCase).where(EvaluationCase.evaluation_id == evaluation_id)
    missed = EvaluationCase.metrics["false_negative"].as_integer()
    ties = statement.where(EvaluationCase.dice == first[-1].dice).order_by(missed.desc(), EvaluationCase.position)
    worse = session.scalars(statement.where(is_worse).limit(GALLERY_SIZE)).all()
    return [*worse, *session.scalars(ties.limit(GALLERY_SIZE))]


def case(session: Session, evaluation_id: str, position: int) -> EvaluationCase:
    """One finished case. Raises NotFound."""
    row = session.get(EvaluationCase, (evaluation_id, position)) if 0 <= position < 2**31 else None
    if row is None:
        raise NotFound("There is no such case, or it is not finished yet.")
    return row


def neighbors(
    session: Session, row: EvaluationCase, wanted: CaseFilter
) -> tuple[EvaluationCase | None, EvaluationCase | None]:
    """The finished cases before and after a case in a filtered and ordered table, None at the ends.

    A case without a place in the order is stepped from as the data set has it.
    """
    order = next(item for item in CASE_ORDERS if item.value == wanted.order)
    if getattr(row, order.column.key) is None:
        wanted, order = replace(wanted, order=CASE_ORDERS[0].value), CASE_ORDERS[0]
    statement = _filtered(session, row.evaluation_id, wanted)
    return paging.neighbors(session, statement, _keyset(order, EvaluationCase.position), row)


def _keyset(order: Order, position: Any) -> Keyset:
    columns = (position,) if order.column is position else (order.column, position)
    return Keyset(order.value, columns, order.is_descending)


def _page(
    session: Session, statement: Select[Row], orders: tuple[Order, ...], position: Any, wanted: CaseFilter
) -> Page[Row]:
    order = next((item for item in orders if item.value == wanted.order), None)
    if order is None:
        raise InvalidInput(f"There is no such order; the orders are: {', '.join(item.value for item in orders)}.")
    if order.column is not position:
        statement = statement.where(order.column.is_not(None))
    limit = min(max(wanted.limit, 1), LARGEST_LIMIT)
    return page(session, statement, _keyset(order, position), limit=limit, cursor=wanted.cursor)


def _plain(text: str) -> str:
    """Raises InvalidInput for a text that no database stores."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("A text to search for is plain text.") from error
    if "\0" in text:
        raise InvalidInput("A text to search for has no zero bytes.")
    return text

"""What a transaction changes, told before its COMMIT to who asked: a line about it is then written with it, or neither.

Rows that the portal keeps for itself (`bookkeeping`) are no changes: sessions, attempts, keys, the log itself.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session

from webapp.domain.database.orm import is_id
from webapp.domain.database.ownership import Part

# Execution option of a statement that belongs to something else that somebody does: a code that is taken for it.
BESIDE = {"is_beside": True}

Row = TypeVar("Row")

_CHANGED, _AFTER = "changes", "after its commit"
_bookkeeping: set[type[Any]] = set()


@dataclass
class Changed:
    """The ids of what a transaction made or deleted. parts: of what belongs to something else (`ownership.Part`)."""

    ids: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)


# It is given the transaction that is about to be committed, to which it may add, and gives what is to be done after.
Witness = Callable[[Session, Changed], Callable[[], None] | None]

_witness: ContextVar[Witness | None] = ContextVar("witness", default=None)


def bookkeeping(kind: type[Row]) -> type[Row]:
    """Of a table: its rows change without anybody's doing, or beside what somebody did."""
    _bookkeeping.add(kind)
    return kind


def tell(witness: Witness | None) -> None:
    """From here on, in this thread, this one is told of each transaction that changes something; None: nobody is."""
    _witness.set(witness)


@contextmanager
def told(witness: Witness) -> Iterator[None]:
    """In the block this one is told of each transaction that changes something."""
    token = _witness.set(witness)
    try:
        yield
    finally:
        _witness.reset(token)


def conclude(session: Session) -> None:
    """Before the COMMIT, all else being written: tell of what was changed."""
    witness, changed = _witness.get(), session.info.pop(_CHANGED, None)
    if witness is not None and changed is not None:
        session.info[_AFTER] = witness(session, changed)


def settle(session: Session) -> None:
    """After the COMMIT."""
    after = session.info.pop(_AFTER, None)
    if after is not None:
        after()


@event.listens_for(Session, "after_flush")
def _note_rows(session: Session, _context: object) -> None:
    if _witness.get() is None:
        return
    for row in (*session.new, *session.deleted):
        if type(row) not in _bookkeeping:
            changed = _changed(session)
            id_ = getattr(row, "id", None)
            if isinstance(id_, str) and is_id(id_):
                (changed.parts if isinstance(row, Part) else changed.ids).append(id_)
    if any(type(row) not in _bookkeeping and session.is_modified(row) for row in session.dirty):
        _changed(session)


@event.listens_for(Session, "do_orm_execute")
def _note_statement(state: ORMExecuteState) -> None:
    if _witness.get() is None or not (state.is_insert or state.is_update or state.is_delete):
        return
    mapper = state.bind_mapper
    is_beside = state.execution_options.get("is_beside") or (mapper is not None and mapper.class_ in _bookkeeping)
    if not is_beside:
        _changed(state.session)


def _changed(session: Session) -> Changed:
    changed: Changed = session.info.setdefault(_CHANGED, Changed())
    return changed

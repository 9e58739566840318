"""Whose rows a session sees: the one place where every query is scoped by owner.

A request says who asks (`act_as`); every query, update and deletion of a session that is opened from then on has the
owner's condition added, whatever the code that wrote it asked for. Workers, the sweeper and commands act for nobody
and see everything. Only statements over plain tables and text pass by it; a test lists those that there are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, String, event, exists, update
from sqlalchemy.orm import Mapped, ORMExecuteState, Session, mapped_column, with_loader_criteria

# The implicit user of a portal without accounts, to whom belongs what was there before there were any.
LOCAL = "local"
# Nobody's id, and so no row's: who has not been identified sees nothing.
NOBODY = ""
# None: everything.
_asking: ContextVar[str | None] = ContextVar("asking")
_OWNER = "owner"
# Execution option of a statement that counts everybody's rows and tells no content of them; a test lists its users.
OF_EVERYONE = {"of_everyone": True}
# Of a statement that joins each part to what it belongs to: the owner is asked for once, and not of the part again.
OF_OWNED = {"of_owned": True}


def _owner_of_new() -> str:
    return _asking.get(None) or LOCAL


class Owned:
    """A row that belongs to one user."""

    owner_id: Mapped[str] = mapped_column(String(32), default=_owner_of_new, server_default=LOCAL)


class Part:
    """A row that belongs to whom its parent belongs to. `owner_link` names the column with the parent's id."""

    owner_link: ClassVar[str]


def act_as(owner_id: str | None) -> None:
    """From here on, in this thread, sessions see this owner's rows; None: everybody's."""
    _asking.set(owner_id)


@contextmanager
def everyone() -> Iterator[None]:
    """Sessions that are opened in the block see everybody's rows: figures of the whole portal, and no row itself."""
    token = _asking.set(None)
    try:
        yield
    finally:
        _asking.reset(token)


def owner_of_new() -> str:
    """The owner that a row made now has."""
    return _owner_of_new()


def bind(session: Session, *, is_scoped: bool) -> None:
    """Give a new session its owner. is_scoped: whoever did not say for whom it acts sees nothing."""
    session.info[_OWNER] = _asking.get(NOBODY if is_scoped else None)


@event.listens_for(Session, "do_orm_execute")
def _scope(state: ORMExecuteState) -> None:
    owner = state.session.info.get(_OWNER)
    if owner is None or state.is_column_load or state.execution_options.get("of_everyone"):
        return
    if not (state.is_select or state.is_update or state.is_delete):
        return
    state.statement = state.statement.options(*_criteria(owner, bool(state.execution_options.get("of_owned"))))


@lru_cache(maxsize=256)
def _criteria(owner: str, is_of_owned: bool) -> tuple[Any, ...]:
    """Made once an owner: to write the conditions out at every statement took as long as the statement itself."""
    kinds = Owned.__subclasses__() if is_of_owned else owned_tables()
    return tuple(with_loader_criteria(kind, _is_owned(kind, owner), include_aliases=True) for kind in kinds)


def adopt(session: Session, owner_id: str, former_id: str = LOCAL) -> dict[str, int]:
    """Give what a former owner has, such as the implicit local user, to this one: how many rows of each table."""
    numbers = {}
    for kind in Owned.__subclasses__():
        former = update(kind).where(kind.owner_id == former_id).values(owner_id=owner_id)
        result = session.execute(former.execution_options(synchronize_session=False))
        numbers[str(kind.__tablename__)] = int(getattr(result, "rowcount", 0))  # type: ignore[attr-defined]
    return dict(sorted(numbers.items()))


def owned_tables() -> list[type[Any]]:
    """Every mapped class whose rows have an owner."""
    return [*Owned.__subclasses__(), *Part.__subclasses__()]


def _is_owned(kind: type[Any], owner: str) -> ColumnElement[bool]:
    if issubclass(kind, Owned):
        return kind.owner_id == owner
    link = getattr(kind, kind.owner_link)
    (key,) = link.property.columns[0].foreign_keys
    # An alias: a statement may have the parent among its tables already, and would take this for the same.
    parent = key.column.table.alias()
    return exists().where(parent.c.id == link, parent.c.owner_id == owner)

"""The database's clock. Leases and job times come from it alone, so that machines with other clocks agree."""

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A UTC-aware datetime. SQLite keeps no zone: there it is stored as UTC and comes back aware."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a zone cannot be stored; use datetime.now(UTC)")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class database_now(FunctionElement[datetime]):  # noqa: N801 - reads as a SQL function
    """The database's present time, `plus_s` seconds later (or earlier, where negative)."""

    type = UtcDateTime()
    name = "database_now"
    # `plus_s` is part of the text, and so of what a compiled statement is kept under. Not kept, each claim, lease and
    # end of a job would compile its statement again, which takes longer than to run it.
    _traverse_internals = [  # noqa: RUF012 - SQLAlchemy's
        *FunctionElement._traverse_internals,
        ("plus_s", InternalTraversal.dp_plain_obj),
    ]

    def __init__(self, plus_s: float = 0.0) -> None:
        super().__init__()
        self.plus_s = float(plus_s)


@compiles(database_now, "sqlite")
def _sqlite_now(element: database_now, compiler: SQLCompiler, **_: object) -> str:
    # Milliseconds, filled up to the six digits in which SQLAlchemy stores a datetime, so that texts compare as times.
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '{element.plus_s:+.3f} seconds')"


@compiles(database_now, "postgresql")
def _postgresql_now(element: database_now, compiler: SQLCompiler, **_: object) -> str:
    # clock_timestamp(), since now() stands still within a transaction.
    return f"(clock_timestamp() + interval '{element.plus_s:.3f} seconds')"

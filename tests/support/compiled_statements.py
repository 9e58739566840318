"""SQL that is compiled once for all databases of the suite's process, as a portal's process has one of each statement.

SQLAlchemy keeps compiled statements by engine, and each test of the portal has one of its own: a quarter of such a
test's time went into compiling the same statements anew.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.engine.default import DefaultDialect

from webapp.domain.database import engine as database_engine


@contextmanager
def compiled_once() -> Iterator[None]:
    """Let all engines of `webapp.domain.database` share what is compiled for a kind of database."""
    compiled: dict[Any, Any] = {}

    def create(url: URL, **options: Any) -> Engine:
        engine = create_engine(url, **options)
        engine.update_execution_options(compiled_cache=compiled)
        return engine

    with pytest.MonkeyPatch.context() as patch:
        # Its keys begin with the dialect, of which each engine has its own: those of one class are one here.
        patch.setattr(DefaultDialect, "__eq__", lambda self, other: type(self) is type(other))
        patch.setattr(DefaultDialect, "__hash__", lambda self: hash(type(self)))
        patch.setattr(database_engine, "create_engine", create)
        yield

"""The rows of a SQLite database into PostgreSQL: for a portal that grows. All of them, or none.

Not the other way: what `pg_dump` writes is read by a server of PostgreSQL's alone.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Table, bindparam, func, select
from sqlalchemy.exc import DBAPIError

from webapp.domain.backups.contents import BackupError
from webapp.domain.database import migration
from webapp.domain.database.engine import Database
from webapp.domain.tables import Base

ROWS_AT_ONCE = 1000
# Triggers of both databases write it, of the rows of the others (migration 0031).
DERIVED = frozenset({"scan_warnings"})


def transfer(copy: Path, url: str) -> None:
    """Put all rows of the SQLite file in the place of those of the PostgreSQL database at `url`, at the newest schema.

    The file is not changed. Raises BackupError, SchemaError.
    """
    with tempfile.TemporaryDirectory(prefix="tmp") as folder:
        work = Path(folder) / copy.name
        shutil.copyfile(copy, work)
        own_url = f"sqlite:///{work}"
        migration.upgrade(own_url)
        migration.upgrade(url)
        source, target = Database(own_url), Database(url)
        try:
            with source.engine.connect() as old, target.engine.begin() as new:
                _write_tables(old, new)
        except DBAPIError as error:
            # The driver's words alone: the values are names of files and studies.
            raise BackupError(f"PostgreSQL did not take the database's rows: {error.orig}") from error
        finally:
            source.dispose()
            target.dispose()


def _write_tables(old: Connection, new: Connection) -> None:
    tables = Base.metadata.sorted_tables
    for table in reversed(tables):
        new.execute(table.delete())
    late = {table: _late_columns(table, tables) for table in tables}
    for table in tables:
        if table.name not in DERIVED:
            for rows in _rows(old, table):
                new.execute(table.insert(), [dict(row) | dict.fromkeys(late[table]) for row in rows])
    for table, names in late.items():
        for name in names:
            _write_late(old, new, table, table.c[name])
    for table in tables:
        count = select(func.count()).select_from(table)
        was, now = old.scalar(count), new.scalar(count)
        if was != now:
            raise BackupError(f"Of {table.name} {was} rows became {now}; nothing was restored.")


def _late_columns(table: Table, tables: list[Table]) -> list[str]:
    """Columns that refer to rows which come later, or to other rows of their own table."""
    written = tables[: tables.index(table)]
    return [column.name for column in table.c if any(key.column.table not in written for key in column.foreign_keys)]


def _rows(old: Connection, table: Table) -> Iterator[list[Mapping[str, Any]]]:
    found = old.execution_options(yield_per=ROWS_AT_ONCE).execute(select(table))
    for part in found.mappings().partitions():
        yield [{str(name): value for name, value in row.items()} for row in part]


def _write_late(old: Connection, new: Connection, table: Table, column: Column[Any]) -> None:
    (key,) = table.primary_key.columns
    change = table.update().where(key == bindparam("row_key")).values({column: bindparam("row_value")})
    chosen = select(key.label("row_key"), column.label("row_value")).where(column.is_not(None))
    for part in old.execution_options(yield_per=ROWS_AT_ONCE).execute(chosen).mappings().partitions():
        new.execute(change, [dict(row) for row in part])

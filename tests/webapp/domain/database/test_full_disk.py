"""A database whose disk is full says so, with the status of a full disk: 507."""

from pathlib import Path

import psycopg
import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from tests.support.resources import png_bytes
from tests.webapp.clients import resources_of, send, traces
from webapp.domain.database.engine import Database
from webapp.domain.errors import DatabaseFull, DatabaseUnavailable


@pytest.fixture
def full(tmp_path: Path) -> Database:
    """A SQLite file that may not grow."""
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite3'}", pool_size=1)
    with database.write() as session:
        session.execute(text("CREATE TABLE x (data BLOB)"))
        session.execute(text("PRAGMA max_page_count = 2"))
    return database


def test_a_full_disk_under_sqlite_is_named(full: Database) -> None:
    with pytest.raises(DatabaseFull, match="no room left") as caught, full.write() as session:
        session.execute(text("INSERT INTO x VALUES (zeroblob(100000))"))
    full.dispose()
    assert (caught.value.status, caught.value.code) == (507, "storage_full")


def test_another_fault_stays_unavailable(full: Database) -> None:
    with pytest.raises(DatabaseUnavailable) as caught, full.write() as session:
        session.execute(text("SELECT * FROM none_such"))
    full.dispose()
    assert caught.value.status == 503


@pytest.mark.parametrize(("sqlstate", "status"), [("53100", 507), ("53300", 503)])
def test_a_full_disk_under_postgresql_is_named(full: Database, sqlstate: str, status: int) -> None:
    with pytest.raises(DatabaseUnavailable) as caught, full.write():
        raise OperationalError("INSERT", {}, psycopg.errors.lookup(sqlstate)("no space"))
    full.dispose()
    assert caught.value.status == status


def test_an_upload_onto_a_full_database_is_507_and_leaves_nothing(app: Flask) -> None:
    database = resources_of(app).database
    database.dispose()
    # SQLite takes the present size for a limit below it.
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 1"))
    answers = [send(app.test_client(), ("a" * 200 + ".png", png_bytes())) for _ in range(40)]
    full = [answer for answer in answers if answer.status_code == 507]
    assert full and {answer.status_code for answer in answers} <= {202, 507}
    assert full[0].json["code"] == "storage_full"
    left = traces(app)
    assert (left.scans, len(left.files)) == (40 - len(full), 2 * (40 - len(full)))

"""A database whose disk is full says so, with the status of a full disk: 507."""

import shutil
import sqlite3
from collections import namedtuple
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from tests.support.resources import png_bytes
from tests.webapp.clients import NOTHING, SCANS, resources_of, send, sent, traces
from webapp.domain.database.ballast import BALLAST_BYTES, Ballast
from webapp.domain.database.engine import Database
from webapp.domain.errors import DatabaseFull, DatabaseUnavailable, NotFound
from webapp.domain.evaluations import deletion, submission
from webapp.domain.evaluations.submission import EvaluationOptions
from webapp.domain.resources import Resources


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


def _full_while_the_ballast_lies(database: Database) -> None:
    """As a disk that the ballast has filled: nothing is deleted beside it."""

    def refuse(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.startswith("DELETE") and database.ballast.is_loaded:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise OperationalError(statement, {}, error)

    event.listen(database.engine, "before_cursor_execute", refuse)


def test_on_a_full_disk_a_scan_can_be_deleted(app: Flask) -> None:
    resources = resources_of(app)
    scan = sent(app.test_client())
    resources.database.ballast.load()
    _full_while_the_ballast_lies(resources.database)
    assert app.test_client().delete(f"{SCANS}/{scan['id']}").status_code == 204
    assert traces(app) == NOTHING
    assert resources.database.ballast.is_loaded, "there is room again"


def test_on_a_full_disk_an_evaluation_can_be_deleted(resources: Resources, data: Path) -> None:
    if not resources.database.is_sqlite:
        return  # PostgreSQL's disk is its own server's
    evaluation_id = submission.from_folder(resources, str(data), EvaluationOptions())
    resources.database.ballast.load()
    _full_while_the_ballast_lies(resources.database)
    deletion.delete(resources, evaluation_id)
    with pytest.raises(NotFound):
        deletion.delete(resources, evaluation_id)


def test_without_ballast_a_full_disk_stays_a_full_disk(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = sent(app.test_client())
    monkeypatch.setattr(Ballast, "is_loaded", True)
    _full_while_the_ballast_lies(resources_of(app).database)
    answer = app.test_client().delete(f"{SCANS}/{scan['id']}")
    assert (answer.status_code, answer.json["code"]) == (507, "storage_full")


def test_the_ballast_takes_up_room_where_there_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ballast = Ballast(tmp_path)
    assert not ballast.drop()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**9, 10**9, 2 * BALLAST_BYTES))
    ballast.load()
    assert not ballast.is_loaded
    monkeypatch.undo()
    ballast.load()
    assert 512 * (tmp_path / "ballast").stat().st_blocks >= BALLAST_BYTES
    assert ballast.drop() and not ballast.is_loaded and list(tmp_path.iterdir()) == []

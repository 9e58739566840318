"""Worker and sweeper wait for the schema that they need, and say so."""

import threading

import pytest
from alembic import command
from sqlalchemy import text

from webapp.domain.database import migration
from webapp.domain.database.engine import Database
from webapp.domain.errors import DatabaseUnavailable
from worker.process.schema import wait_for_schema


def test_an_old_schema_is_said_once_and_waited_for(database_url: str, caplog) -> None:
    command.downgrade(migration.alembic_config(database_url), "-1")
    database, stopped, rounds = Database(database_url), threading.Event(), []

    class Pauses(threading.Event):
        def wait(self, _seconds: float | None = None) -> bool:
            rounds.append(1)
            if len(rounds) == 3:
                migration.upgrade(database_url)
            return False

    stopped = Pauses()
    wait_for_schema(database, 0.1, stopped)
    database.dispose()
    assert len(rounds) == 3
    said = [record.message for record in caplog.records if "waiting for the database" in record.message]
    assert len(said) == 1 and "older schema" in said[0] and "migrate" in said[0]


def test_a_column_that_is_missing_is_said_with_the_remedy(database_url: str, caplog) -> None:
    database = Database(database_url)
    for statement in ("SELECT 1 FROM scans WHERE none_such = 1", "SELECT * FROM none_such"):
        with pytest.raises(DatabaseUnavailable, match="migrate"), database.read() as session:
            session.execute(text(statement))
    database.dispose()
    assert "none_such" in caplog.text


def test_a_wait_ends_when_the_process_is_stopped(database_url: str) -> None:
    command.downgrade(migration.alembic_config(database_url), "-1")
    database, stopped = Database(database_url), threading.Event()
    stopped.set()
    wait_for_schema(database, 60, stopped)
    database.dispose()

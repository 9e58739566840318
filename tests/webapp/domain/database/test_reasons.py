"""Where the database does not answer, the log says once why: an operator can tell a wrong password from a full disk."""

import logging

import pytest

from webapp.domain.database.engine import Database
from webapp.domain.errors import DatabaseUnavailable


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "does not answer: " in record.getMessage()]


def ask_twice(url: str) -> None:
    database = Database(url)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable, match="does not answer right now"):
            database.ping()
    database.dispose()


def test_a_server_that_is_away_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ask_twice("postgresql+psycopg://me:secret@127.0.0.1:1/glioscope")
    (line,) = said(caplog)
    assert "127.0.0.1" in line and "port 1 " in line and "secret" not in line and "\n" not in line


@pytest.mark.postgres
def test_a_server_that_refuses_is_quoted(postgres: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ask_twice(f"postgresql+psycopg:///no_such_database?{postgres}")
    (line,) = said(caplog)
    assert 'database "no_such_database" does not exist' in line


def test_a_second_outage_is_said_again(tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "instance"
    folder.mkdir()
    database = Database(f"sqlite:///{folder / 'glioscope.sqlite3'}")
    database.ping()
    with caplog.at_level(logging.WARNING):
        for number in range(2):
            database.dispose()
            folder.rename(tmp_path / "away")
            with pytest.raises(DatabaseUnavailable):
                database.ping()
            (tmp_path / "away").rename(folder)
            database.ping()
            assert len(said(caplog)) == number + 1
    database.dispose()

"""`flask --app wsgi ...`: what is in a command's way is one sentence."""

import errno
from pathlib import Path

import pytest
from flask import Flask

from tests.support.resources import make_settings
from webapp.domain.backups import making
from webapp.domain.database import migration
from webapp.factory import create_app

COMMANDS = (["run", "/"], ["list"], ["cancel", "x"], ["delete", "--yes", "x"])


def told(app: Flask, command: list[str]) -> str:
    """The end of a command that fails: its one line."""
    result = app.test_cli_runner().invoke(args=["evaluations", *command])
    assert (result.exit_code == 1 and result.exception is None) or isinstance(result.exception, SystemExit)
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_command_without_an_instance_says_how_to_make_one(tmp_path: Path, command: list[str]) -> None:
    app = create_app(make_settings(tmp_path))
    assert told(app, command) == (
        "Error: The database is empty; `flask --app wsgi migrate`, or `make run`, brings it up to date.\n"
    )


def test_a_command_on_an_older_schema_names_it(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    migration.command.upgrade(migration.alembic_config(settings.database_url), "0003")
    assert "of an older schema (0003)" in told(create_app(settings), ["list"])


@pytest.mark.parametrize(
    ("command", "sentence"),
    [(["run", "/"], "no such folder below"), (["cancel", "x"], "no such eval"), (["delete", "--yes", "x"], "no such")],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_command_says_what_is_in_its_way(app: Flask, command: list[str], sentence: str) -> None:
    assert sentence in told(app, command)


def test_a_database_that_is_away_is_said(tmp_path: Path) -> None:
    app = create_app(make_settings(tmp_path, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none"))
    assert "does not answer right now" in told(app, ["list"])


def test_a_backup_on_a_full_disk_says_which_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It said: `No space left on device: None`."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    settings = make_settings(tmp_path)
    migration.upgrade(settings.database_url)
    monkeypatch.setattr(making, "make", full)
    result = create_app(settings).test_cli_runner().invoke(args=["backups", "make", str(tmp_path / "disk" / "new")])
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: There is no room left in {tmp_path / 'disk'}; free some, or take a folder on another disk, and begin"
        " again.\n"
    )

"""Whose an evaluation is that the command line starts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from tests.support.evaluations import write_data_set
from tests.webapp.accounts import add_user, log_in
from tests.webapp.clients import resources_of
from webapp.commands import evaluations
from webapp.domain.accounts.models import Role

PATH = "/api/v1/evaluations"


@pytest.fixture
def folder(with_users: Flask) -> Path:
    return write_data_set(resources_of(with_users).settings.evaluation_roots[0] / "set")


@pytest.fixture
def with_users(make_app: Callable[..., Flask]) -> Flask:
    app = make_app(GLIOSCOPE_AUTH="password")
    for name, role in (("root", Role.ADMIN), ("ada", Role.RESEARCHER), ("vera", Role.VIEWER)):
        add_user(app, name, role)
    return app


def run(app: Flask, folder: Path, *options: str) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["evaluations", "run", str(folder), *options])
    return result.exit_code, result.output


def test_it_is_on_the_pages_of_the_user_who_is_named(
    with_users: Flask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press_control_c(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluations.time, "sleep", press_control_c)
    assert run(with_users, folder, "--user", "ada")[0] == 130
    assert len(log_in(with_users, "ada").get(PATH).json["evaluations"]) == 1
    assert log_in(with_users, "root").get(PATH).json["evaluations"] == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [((), "say whose it is by --user"), (("--user", "vera"), "takes the role"), (("--user", "nemo"), "no such user")],
)
def test_nobody_is_no_owner_and_a_viewer_starts_none(
    with_users: Flask, folder: Path, options: tuple[str, ...], sentence: str
) -> None:
    status, said = run(with_users, folder, *options)
    assert status == 1 and sentence in said


def test_without_users_none_can_be_named(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    status, said = run(make_app(), tmp_path, "--user", "ada")
    assert status == 1 and "no users here" in said


def test_a_shell_without_the_portals_setting_is_told_so(
    make_app: Callable[..., Flask], with_users: Flask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = resources_of(with_users).settings
    here = make_app(DATABASE_URL=settings.database_url, GLIOSCOPE_EVALUATION_ROOTS=str(folder.parent))
    status, said = run(here, folder, "--user", "ada")
    assert status == 1 and "set GLIOSCOPE_AUTH for it as for the portal" in said

    def press_control_c(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluations.time, "sleep", press_control_c)
    status, said = run(here, folder)
    assert status == 130 and "this evaluation is on nobody's pages" in said

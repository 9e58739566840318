"""The documents name what the code has: every setting, every error code, every route of the API."""

import re
import tomllib

import pytest
from flask import Flask

from ml.version import VERSION
from webapp.domain.evaluations import failure_codes as evaluation_codes
from webapp.domain.jobs import failure_codes
from webapp.domain.jobs.kinds import KINDS
from webapp.domain.settings import PROJECT_ROOT, SETTINGS
from webapp.error_handlers import error_table
from worker.jobs.step import JobFailed

DOCS = PROJECT_ROOT / "docs"


def table_rows(text: str) -> list[list[str]]:
    """The cells of every table row."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_setting_is_documented_with_its_default_and_its_sentence() -> None:
    documented = [tuple(row) for row in table_rows((DOCS / "settings.md").read_text()) if row[0].startswith("`")]
    assert documented == [(f"`{entry.name}`", entry.documented_default, entry.meaning) for entry in SETTINGS.values()]


def test_every_error_code_is_documented_with_its_status() -> None:
    answered = {(row["code"], str(row["status"])) for row in error_table()}
    documented = {
        (row[0].strip("`"), row[1])
        for row in table_rows((DOCS / "api.md").read_text())
        if row[1:] and row[1].isdecimal()
    }
    assert documented == answered


def test_every_code_of_a_failed_job_is_documented() -> None:
    text = (DOCS / "api.md").read_text().split("## Failed jobs")[1].split("\n## ")[0]
    documented = [tuple(row) for row in table_rows(text) if row[0].startswith("`")]
    of_jobs = [(f"`{code}`", "every job", meaning) for code, meaning in failure_codes.FAILURE_CODES.items()]
    of_evaluations = [(f"`{code}`", *row) for code, row in evaluation_codes.FAILURE_CODES.items()]
    assert documented == of_jobs + of_evaluations


def test_a_job_ends_with_no_code_that_is_not_registered() -> None:
    for kind in KINDS:
        assert set(kind.messages) == set(failure_codes.FAILURE_CODES) - {failure_codes.POISON}, kind.name
    with pytest.raises(ValueError, match="not registered"):
        JobFailed("made_up", "Nobody knows this code.")


def test_every_call_of_the_api_is_documented(app: Flask) -> None:
    text = (DOCS / "api.md").read_text()
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith("/api/v1/"):
            continue
        path = re.sub(r"<hex_id:\w+>", "{id}", rule.rule.removeprefix("/api/v1"))
        path = re.sub(r"<(?:any\([^>]*|string|int):(\w+)>", r"{\1}", path)
        assert f"{path}`" in text or f"{path}?" in text, path


def test_documents_name_no_path_of_a_machine() -> None:
    for path in (DOCS / "api.md", DOCS / "settings.md"):
        assert not re.search(r"/(?:home|root|tmp|work|Users)/", path.read_text())


def test_the_version_is_one() -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
    assert f"## {VERSION}" in (PROJECT_ROOT / "docs" / "CHANGELOG.md").read_text()

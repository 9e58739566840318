"""The log has our own lines, as text or JSON with the ids of what was being done; of libraries it has what is wrong."""

import json
import logging
from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from tests.support.jobs import run_segmentation
from tests.support.resources import upload
from webapp.domain import logs
from webapp.domain.resources import Resources
from worker.process.runtime import Runtime


@pytest.mark.parametrize("name", ["botocore.credentials", "botocore.configprovider", "celery.app.trace", "werkzeug"])
def test_libraries_say_only_what_is_wrong(name: str) -> None:
    logs.configure()
    library = logging.getLogger(name)
    assert not library.isEnabledFor(logging.INFO) and library.isEnabledFor(logging.WARNING)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged meanwhile, as JSON."""
    found: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(self.format(record))

    handler, root = Kept(), logging.getLogger()
    handler.setFormatter(logs.JsonLines())
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield found
    root.removeHandler(handler)
    root.setLevel(before)


def test_a_line_is_one_object_with_the_traceback_of_an_error(lines: list[str]) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("ours").exception("job %s", "a1")
    (line,) = lines
    found = json.loads(line)
    assert "\n" not in line and set(found) == {"time", "level", "logger", "message", "traceback"}
    assert (found["level"], found["logger"], found["message"]) == ("ERROR", "ours", "job a1")
    assert found["traceback"].endswith("ValueError: two\nlines") and found["time"].endswith("+00:00")


def test_a_requests_lines_have_the_id_that_its_answer_has(make_app: Callable[..., Flask], lines: list[str]) -> None:
    app = make_app(is_new=True)
    app.add_url_rule("/test", "test", lambda: 1 / 0)
    answer = app.test_client().get("/test")
    logging.getLogger("ours").info("afterwards")
    failed = next(item for item in map(json.loads, lines) if "traceback" in item)
    assert answer.status_code == 500 and failed["request_id"] == answer.headers["X-Request-Id"]
    assert "request_id" not in json.loads(lines[-1])


def test_a_jobs_lines_have_its_id_and_attempt(resources: Resources, runtime: Runtime, lines: list[str]) -> None:
    accepted = upload(resources)
    run_segmentation(runtime, accepted.segmentation_id)
    ended = next(item for item in map(json.loads, lines) if "succeeded" in item["message"])
    assert (ended["job"], ended["kind"], ended["attempt"]) == (accepted.segmentation_id, "segmentation", 1)

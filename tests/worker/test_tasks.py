"""The Celery application takes today's messages and those of the versions before."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from webapp.domain.errors import DatabaseUnavailable
from webapp.domain.jobs.broker import WAKE_UP


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """The task module over an instance of its own; a worker that counts what it is asked to run."""
    monkeypatch.setenv("GLIOSCOPE_INSTANCE", str(tmp_path / "instance"))
    from worker import tasks

    tasks.asked = []
    own = SimpleNamespace(working=nullcontext)
    monkeypatch.setattr(tasks.runtime, "current", lambda: own)
    monkeypatch.setattr(tasks.runner, "run_next", tasks.asked.append)
    return tasks


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (WAKE_UP, []),
        ("glioscope.run_segmentation", ["0" * 32]),
        ("glioscope.run_evaluation_chunk", ["0" * 32]),
    ],
)
def test_every_message_wakes_the_worker(tasks, name: str, arguments: list[str]) -> None:
    assert tasks.app.tasks[name].apply(args=arguments).successful()
    assert len(tasks.asked) == 1


def test_the_queue_of_old_messages_is_read(tasks) -> None:
    assert {queue.name for queue in tasks.app.conf.task_queues} == {"glioscope", "glioscope-evaluations"}


def test_a_database_that_is_away_costs_a_message_and_no_worker(tasks, monkeypatch) -> None:
    def away(_runtime: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(tasks.runner, "run_next", away)
    assert tasks.app.tasks[WAKE_UP].apply().successful()


def test_a_killed_process_keeps_no_message_from_the_next_one(tasks) -> None:
    """Celery waits 10 s for the result of a killed process, and takes no message beside it."""
    from celery import signals
    from celery.worker.state import reserved_requests

    class Request:
        """What was running."""

    request = Request()
    reserved_requests.add(request)
    signals.worker_before_create_process.send(sender=None)
    assert not reserved_requests

"""A worker's row is kept up to date whatever the database says meanwhile."""

import time

from sqlalchemy.exc import ProgrammingError

from webapp.domain.jobs import workers
from webapp.domain.resources import Resources
from worker.process.broker_watchdog import ConsumerSample
from worker.process.presence import Presence


def test_the_thread_survives_an_error_that_nobody_expected(resources: Resources, monkeypatch, caplog) -> None:
    """Before a migration a table may lack a column."""
    real, failures = workers.register_worker, [ProgrammingError("SELECT", {}, Exception("no such column"))]

    def register(*arguments: object, **facts: object) -> None:
        if failures:
            raise failures.pop()
        real(*arguments, **facts)

    monkeypatch.setattr(workers, "register_worker", register)
    presence = Presence(resources, "w", engine="e", model="m", sample=lambda: ConsumerSample(0, 0, False))
    presence.start()
    deadline = time.monotonic() + 20
    while not _live(resources):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    presence.stop()
    assert not failures and "was not registered" in caplog.text
    assert _live(resources) == 0


def _live(resources: Resources) -> int:
    with resources.database.read() as session:
        return workers.live_workers(session, within_s=10)

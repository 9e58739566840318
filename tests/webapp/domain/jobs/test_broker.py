"""Where the broker does not answer, the log says once why."""

import logging
from pathlib import Path

import pytest
import redis

from tests.support.servers import running_redis
from webapp.domain.jobs.broker import INTERACTIVE, Queue


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "webapp.domain.jobs.broker"]


def test_a_password_that_is_wrong_is_named_once_and_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "redis.sock"
    with running_redis(path), caplog.at_level(logging.WARNING):
        owner = redis.Redis.from_url(f"unix://{path}")
        owner.config_set("requirepass", "right")
        queue = Queue(f"unix://:wrongly@{path}")
        for _ in range(2):
            assert not queue.is_reachable() and queue.length() is None and set(queue.lengths().values()) == {None}
        (line,) = said(caplog)
        assert "invalid username-password pair" in line and "wrongly" not in line
        owner.config_set("requirepass", "wrongly")
        assert queue.is_reachable()
        owner.config_set("requirepass", "right")
        queue.close()
        assert not queue.is_reachable() and len(said(caplog)) == 2
        queue.close()
        owner.close()


def test_a_message_that_is_not_taken_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue(f"unix://{tmp_path / 'nobody.sock'}")
    with caplog.at_level(logging.WARNING):
        assert not queue.publish(INTERACTIVE)
    assert "No such file" in said(caplog)[0]
    queue.close()

"""A wait ends when its job does, at its time, or at once where too many wait already."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import redis_server, running_redis
from webapp.domain.errors import TooManyWaiting
from webapp.domain.jobs import wait
from webapp.domain.jobs.endings import Endings
from webapp.domain.jobs.wait import Waiters


@pytest.fixture
def endings(tmp_path: Path) -> Iterator[Endings]:
    """Without a broker."""
    opened = Endings(f"unix://{tmp_path / 'none.sock'}")
    yield opened
    opened.close()


@pytest.fixture
def heard() -> Iterator[Endings]:
    """With a broker, and listening."""
    with redis_server() as url:
        opened = Endings(url)
        listen(opened)
        yield opened
        opened.close()


def listen(endings: Endings) -> None:
    with endings.of("another") as ending:
        deadline = time.monotonic() + 20
        while not endings.is_listening and time.monotonic() < deadline:
            ending.wait(0.05)
    assert endings.is_listening


def test_a_wait_ends_with_its_job(endings: Endings) -> None:
    answers = iter([True, True, False])
    began = time.monotonic()
    Waiters(most=1).wait(lambda: next(answers), 20, endings, "scan")
    assert time.monotonic() - began < 5
    assert next(answers, None) is None


def test_a_wait_ends_at_its_time_and_looks_ever_less_often(endings: Endings) -> None:
    looks: list[float] = []
    Waiters(most=1).wait(lambda: not looks.append(time.monotonic()), 0.5, endings, "scan")
    assert 0.5 <= looks[-1] - looks[0] < 5
    assert 5 < len(looks) < 40


def test_a_wait_beyond_the_most_is_refused_and_takes_no_place(endings: Endings) -> None:
    waiters, began, end = Waiters(most=1), threading.Event(), threading.Event()

    def is_open() -> bool:
        began.set()
        return not end.is_set()

    first = threading.Thread(target=waiters.wait, args=(is_open, 20, endings, "scan"))
    first.start()
    assert began.wait(5)
    with pytest.raises(TooManyWaiting):
        waiters.wait(lambda: True, 20, endings, "scan")
    waiters.wait(lambda: False, 20, endings, "scan")  # nothing to wait for
    end.set()
    first.join(5)
    answers = iter([True, True, False])
    waiters.wait(lambda: next(answers), 20, endings, "scan")  # the place is free again
    assert next(answers, None) is None


def test_who_waits_looks_when_the_end_is_announced_and_not_at_the_next_poll(
    heard: Endings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "LONGEST_POLL_S", 600.0)  # a look without a message would come too late
    looks, is_over = [], threading.Event()

    def is_open() -> bool:
        looks.append(is_over.is_set())
        if len(looks) == 2:  # it waits from here on
            heard.announce("another scan")
            is_over.set()
            heard.announce("scan")
        return not looks[-1]

    Waiters(most=1).wait(is_open, 20, heard, "scan")
    assert looks == [False, False, True]


def test_a_broker_that_went_away_is_heard_again(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    endings = Endings(f"unix://{path}")
    with running_redis(path):
        listen(endings)
    with endings.of("scan"):
        deadline = time.monotonic() + 20
        while endings.is_listening and time.monotonic() < deadline:
            time.sleep(0.02)
    assert not endings.is_listening
    endings.announce("scan")  # nobody hears it, and nobody is told off
    with running_redis(path):
        listen(endings)
        endings.close()

"""A wait ends when its job does, at its time, or at once where too many wait already."""

import threading
import time

import pytest

from webapp.domain.errors import TooManyWaiting
from webapp.domain.jobs.wait import Waiters


def test_a_wait_ends_with_its_job() -> None:
    answers = iter([True, True, False])
    began = time.monotonic()
    Waiters(most=1).wait(lambda: next(answers), 20)
    assert time.monotonic() - began < 5
    assert next(answers, None) is None


def test_a_wait_ends_at_its_time_and_looks_ever_less_often() -> None:
    looks: list[float] = []
    Waiters(most=1).wait(lambda: not looks.append(time.monotonic()), 0.5)
    assert 0.5 <= looks[-1] - looks[0] < 5
    assert 5 < len(looks) < 40


def test_a_wait_beyond_the_most_is_refused_and_takes_no_place() -> None:
    waiters, began, end = Waiters(most=1), threading.Event(), threading.Event()

    def is_open() -> bool:
        began.set()
        return not end.is_set()

    first = threading.Thread(target=waiters.wait, args=(is_open, 20))
    first.start()
    assert began.wait(5)
    with pytest.raises(TooManyWaiting):
        waiters.wait(lambda: True, 20)
    waiters.wait(lambda: False, 20)  # nothing to wait for
    end.set()
    first.join(5)
    answers = iter([True, True, False])
    waiters.wait(lambda: next(answers), 20)  # the place is free again
    assert next(answers, None) is None

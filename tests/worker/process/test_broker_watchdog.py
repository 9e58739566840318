"""A worker is called deaf only where hints lie before an idle one."""

import pytest

from worker.process.broker_watchdog import DeafnessWatch, Look

IDLE_BEFORE_HINTS = Look(hints=3, messages_taken=7, is_busy=False)


def test_hints_that_lie_before_an_idle_worker_twice_show_deafness() -> None:
    watch = DeafnessWatch()
    assert [watch.is_deaf(IDLE_BEFORE_HINTS) for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize(
    "second",
    [
        Look(hints=3, messages_taken=8, is_busy=False),
        Look(hints=3, messages_taken=7, is_busy=True),
        Look(hints=0, messages_taken=7, is_busy=False),
        Look(hints=None, messages_taken=7, is_busy=False),
    ],
    ids=["took a message", "is busy", "no hints", "no broker"],
)
def test_a_worker_that_hears_is_left_alone(second: Look) -> None:
    watch = DeafnessWatch()
    watch.is_deaf(IDLE_BEFORE_HINTS)
    assert not watch.is_deaf(second)
    assert not watch.is_deaf(IDLE_BEFORE_HINTS) or second.looks_deaf()

"""A consumer counts as disconnected only where messages lie before an idle worker that takes none."""

import pytest

from worker.process.broker_watchdog import BrokerWatchdog, ConsumerSample

SUSPICIOUS = ConsumerSample(queue_length=3, messages_taken=7, is_busy=False)


def test_messages_that_lie_before_an_idle_worker_twice_show_it() -> None:
    watchdog = BrokerWatchdog()
    assert [watchdog.is_disconnected(SUSPICIOUS) for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize(
    "second",
    [
        ConsumerSample(queue_length=3, messages_taken=7, is_busy=True),
        ConsumerSample(queue_length=0, messages_taken=7, is_busy=False),
        ConsumerSample(queue_length=None, messages_taken=7, is_busy=False),
    ],
    ids=["is busy", "no messages", "no broker"],
)
def test_a_worker_that_receives_is_left_alone(second: ConsumerSample) -> None:
    watchdog = BrokerWatchdog()
    watchdog.is_disconnected(SUSPICIOUS)
    assert not watchdog.is_disconnected(second)
    assert not watchdog.is_disconnected(SUSPICIOUS), "it starts anew after a good sample"


def test_a_worker_that_took_a_message_in_between_is_left_alone() -> None:
    watchdog = BrokerWatchdog()
    watchdog.is_disconnected(SUSPICIOUS)
    later = ConsumerSample(queue_length=3, messages_taken=8, is_busy=False)
    assert not watchdog.is_disconnected(later)
    assert watchdog.is_disconnected(later), "it has taken none since"

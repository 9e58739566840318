"""What stands still, and what only waits for its turn: looks are given, no clock is read."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from ml.sandbox import launcher, progress
from ml.sandbox.launcher import ChildDied
from ml.sandbox.progress import STILL_LOOKS, Sample, Watch, sample_of
from ml.sandbox.server import _Child


@pytest.mark.parametrize("state", ["S", "T", "t", "D"])
def test_what_nothing_moves_in_stands_still(state: str) -> None:
    watch = Watch()
    looks = [watch.stands_still(Sample(state, (7, 3, 1))) for _ in range(STILL_LOOKS + 1)]
    assert looks == [False] * STILL_LOOKS + [True]


@pytest.mark.parametrize(
    "between",
    [Sample("R", (7, 3)), Sample("S", (8, 3)), Sample("S", (7, 4)), None],
    ids=["waits for a processor", "has worked", "was woken", "not told"],
)
def test_whatever_moves_in_between_starts_the_count_anew(between: Sample | None) -> None:
    watch, still = Watch(), Sample("S", (7, 3))
    looks = [*[still] * STILL_LOOKS, between, *[still] * (STILL_LOOKS - 1)]
    assert not any(watch.stands_still(look) for look in looks)


def test_a_process_that_waits_for_a_processor_never_stands_still() -> None:
    watch = Watch()
    assert not any(watch.stands_still(Sample("R", (7, 3))) for _ in range(10 * STILL_LOOKS))


def test_a_slow_disk_is_no_standing_still_for_a_child() -> None:
    child, watch = Watch(has_slow_disk=True), Watch()
    looks = [Sample("D", (7, 3))] * (STILL_LOOKS + 1)
    assert [[one.stands_still(look) for look in looks][-1] for one in (child, watch)] == [False, True]


def test_a_process_that_was_stopped_looks_the_same_each_time() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        first, second = sample_of(process.pid), sample_of(process.pid)
        process.kill()
    assert first is not None and first.state == "T" and first == second
    assert sample_of(process.pid) is None
    own = sample_of(os.getpid())
    assert own is not None and own.state == "R" and all(number >= 0 for number in own.work)


def test_a_child_that_stands_still_is_ended_and_one_that_waits_for_its_owner_is_not() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        hanging, waiting = (_Child(ours, 1000.0, watch) for watch in (Watch(has_slow_disk=True), None))
        for child, over in ((hanging, {"still": True}), (waiting, {})):
            ends = [child.is_over(0.0, lambda: Sample("S", (7, 3))) for _ in range(2 * STILL_LOOKS)]
            assert (ends.count(True), child.ended_for) == (len(over), over)
        slow = _Child(ours, 1000.0, Watch(has_slow_disk=True))
        assert not any(slow.is_over(999.0, None) for _ in range(2 * STILL_LOOKS))
        assert slow.is_over(1000.0, None) and slow.ended_for == {"expired": True}


def test_the_sentence_says_that_it_stood_still() -> None:
    death = ChildDied(-signal.SIGKILL, is_still=True)
    assert death.is_timeout and not death.is_out_of_memory and not death.is_out_of_processor_time
    assert death.limit_in_words(10) == "the limit of 15 s in which nothing moves"
    assert progress.LOOK_S * STILL_LOOKS + launcher._DYING_S < 30

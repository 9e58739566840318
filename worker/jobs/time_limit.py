"""The time limit of one job, and the end of its process where that is not kept.

Celery's own limits belong to a message, and a message does not know which job it will start.
"""

import faulthandler
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

# How long after its limit a job may take to stop; then its process is ended.
GRACE_S = 10.0
STDERR = 2


class JobTimeout(Exception):
    """The job has run for longer than it may."""


class TimeLimit:
    """The limit of a block that runs. silence_s: how long no other thread may run beside the block, None: any time."""

    def __init__(self, seconds: float, silence_s: float | None) -> None:
        self._ends_at = time.monotonic() + seconds
        self._silence_s = silence_s

    def cut(self, seconds: float) -> None:
        """Let the block end within so many seconds, since nobody wants its result any more. From any thread."""
        with _lock:
            self._ends_at = min(self._ends_at, time.monotonic() + seconds)
            if _is_innermost(self):
                self.arm()

    def arm(self) -> None:
        """Set the signal and the end of the process. The caller holds the lock."""
        left_s = max(self._ends_at - time.monotonic(), 0.001)
        signal.setitimer(signal.ITIMER_REAL, left_s)
        self._arm_end(left_s)

    def keep_alive(self, stopped: threading.Event) -> None:
        """Put the end off for as long as this thread can run: not while native code holds the interpreter's lock."""
        while self._silence_s is not None and not stopped.wait(self._silence_s / 10):
            with _lock:
                if _is_innermost(self):
                    self._arm_end(self._ends_at - time.monotonic())

    def _arm_end(self, left_s: float) -> None:
        end_s = max(left_s + GRACE_S, 0.001)
        faulthandler.dump_traceback_later(
            end_s if self._silence_s is None else min(end_s, self._silence_s), exit=True, file=STDERR
        )


# Of the main thread, the innermost last.
_limits: list[TimeLimit] = []
_lock = threading.Lock()


def _is_innermost(limit: TimeLimit) -> bool:
    return bool(_limits) and _limits[-1] is limit


@contextmanager
def time_limit(seconds: float, silence_s: float | None = None) -> Iterator[TimeLimit]:
    """Raise JobTimeout in the block after `seconds`, and end the process where that does not end the block.

    The first is a signal, which interrupts Python. Native code is not interrupted: faulthandler's own thread ends the
    process, whoever holds the interpreter's lock, and says in the log where it hung; after `silence_s` already where
    native code holds that lock, so that the job's heartbeat cannot run and its lease is over. The sweeper then ends or
    requeues the job. Limits nest: the outer one counts on, and is enforced after the inner one. For the main thread.
    """
    limit, stopped = TimeLimit(seconds, silence_s), threading.Event()
    handler = signal.signal(signal.SIGALRM, _raise_timeout)
    with _lock:
        _limits.append(limit)
        limit.arm()
    if silence_s is not None:
        threading.Thread(target=limit.keep_alive, args=(stopped,), name="time limit", daemon=True).start()
    try:
        yield limit
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        stopped.set()
        with _lock:
            _limits.pop()
            signal.setitimer(signal.ITIMER_REAL, 0)  # again: another thread may have cut the limit since
            faulthandler.cancel_dump_traceback_later()
            signal.signal(signal.SIGALRM, handler)
            if _limits:
                _limits[-1].arm()


def _raise_timeout(_number: int, _frame: FrameType | None) -> NoReturn:
    raise JobTimeout

"""The time limit of one job.

Celery's own limits belong to a message, and a message does not know which job it will start.
"""

import faulthandler
import signal
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


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise JobTimeout in the block after `seconds`, and end the process where that does not end the block.

    The first is a signal, which interrupts Python. Native code is not interrupted: faulthandler's own thread ends the
    process, whoever holds the interpreter's lock, and says in the log where it hung. The sweeper then finds the lease
    expired and ends the job. Limits nest: the outer one counts on. For the main thread alone.
    """
    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, _raise_timeout)
    outer_s, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + GRACE_S, exit=True, file=STDERR)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, handler)
        if outer_s:
            left_s = max(outer_s - (time.monotonic() - began), 0.001)
            signal.setitimer(signal.ITIMER_REAL, left_s)
            if handler is _raise_timeout:
                faulthandler.dump_traceback_later(left_s + GRACE_S, exit=True, file=STDERR)


def _raise_timeout(_number: int, _frame: FrameType | None) -> NoReturn:
    raise JobTimeout

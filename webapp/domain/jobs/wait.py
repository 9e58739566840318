"""Waiting for a job's end in a request, by polling its row: it needs no message, so none that is lost delays it."""

import threading
import time
from collections.abc import Callable

LONGEST_WAIT_S = 30.0
# A result takes some 50 ms on a CPU: polled often at first, ever less often later. A poll reads one indexed row.
FIRST_POLL_S = 0.005
LONGEST_POLL_S = 0.25
POLL_GROWTH = 1.2


class Waiters:
    """Limits how many threads of the web server wait for one kind of job at once.

    A wait beyond that is answered at once with the state as it is, so that other requests find a thread.
    """

    def __init__(self, most: int) -> None:
        self._places = threading.BoundedSemaphore(most)

    def wait(self, is_open: Callable[[], bool], seconds: float) -> None:
        """Come back when `is_open` is False, at the latest after `seconds` (30 at most)."""
        if not self._places.acquire(blocking=False):
            return
        try:
            deadline = time.monotonic() + min(seconds, LONGEST_WAIT_S)
            pause = FIRST_POLL_S
            while is_open() and (left := deadline - time.monotonic()) > 0:
                time.sleep(min(pause, left))
                pause = min(pause * POLL_GROWTH, LONGEST_POLL_S)
        finally:
            self._places.release()

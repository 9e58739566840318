"""Waiting for a job's end in a request, by polling its row: it needs no message, so none that is lost delays it."""

import threading
import time
from collections.abc import Callable

from webapp.domain.errors import TooManyWaiting

LONGEST_WAIT_S = 30.0
# A result takes some 50 ms on a CPU: polled often at first, ever less often later. A poll reads one indexed row.
FIRST_POLL_S = 0.005
LONGEST_POLL_S = 0.25
POLL_GROWTH = 1.2


class Waiters:
    """Limits how many threads of the web server wait for one kind of job at once.

    A wait beyond that is refused, so that other requests find a thread: answered at once with the state as it is, a
    client that waits again would ask without a pause.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._places = threading.BoundedSemaphore(most)

    def wait(self, is_open: Callable[[], bool], seconds: float) -> None:
        """Come back when `is_open` is False, at the latest after `seconds` (30 at most).

        Raises TooManyWaiting where it would have to wait, and as many as may do so already.
        """
        if not is_open():
            return
        if not self._places.acquire(blocking=False):
            raise TooManyWaiting("Too many clients wait for results right now; ask again later, or without `wait`.")
        try:
            deadline = time.monotonic() + min(seconds, LONGEST_WAIT_S)
            pause = FIRST_POLL_S
            while is_open() and (left := deadline - time.monotonic()) > 0:
                time.sleep(min(pause, left))
                pause = min(pause * POLL_GROWTH, LONGEST_POLL_S)
        finally:
            self._places.release()

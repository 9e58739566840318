"""Waiting for a job's end in a request: its row is looked at when a worker says that it has ended.

A message may be lost: the row is looked at without one, too, now and then; often where none would be heard.
"""

import threading
import time
from collections.abc import Callable

from webapp.domain.errors import TooManyWaiting
from webapp.domain.jobs.endings import Endings

LONGEST_WAIT_S = 30.0
# Without messages. A result takes some 50 ms on a CPU: polled often at first, ever less often later. A poll reads one
# indexed row.
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

    def wait(
        self,
        is_open: Callable[[], bool],
        seconds: float,
        endings: Endings,
        subject: str,
        is_abandoned: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Come back when `is_open` is False, at the latest after `seconds` (30 at most); whether it was True before.

        subject: of `Endings`, what the job belongs to. is_abandoned: whether who waited has gone; looked at with each
        poll, so that others have the place soon. Raises TooManyWaiting where it would have to wait, and as many
        as may do so already.
        """
        if not is_open():
            return False
        if not self._places.acquire(blocking=False):
            raise TooManyWaiting("Too many clients wait for results right now; ask again later, or without `wait`.")
        try:
            deadline = time.monotonic() + min(seconds, LONGEST_WAIT_S)
            pause = FIRST_POLL_S
            with endings.of(subject) as ending:
                # Looked at again once it is listened for: it may have ended in between.
                while is_still_open := is_open():
                    if (left := deadline - time.monotonic()) <= 0 or is_abandoned():
                        break
                    ending.wait(min(LONGEST_POLL_S if ending.is_announced else pause, left))
                    pause = min(pause * POLL_GROWTH, LONGEST_POLL_S)
                return not is_still_open
        finally:
            self._places.release()

"""Keeping a lease alive while its job runs, and writing results under it."""

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from webapp.domain.errors import DatabaseUnavailable, OutcomeUnknown, StorageFull, StorageUnavailable
from webapp.domain.jobs import lifecycle
from webapp.domain.resources import Resources
from worker.jobs.time_limit import TimeLimit

logger = logging.getLogger(__name__)

# Between two tries to write into a database that is away.
COMMIT_PAUSE_S = 0.5


class LeaseLost(Exception):
    """The job was cancelled, deleted, claimed by another attempt, or ran over its time: its result is discarded."""


class Lease:
    """A claim's lease, renewed by a thread of its own for the length of a `with` block, for timeout_s at most.

    A hung run keeps that thread, and without an end its lease would have none. Its time is that of a clock which, as
    the limit's, stands still while the machine sleeps; the database's goes on.
    limit: the block's, which is cut where the lease is lost: a step that hangs would hold its worker for nothing.
    """

    def __init__(self, resources: Resources, claim: lifecycle.Claim, timeout_s: float, limit: TimeLimit) -> None:
        self._resources = resources
        self._claim = claim
        self._limit = limit
        self._stopped = threading.Event()
        self._is_lost = False
        self._renewed_at = time.monotonic()
        self._ends_at = self._renewed_at + timeout_s
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(timeout=self._resources.settings.heartbeat_s)

    def check(self) -> None:
        """Raises LeaseLost where the result could not be written any more."""
        if self._is_lost:
            raise LeaseLost

    def is_over(self) -> bool:
        """Whether it was not renewed for its whole length: the process, or all of the machine, stood still."""
        return time.monotonic() - self._renewed_at > self._resources.settings.lease_s

    def commit(self, write: Callable[[], bool], *, stored: str | None = None) -> None:
        """Write under the claim, and wait for a database that is away for as long as a lease lasts.

        write: returns False where the claim is not valid any more. It must be safe to call twice: what became of a try
        may be unknown. stored: the key, or the prefix of the keys, of what the write names; it is removed where the
        lease is lost, unless a try may have been done. Raises LeaseLost, DatabaseUnavailable.
        """
        database, deadline = self._resources.database, time.monotonic() + self._resources.settings.lease_s
        is_unknown = False
        while True:
            try:
                if write():
                    return
                if is_unknown:
                    with database.read() as session:
                        if lifecycle.has_succeeded(session, self._claim):  # the try before was done
                            return
                elif stored is not None:
                    self._discard(stored)
                raise LeaseLost
            except DatabaseUnavailable as error:
                is_unknown |= isinstance(error, OutcomeUnknown)
                if time.monotonic() > deadline:
                    raise
                time.sleep(COMMIT_PAUSE_S)

    def _discard(self, stored: str) -> None:
        """Remove what no row names; where that fails, the sweeper removes it."""
        try:
            self._resources.storage.delete(stored)
        except (StorageFull, StorageUnavailable) as error:
            logger.warning("job %s: what it stored stays until the sweeper removes it: %s", self._claim.id, error.code)

    def _renew(self) -> None:
        settings = self._resources.settings
        while not self._stopped.wait(settings.heartbeat_s):
            try:
                is_valid = time.monotonic() < self._ends_at and self._extend()
            except DatabaseUnavailable:
                # Where the database is back before the lease ends, nothing is lost; otherwise another attempt runs, and
                # the writes of this one change no row.
                logger.warning("job %s: the lease could not be renewed", self._claim.id)
                continue
            except Exception:  # the thread must outlive it, or the lease of a job that runs would end
                logger.exception("job %s: the lease could not be renewed", self._claim.id)
                continue
            if not is_valid:
                self._is_lost = True
                if not self._stopped.is_set():
                    self._limit.cut(settings.lease_s)
                return

    def _extend(self) -> bool:
        began = time.monotonic()
        with self._resources.database.write() as session:
            is_valid = lifecycle.extend(session, self._claim, lease_s=self._resources.settings.lease_s)
        self._renewed_at = began
        return is_valid

"""Keeping a lease alive while its job runs."""

import logging
import threading
from types import TracebackType
from typing import Self

from webapp.domain.errors import DatabaseUnavailable
from webapp.domain.jobs import lifecycle
from webapp.domain.resources import Resources

logger = logging.getLogger(__name__)


class LeaseLost(Exception):
    """The job was cancelled, deleted, taken by another attempt, or ran over its time: its result is nobody's."""


class Heartbeat:
    """Renews a claim's lease in a thread of its own for the length of a `with` block.

    timeout_s: after which it is not renewed any more; by default a segmentation's.
    """

    def __init__(self, resources: Resources, held: lifecycle.Claim, timeout_s: float | None = None) -> None:
        self._resources = resources
        self._held = held
        self._timeout_s = timeout_s or resources.settings.job_timeout_s
        self._stopped = threading.Event()
        self._is_lost = False
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(timeout=self._resources.settings.heartbeat_s)

    def check(self) -> None:
        """Raises LeaseLost where going on would be for nothing."""
        if self._is_lost:
            raise LeaseLost

    def _beat(self) -> None:
        settings = self._resources.settings
        while not self._stopped.wait(settings.heartbeat_s):
            try:
                with self._resources.database.write() as session:
                    is_held = lifecycle.extend(session, self._held, lease_s=settings.lease_s, timeout_s=self._timeout_s)
            except DatabaseUnavailable:
                # The lease may outlast the database's absence; if not, another attempt runs and this one is fenced.
                logger.warning("job %s: the lease could not be renewed", self._held.id)
                continue
            if not is_held:
                self._is_lost = True
                return

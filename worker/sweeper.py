"""The sweeper: brings back what a crash left. `python -m worker.sweeper` runs it every few seconds.

It needs no memory of its own for being right: everything it does is an atomic change of a row that is as it saw it.
Two sweepers at once do no harm.
"""

import logging
import signal
import threading
import time
from dataclasses import dataclass

from sqlalchemy import select

from webapp.domain import idempotency, jobs, logs, segmentations
from webapp.domain.errors import PortalError
from webapp.domain.jobs import ExpiredLease
from webapp.domain.models import Scan, Segmentation, Status
from webapp.domain.portal import Portal
from webapp.domain.settings import Settings

logger = logging.getLogger(__name__)

# Hints sent in one sweep at most; the next sweep sends the rest.
MOST_HINTS = 1000
# Tidying reads every stored file's time: once an hour, and only what is older than any upload or job can be.
TIDY_EVERY_S = 3600.0
ORPHAN_AGE_S = 3600.0


@dataclass(frozen=True)
class SweepReport:
    """What one sweep did: jobs brought back or ended, and hints sent again."""

    recovered: int
    hinted: int


class Sweeper:
    """Requeues what lost its lease, and hints again at what lost its hint."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._suspects: dict[ExpiredLease, float] = {}
        self._tidied_at = -TIDY_EVERY_S

    def sweep(self) -> SweepReport:
        """One round. Raises DatabaseUnavailable."""
        report = SweepReport(recovered=self._recover(), hinted=self._hint_again())
        if report.recovered or report.hinted:
            logger.info("recovered %d, hinted %d", report.recovered, report.hinted)
        return report

    def tidy_when_due(self) -> None:
        """Remove files without a row and keys past their time, at most once an hour."""
        if time.monotonic() - self._tidied_at >= TIDY_EVERY_S:
            self._tidied_at = time.monotonic()
            tidy(self._portal, older_than_s=ORPHAN_AGE_S)

    def _recover(self) -> int:
        """A lease counts as lost when it stayed expired for a whole heartbeat: a clock that jumps ahead expires every
        lease at once, and a live job renews its own within a heartbeat."""
        settings, now = self._portal.settings, time.monotonic()
        with self._portal.database.read() as session:
            expired = jobs.expired_leases(session, Segmentation)
        self._suspects = {lease: self._suspects.get(lease, now) for lease in expired}
        count = 0
        for lease, seen_at in self._suspects.items():
            if now - seen_at < settings.heartbeat_s:
                continue
            with self._portal.database.write() as session:
                is_changed = jobs.recover(
                    session,
                    Segmentation,
                    lease,
                    max_attempts=settings.max_attempts,
                    timeout_s=settings.job_timeout_s,
                )
                status = session.scalar(select(Segmentation.status).where(Segmentation.id == lease.id))
            if is_changed:
                count += 1
                logger.warning("segmentation %s attempt %d: lease lost, now %s", lease.id, lease.attempt, status)
                if status is Status.QUEUED:
                    segmentations.announce(self._portal, lease.id)
        return count

    def _hint_again(self) -> int:
        """Queued rows that no hint stands for: the broker holds none, and they have waited for a whole sweep."""
        if self._portal.queue.length() != 0:
            return 0
        with self._portal.database.read() as session:
            waiting = jobs.waiting(session, Segmentation, since_s=self._portal.settings.sweep_s, limit=MOST_HINTS)
        return sum(segmentations.announce(self._portal, segmentation_id) for segmentation_id in waiting)


def tidy(portal: Portal, *, older_than_s: float) -> int:
    """Remove stored files that no row names, older than that, and what else is past its time; says how many files."""
    count = portal.storage.delete_temporary(older_than_s)
    for key in list(portal.storage.keys(older_than_s)):
        scan_id, name = key.split("/")[-2:]
        with portal.database.read() as session:
            has_scan = session.scalar(select(Scan.id).where(Scan.id == scan_id)) is not None
            is_map = name not in ("original", "stack.npy")
            is_named = has_scan and (
                not is_map or session.scalar(select(Segmentation.id).where(Segmentation.map_key == key).limit(1))
            )
        if not is_named:
            portal.storage.delete(key)
            count += 1
    idempotency.forget_old(portal)
    portal.database.forget_deleted()
    if count:
        logger.info("removed %d files that no row named", count)
    return count


def main() -> None:
    """Sweep until SIGTERM or SIGINT."""
    logs.configure()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    portal = Portal.open(Settings.from_environment())
    sweeper = Sweeper(portal)
    while not stopped.is_set():
        try:
            sweeper.sweep()
            sweeper.tidy_when_due()
        except PortalError as error:
            logger.warning("this sweep ended early: %s", error.code)
        stopped.wait(portal.settings.sweep_s)
    portal.close()


if __name__ == "__main__":
    main()

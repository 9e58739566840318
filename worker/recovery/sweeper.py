"""The sweeper: requeues jobs whose worker died. `python -m worker.recovery.sweeper` runs it every few seconds.

Each change is one conditional UPDATE of a row that is still as it was read, so two sweepers at once do no harm.
"""

import logging
import signal
import threading
import time
from dataclasses import dataclass
from typing import Any

from webapp.domain import logs, retention
from webapp.domain.errors import DatabaseUnavailable, PortalError
from webapp.domain.jobs import lifecycle
from webapp.domain.jobs.kinds import KINDS, JobKind, publish_if_ready
from webapp.domain.jobs.lifecycle import ExpiredLease
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans import visits
from webapp.domain.settings import Settings
from worker.process.schema import wait_for_schema
from worker.recovery.orphans import delete_orphans

logger = logging.getLogger(__name__)

# It reads every stored file's time: once an hour, and only what is older than any upload or job can be.
DELETE_ORPHANS_EVERY_S = 3600.0
# Two rounds and more: a database that shares the storage has left its mark by then.
ORPHAN_AGE_S = 2.5 * DELETE_ORPHANS_EVERY_S
# Visitors are told minutes.
DELETE_VISITORS_SCANS_EVERY_S = 20.0
# Retention is a matter of days.
PURGE_EVERY_S = 3600.0


@dataclass(frozen=True)
class SweepReport:
    """What one sweep did: the number of jobs requeued or ended, and whether it woke a worker."""

    recovered: int
    has_published: bool


class Sweeper:
    """Requeues jobs that lost their lease, and wakes a worker where a message was lost or a delay is over."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        # When each expired lease was first seen.
        self._suspects: dict[tuple[str, ExpiredLease], float] = {}
        self._orphans_deleted_at = -DELETE_ORPHANS_EVERY_S
        self._visitors_scans_deleted_at = -DELETE_VISITORS_SCANS_EVERY_S
        self._purged_at = -PURGE_EVERY_S

    def run(self, stopped: threading.Event) -> None:
        """Sweep until `stopped`, whatever a round meets: a loop that ended would leave jobs and files behind."""
        while not stopped.is_set():
            for step in (
                self.sweep,
                self.delete_visitors_scans_when_due,
                self.purge_when_due,
                self.delete_orphans_when_due,
            ):
                try:
                    step()
                except PortalError as error:
                    logger.warning("this sweep ended early: %s", error.code)
                except Exception:
                    logger.exception("this sweep ended early")
            stopped.wait(self._resources.settings.sweep_s)

    def sweep(self) -> SweepReport:
        """One round. Raises DatabaseUnavailable."""
        report = SweepReport(recovered=self._recover(), has_published=publish_if_ready(self._resources))
        if report.recovered:
            logger.info("recovered %d jobs", report.recovered)
        return report

    def delete_orphans_when_due(self) -> None:
        """Remove files without a row and keys past their time, at most once an hour."""
        if time.monotonic() - self._orphans_deleted_at >= DELETE_ORPHANS_EVERY_S:
            self._orphans_deleted_at = time.monotonic()
            delete_orphans(self._resources, older_than_s=ORPHAN_AGE_S)

    def delete_visitors_scans_when_due(self) -> None:
        """Delete the scans of a public demonstration that are past their time."""
        if time.monotonic() - self._visitors_scans_deleted_at >= DELETE_VISITORS_SCANS_EVERY_S:
            self._visitors_scans_deleted_at = time.monotonic()
            visits.delete_old(self._resources)

    def purge_when_due(self) -> None:
        """Delete what is older than the settings keep it, at most once an hour."""
        if time.monotonic() - self._purged_at < PURGE_EVERY_S:
            return
        self._purged_at = time.monotonic()
        settings = self._resources.settings
        if settings.retention_days is not None:
            retention.purge(self._resources, settings.retention_days, by="sweeper")
        if settings.audit_days is not None:
            retention.cut_audit(self._resources, settings.audit_days, by="sweeper")

    def _recover(self) -> int:
        """Requeue or end jobs whose lease stayed expired for a whole heartbeat; the number of them.

        A clock that jumps ahead expires every lease at once; a live job renews its own within a heartbeat.
        """
        now = time.monotonic()
        with self._resources.database.read() as session:
            expired = [(kind, lease) for kind in KINDS for lease in lifecycle.expired_leases(session, kind.table)]
        self._suspects = {(kind.name, lease): self._suspects.get((kind.name, lease), now) for kind, lease in expired}
        return sum(
            self._is_recovered(kind, lease)
            for kind, lease in expired
            if now - self._suspects[kind.name, lease] >= self._resources.settings.heartbeat_s
        )

    def _is_recovered(self, kind: JobKind[Any, Any], lease: ExpiredLease) -> bool:
        """One job that cannot be recovered does not keep the others from it."""
        try:
            return self._recover_one(kind, lease)
        except DatabaseUnavailable:
            raise
        except Exception:
            logger.exception("%s %s attempt %d: not recovered", kind.name, lease.id, lease.attempt)
            return False

    def _recover_one(self, kind: JobKind[Any, Any], lease: ExpiredLease) -> bool:
        settings = self._resources.settings
        with self._resources.database.write() as session:
            row = session.get(kind.table, lease.id)
            if row is None or not lifecycle.recover(
                session,
                kind.table,
                lease,
                max_attempts=settings.max_attempts,
                timeout_s=kind.timeout_s(settings, row),
            ):
                return False
            session.refresh(row)
            logger.warning("%s attempt %d: lease lost, now %s", kind.describe(row), lease.attempt, row.status.value)
            if row.status is Status.FAILED:
                kind.after_failure(session, lease.id)
            return True


def main() -> None:
    """Sweep until SIGTERM or SIGINT."""
    settings = Settings.of_process()
    logs.configure(settings.log)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    resources = Resources.open(settings)
    wait_for_schema(resources.database, resources.settings.sweep_s, stopped)
    Sweeper(resources).run(stopped)
    resources.close()


if __name__ == "__main__":
    main()

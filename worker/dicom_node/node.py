"""The node: listens, and once a second looks after the studies in its spool."""

import logging
import threading
import time
from types import TracebackType

from webapp.domain.errors import DatabaseUnavailable, PortalError
from webapp.domain.networks import node_status
from webapp.domain.networks.ledger import Ledger, ledger_folder
from webapp.domain.networks.node_status import MOST_RECENT, Count, Entry, NodeStatus
from webapp.domain.networks.owner import OwnerMissing, act_as_owner
from webapp.domain.resources import Resources
from worker.dicom_node.commitment import Commitments
from worker.dicom_node.kept import KeptInstances
from worker.dicom_node.receiving import Receiver
from worker.dicom_node.spool import Arriving, Spool
from worker.dicom_node.studies import Studies, Study

logger = logging.getLogger(__name__)

ROUND_S = 1.0
TIDY_EVERY_S = 600.0
# Well within what a reader of the status calls fresh.
TELL_EVERY_S = 10.0


class Node:
    """Open until it is closed. Raises SpoolInUse, OSError (the port is taken)."""

    def __init__(self, resources: Resources) -> None:
        settings = resources.settings
        self._resources = resources
        folder = node_status.spool_folder(settings)
        self.spool = Spool(
            folder,
            most_bytes=settings.dicom_spool_bytes,
            most_studies=settings.dicom_studies,
            secret=settings.secret_key,
            keeps_identity=settings.dicom_return != "off",
        )
        before = node_status.read(settings)
        self._counts, self._recent = dict(before.counts), list(before.recent)
        self._heard_before = before.heard_at
        self._lock = threading.Lock()
        self._ledger = Ledger(ledger_folder(settings))
        self._kept = KeptInstances(folder / "kept.sqlite3", settings.secret_key)
        self._studies = Studies(resources, self.spool, self._ledger, self._kept, self._count)
        self._commitments = Commitments(resources, self.spool, self._kept, folder / "commitments", self._count)
        self._tidied_at = self._told_at = -TIDY_EVERY_S
        self._told: tuple[object, ...] = ()
        self._has_said_whose = False
        try:
            commit = self._commitments.ask if settings.dicom_commit == "on" else None
            self._receiver = Receiver(settings, self.spool, self._count, commit)
        except BaseException:
            self.spool.close()
            raise

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; the spool keeps what is on its way."""
        self._receiver.close()
        self.spool.close()

    def run(self, stopped: threading.Event) -> None:
        """Until `stopped`, whatever a round meets."""
        while not stopped.is_set():
            try:
                self.round()
            except PortalError as error:
                logger.warning("this round ended early: %s", error.code)
            except Exception:
                logger.exception("this round ended early")
            stopped.wait(ROUND_S)

    def round(self) -> None:
        """Look once after every study. Raises PortalError, OSError."""
        self._receiver.reap()
        arriving = self.spool.arriving()
        for item in arriving:
            self._look_at(item)
        folders = list(self.spool.complete())
        has_owner = self._has_owner()
        for folder in folders if has_owner else ():
            study = Study.read(folder)
            try:
                end = self._studies.advance(study)
            except OSError as error:  # one study's folder keeps no other from its turn
                logger.warning("study %s: its folder cannot be used (%s)", study.name, error.strerror)
                continue
            if end is not None:
                self._finish(Entry(folder.name, study.peer, "ended", end, time.time()))
                self.spool.remove(folder)
        if has_owner:
            self._commitments.advance()
        if time.monotonic() - self._tidied_at > TIDY_EVERY_S:
            self._tidied_at = time.monotonic()
            self.spool.remove_stale()
            self._ledger.forget_old()
            self._kept.forget_old()
        self._tell()

    def _has_owner(self) -> bool:
        """Whether studies may become scans; says once why not."""
        try:
            act_as_owner(self._resources, self._resources.settings.dicom_user)
        except (OwnerMissing, DatabaseUnavailable) as error:
            if self._has_said_whose:
                return False
            self._has_said_whose = True
            logger.warning("complete studies wait: %s", error)
            return False
        self._has_said_whose = False
        return True

    def _look_at(self, item: Arriving) -> None:
        settings = self._resources.settings
        if not item.is_broken:
            self.spool.hand_on(item.key, settings.dicom_quiet_s)
        elif self.spool.drop(item.key, settings.dicom_incomplete_s):
            self._count(Count.STUDIES_DROPPED)
            words = "dropped: its sender broke off and did not send it again"
            self._finish(Entry(item.key, item.peer, "ended", words, time.time()))

    def _count(self, event: Count) -> None:
        with self._lock:
            self._counts[event.value] = self._counts.get(event.value, 0) + 1

    def _finish(self, entry: Entry) -> None:
        self._recent = [*self._recent, entry][-MOST_RECENT:]
        logger.info("study %s/%s: %s", entry.peer, entry.key[:8], entry.reason)

    def _tell(self) -> None:
        """Write the status where it has changed, and now and then."""
        studies = [
            Entry(item.key, item.peer, "interrupted" if item.is_broken else "arriving")
            for item in self.spool.arriving()
        ]
        oldest_at = 0.0
        for folder in self.spool.complete():
            study = Study.read(folder)
            oldest_at = min(oldest_at or study.since, study.since)
            studies.append(Entry(folder.name, study.peer, study.state, study.reason, study.next_at))
        with self._lock:
            counts = dict(self._counts)
        heard_at = max(self._heard_before, self._receiver.heard_at)
        told = (counts, studies, len(self._recent), self.spool.bytes, heard_at)
        if told == self._told and time.monotonic() - self._told_at < TELL_EVERY_S:
            return
        self._told, self._told_at = told, time.monotonic()
        node_status.write(
            self._resources.settings,
            NodeStatus(time.time(), self.spool.bytes, counts, studies, self._recent, heard_at, oldest_at),
        )

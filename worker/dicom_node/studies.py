"""What becomes of a complete study: its series are uploads, their results go back, its folder is removed.

`state.json` in the folder says what has been done; every step may be interrupted and is then done again: a series by
its Idempotency-Key, results under the same UIDs.
"""

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml.atomic_files import sync
from webapp.domain.errors import NoGeometry, NotAssessed, NotFound, PortalError
from webapp.domain.jobs.models import OPEN_STATUSES, Status
from webapp.domain.networks.ledger import Ledger
from webapp.domain.networks.node_status import Count
from webapp.domain.networks.owner import record
from webapp.domain.networks.results import KINDS, write_objects
from webapp.domain.networks.taking import study_name, take_series
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup
from webapp.domain.settings import Peer, Settings
from worker.dicom_node.header import identify
from worker.dicom_node.kept import KeptInstances
from worker.dicom_node.sending import SendFailed, send
from worker.dicom_node.spool import Spool, read_json, write_json
from worker.dicom_node.tls import TlsUnusable

logger = logging.getLogger(__name__)

# Between two attempts: doubled each time.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 900.0


class Delayed(Exception):
    """The next step has to wait for something, in words without a patient's value."""


@dataclass
class Study:
    """A complete study in its folder. state: taking, waiting, sending. series: of each, its scans or why not.

    runs: of each scan with a result that is sent, the run; chosen once, so that every attempt sends the same.
    """

    folder: Path
    key: str
    peer: str
    since: float
    identity: dict[str, str] | None
    state: str = "taking"
    series: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    tries: int = 0
    next_at: float = 0.0
    failing_since: float = 0.0
    reason: str = ""

    @classmethod
    def read(cls, folder: Path) -> "Study":
        """As it was last written."""
        said, done = read_json(folder / "study.json"), read_json(folder / "state.json")
        return cls(
            folder, str(said.get("key", "")), str(said.get("peer", "")), float(said.get("since", 0)),
            said.get("identity"), **done,
        )  # fmt: skip

    def write(self) -> None:
        """Raises OSError."""
        names = ("state", "series", "runs", "tries", "next_at", "failing_since", "reason")
        write_json(self.folder / "state.json", {name: getattr(self, name) for name in names})

    @property
    def name(self) -> str:
        """What log and status call it."""
        return f"{self.peer}/{self.folder.name[:8]}"

    @property
    def scan_ids(self) -> list[str]:
        """Of all its series."""
        return [scan_id for found in self.series.values() for scan_id in found.get("scans", [])]


class Studies:
    """The steps of complete studies. count: told of each event."""

    def __init__(
        self, resources: Resources, spool: Spool, ledger: Ledger, kept: KeptInstances, count: Callable[[Count], None]
    ) -> None:
        self._resources, self._spool, self._ledger, self._kept, self._count = resources, spool, ledger, kept, count

    @property
    def _settings(self) -> Settings:
        return self._resources.settings

    def advance(self, study: Study) -> str | None:
        """Do what can be done now; the sentence of its end, or None while it is on its way. Raises OSError."""
        if time.time() < study.next_at:
            return None
        try:
            end = self._advance(study)
        except (Delayed, SendFailed, TlsUnusable, PortalError) as error:
            return self._delay(study, error.message if isinstance(error, PortalError) else str(error))
        except OSError:
            raise
        except Exception:  # one study keeps no other from its turn
            logger.exception("study %s: an unexpected fault", study.name)
            return self._delay(study, "an unexpected fault, which the log tells")
        if study.tries:
            study.tries, study.next_at, study.failing_since, study.reason = 0, 0.0, 0.0, ""
            study.write()
        return end

    def _advance(self, study: Study) -> str | None:
        if study.state == "taking":
            self._take(study)
            record(self._resources, "dicom.receive", study.scan_ids, study.peer)
            study.state = "waiting"
            study.write()
            self._count(Count.STUDIES_TAKEN)
            logger.info("study %s: %d series are %d scans", study.name, len(study.series), len(study.scan_ids))
        if self._settings.dicom_return == "off" or not study.scan_ids:
            return "taken" if study.scan_ids else "refused: no series is a scan"
        if study.state == "waiting":
            runs = self._finished_runs(study)
            if runs is None:
                return None
            study.runs, study.state = runs, "sending"
            study.write()
        return self._send(study)

    def _take(self, study: Study) -> None:
        """Make scans of its series, one by one. Raises PortalError, OSError."""
        for folder in sorted(path for path in study.folder.iterdir() if path.is_dir()):
            if folder.name not in study.series:
                study.series[folder.name] = self._take_series(study, folder)
                study.write()
            # The portal has its own, de-identified copy by now.
            self._spool.remove(folder)

    def _take_series(self, study: Study, folder: Path) -> dict[str, Any]:
        instances = sorted(folder.glob("*.dcm"))
        taken = take_series(
            self._resources,
            self._ledger,
            instances,
            study=study_name(self._resources, study.peer, study.key),
            number=int(folder.name.split("-")[0]),
            key=f"dicom {study.folder.name} {folder.name}",
        )
        if taken.refused:
            self._count(Count.SERIES_REFUSED)
            logger.warning("study %s: a series of %d files was refused: %s", study.name, len(instances), taken.refused)
            return {"refused": taken.refused}
        if taken.files_refused:
            logger.warning("study %s: %d files of a series were refused", study.name, taken.files_refused)
        elif taken.is_new and self._settings.dicom_commit == "on":
            # Of a series of which files were refused none is promised, also when it comes again: which of them the
            # portal has is not known here.
            self._kept.note(study.peer, [identify(path) for path in instances], taken.scan_ids)
        return {"scans": list(taken.scan_ids)}

    def _finished_runs(self, study: Study) -> dict[str, str] | None:
        """Of each scan with a result its shown run; None while one is still at work."""
        runs = {}
        with self._resources.database.read() as session:
            for scan_id in study.scan_ids:
                try:
                    run = lookup.run(session, lookup.get(session, scan_id), None)
                except NotFound:  # deleted meanwhile
                    continue
                if run is not None and run.status in OPEN_STATUSES:
                    return None
                if run is not None and run.status is Status.SUCCEEDED:
                    runs[scan_id] = run.id
        return runs

    def _send(self, study: Study) -> str:
        """Send all results, or raise. Raises SendFailed, Delayed, PortalError, OSError."""
        peer = self._receiver(study)
        made = self._objects(study)
        if not made:
            return "taken; no result to send: no series has a verdict"
        # Masks first, reports last: while a report is missing, nothing looks whole.
        send(
            self._settings,
            peer,
            [path for kind in KINDS for path in made if path.name.endswith(f"{kind.value}.dcm")],
        )
        self._count(Count.RESULTS_SENT)
        record(self._resources, "dicom.send", study.runs, peer.title)
        return f"{len(made) // len(KINDS)} results are with {peer.title}"

    def _objects(self, study: Study) -> list[Path]:
        """The files that are sent, made once: a peer that is away for a day costs no more than its time."""
        out = study.folder / "out"
        if not out.exists():
            partial = study.folder / "out.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(mode=0o700)
            for scan_id, run_id in study.runs.items():
                try:
                    write_objects(self._resources, scan_id, run_id, partial, study.identity)
                except (NoGeometry, NotAssessed, NotFound) as error:
                    logger.info("study %s: of scan %s nothing is sent: %s", study.name, scan_id, error.code)
            for path in partial.iterdir():
                sync(path)
            partial.rename(out)
        return sorted(out.iterdir())

    def _receiver(self, study: Study) -> Peer:
        if study.identity is None:
            raise Delayed("it came while GLIOSCOPE_DICOM_RETURN was off, so whose it is was not kept")
        title = study.peer if self._settings.dicom_return == "sender" else self._settings.dicom_return
        for peer in self._settings.dicom_peers:
            if peer.title == title:
                return peer
        raise Delayed(f"the peer {title} is not in GLIOSCOPE_DICOM_PEERS any more")

    def _delay(self, study: Study, reason: str) -> str | None:
        """Try again later; or give up, in words."""
        if study.state == "sending":
            self._count(Count.SENDS_FAILED)
        now = time.time()
        study.failing_since = study.failing_since or now
        if now - study.failing_since > self._settings.dicom_retry_s:
            self._count(Count.STUDIES_GIVEN_UP)
            return f"given up while {study.state}: {reason}"
        pause_s = min(FIRST_PAUSE_S * 2**study.tries, LONGEST_PAUSE_S)
        study.tries, study.next_at, study.reason = study.tries + 1, now + pause_s, reason
        study.write()
        logger.warning("study %s: %s again in %g s: %s", study.name, study.state, pause_s, reason)
        return None

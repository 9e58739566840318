"""Storage commitment, push model (DICOM PS3.4 annex J): a sender asks whether its instances are kept, and is told.

A request waits on the disk until it is known what became of every instance, and is answered over an association of
ours: kept are those that became scans which are still there. The portal keeps de-identified copies and is no archive,
so it is off unless a setting turns it on.
"""

import hashlib
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from webapp.domain.errors import NotFound
from webapp.domain.networks.node_status import Count
from webapp.domain.networks.owner import record
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup
from webapp.domain.settings import Peer
from worker.dicom_node.kept import KeptInstances
from worker.dicom_node.sending import SendFailed, connect, prepare
from worker.dicom_node.spool import Spool, read_json, write_json
from worker.dicom_node.studies import FIRST_PAUSE_S, LONGEST_PAUSE_S
from worker.dicom_node.tls import TlsUnusable

logger = logging.getLogger(__name__)

# PS3.7 annex C.
SUCCESS, INVALID_ARGUMENT, NO_ROOM = 0x0000, 0x0115, 0x0213
# PS3.3 C.14.1.1.
PROCESSING_FAILURE, NO_SUCH_INSTANCE, CLASS_CONFLICT = 0x0110, 0x0112, 0x0119
# PS3.4 J.3.3: event types of the report.
_ALL_KEPT, _FAILURES = 1, 2
# A study of a whole-body examination has some thousands.
MOST_REFERENCES = 20_000
MOST_REQUESTS = 1_000
_UID = re.compile(r"[0-9.]{1,64}")


class Commitments:
    """Requests on their way, each a file in the spool's folder. count: told of each answer."""

    def __init__(
        self, resources: Resources, spool: Spool, kept: KeptInstances, folder: Path, count: Callable[[Count], None]
    ) -> None:
        self._resources, self._spool, self._kept, self._count = resources, spool, kept, count
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def ask(self, peer: str, information: Dataset) -> int:
        """Take a request down, in the thread of its association; the status of the answer to it."""
        transaction = str(information.get("TransactionUID") or "")
        items = information.get("ReferencedSOPSequence") or []
        references = [
            [str(item.get(name) or "") for name in ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")]
            for item in items
        ]
        uids = [transaction, *(uid for reference in references for uid in reference)]
        if not references or not all(_UID.fullmatch(uid) for uid in uids):
            return INVALID_ARGUMENT
        if len(references) > MOST_REFERENCES or len(list(self._folder.iterdir())) >= MOST_REQUESTS:
            return NO_ROOM
        # One that is asked again takes its own place.
        name = hashlib.sha256(f"{peer}\n{transaction}".encode()).hexdigest()[:24]
        said = {"peer": peer, "transaction": transaction, "references": references, "since": time.time()}
        try:
            write_json(self._folder / f"{name}.json", said)
        except OSError:
            return NO_ROOM
        return SUCCESS

    def advance(self) -> None:
        """Answer the requests that can be answered now. Raises OSError, DatabaseUnavailable."""
        for path in sorted(self._folder.glob("*.json")):
            request = read_json(path)
            if time.time() < float(request.get("next_at", 0)):
                continue
            if not request:  # damaged by a disk: its sender asks again
                path.unlink()
                continue
            outcome = self._judge(request)
            if outcome is None:
                continue
            kept, failed, scan_ids = outcome
            try:
                self._report(request, kept, failed)
            except (SendFailed, TlsUnusable) as error:
                self._delay(path, request, str(error))
                continue
            path.unlink()
            self._count(Count.COMMITMENTS_REFUSED if failed else Count.COMMITMENTS_GIVEN)
            record(self._resources, "dicom.commit", scan_ids, request["peer"])
            logger.info("%s was told that %d instances are kept, %d not", request["peer"], len(kept), len(failed))

    def _judge(self, request: dict[str, Any]) -> tuple[list[list[str]], list[tuple[list[str], int]], list[str]] | None:
        """Which references are kept, which are not and why, and their scans; None while some are on their way."""
        peer, kept, failed, scans = request["peer"], [], [], dict[str, bool]()
        waited = time.time() - float(request["since"])
        on_the_way = self._spool.instances_of(peer)
        for kind, uid in request["references"]:
            if Spool.instance_name(uid) in on_the_way:
                if waited < self._resources.settings.dicom_incomplete_s:
                    return None
                failed.append(([kind, uid], PROCESSING_FAILURE))
                continue
            found = self._kept.find(peer, uid)
            if found is None or not all(self._is_there(scan_id, scans) for scan_id in found[1]):
                failed.append(([kind, uid], NO_SUCH_INSTANCE))
            elif found[0] != kind:
                failed.append(([kind, uid], CLASS_CONFLICT))
            else:
                kept.append([kind, uid])
        return kept, failed, sorted(scan_id for scan_id, is_there in scans.items() if is_there)

    def _is_there(self, scan_id: str, known: dict[str, bool]) -> bool:
        if scan_id not in known:
            with self._resources.database.read() as session:
                try:
                    lookup.get(session, scan_id)
                    known[scan_id] = True
                except NotFound:
                    known[scan_id] = False
        return known[scan_id]

    def _report(self, request: dict[str, Any], kept: list[list[str]], failed: list[tuple[list[str], int]]) -> None:
        """Tell the peer, over an association in which we are the provider. Raises SendFailed, TlsUnusable."""
        report = Dataset()
        report.TransactionUID = request["transaction"]
        if kept:
            report.ReferencedSOPSequence = [_reference(item) for item in kept]
        if failed:
            report.FailedSOPSequence = [_reference(item, reason) for item, reason in failed]
        settings = self._resources.settings
        entity: AE = prepare(settings)
        entity.add_requested_context(StorageCommitmentPushModel)
        roles = [build_role(StorageCommitmentPushModel, scp_role=True)]
        association = connect(settings, self._peer(request["peer"]), entity, roles)
        try:
            if not association.accepted_contexts:
                raise SendFailed("the peer does not take reports of storage commitment")
            answer, _ = association.send_n_event_report(
                report,
                _FAILURES if failed else _ALL_KEPT,
                StorageCommitmentPushModel,
                StorageCommitmentPushModelInstance,
            )
            if answer.get("Status") != SUCCESS:
                raise SendFailed("the peer did not take the report of storage commitment")
            association.release()
        except (RuntimeError, ValueError) as error:
            raise SendFailed("the peer broke off before the report of storage commitment") from error
        finally:
            if association.is_established:
                association.abort()

    def _peer(self, title: str) -> Peer:
        for peer in self._resources.settings.dicom_peers:
            if peer.title == title:
                return peer
        raise SendFailed(f"the peer {title} is not in GLIOSCOPE_DICOM_PEERS any more")

    def _delay(self, path: Path, request: dict[str, Any], reason: str) -> None:
        """Try again later, or give up; its sender, who was told nothing, asks again."""
        now = time.time()
        failing_since = float(request.get("failing_since") or now)
        if now - failing_since > self._resources.settings.dicom_retry_s:
            path.unlink()
            self._count(Count.COMMITMENTS_GIVEN_UP)
            logger.warning("a report of storage commitment to %s was given up: %s", request["peer"], reason)
            return
        tries = int(request.get("tries", 0))
        pause_s = min(FIRST_PAUSE_S * 2**tries, LONGEST_PAUSE_S)
        changes = {"tries": tries + 1, "next_at": now + pause_s, "failing_since": failing_since}
        write_json(path, {**request, **changes})
        logger.warning("a report of storage commitment to %s again in %g s: %s", request["peer"], pause_s, reason)


def _reference(item: list[str], reason: int | None = None) -> Dataset:
    found = Dataset()
    found.ReferencedSOPClassUID, found.ReferencedSOPInstanceUID = item
    if reason is not None:
        found.FailureReason = reason
    return found

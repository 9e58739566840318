"""Storage commitment: pynetdicom and a real Orthanc ask whether what they sent is kept, and are told the truth."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage, generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from sqlalchemy import select

from tests.support.dicom_network import association, running_orthanc, send_whole
from tests.support.portal_process import free_port
from tests.worker.dicom_node.conftest import Peered, study
from webapp.domain.accounts.models import AuditEntry
from webapp.domain.scans import lookup
from webapp.domain.scans.models import Scan
from webapp.domain.settings import Peer

Make = Callable[..., Peered]
ENHANCED = "1.2.840.10008.5.1.4.1.1.4.1"


@dataclass
class Asker:
    """A sender that listens for reports. status: what it answers them."""

    port: int
    reports: list[tuple[int, Dataset]] = field(default_factory=list)
    status: int = 0

    def hear(self, event: evt.Event) -> tuple[int, None]:
        if self.status == 0:
            self.reports.append((event.event_type, event.event_information))
        return self.status, None

    @property
    def peer(self) -> Peer:
        return Peer("SENDER", "127.0.0.1", self.port)


@contextmanager
def listening() -> Iterator[Asker]:
    asker = Asker(free_port())
    entity = AE(ae_title="SENDER")
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    server = entity.start_server(
        ("127.0.0.1", asker.port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, asker.hear)]
    )
    yield asker
    server.shutdown()


def ask(
    port: int, items: list[tuple[str, str]], *, transaction: str = "", action: int = 1, instance: str = ""
) -> int | None:
    """The status of a request's answer; None where it is not taken at all."""
    entity = AE(ae_title="SENDER")
    entity.add_requested_context(StorageCommitmentPushModel)
    made = entity.associate("127.0.0.1", port, ae_title="GLIOSCOPE")
    if not made.accepted_contexts:
        return None
    said = Dataset()
    said.TransactionUID = transaction or generate_uid()
    said.ReferencedSOPSequence = []
    for kind, uid in items:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = kind, uid
        said.ReferencedSOPSequence.append(item)
    answer, _ = made.send_n_action(
        said, action, StorageCommitmentPushModel, instance or StorageCommitmentPushModelInstance
    )
    made.release()
    return int(answer.Status)


def uids(files: list[bytes]) -> list[tuple[str, str]]:
    read = [pydicom.dcmread(pydicom.filebase.DicomBytesIO(data), stop_before_pixels=True) for data in files]
    return [(str(item.SOPClassUID), str(item.SOPInstanceUID)) for item in read]


def of(sequence: Any) -> list[tuple[str, str]]:
    return [(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)) for item in sequence]


def test_what_became_scans_is_kept_and_what_did_not_is_named(make_node: Make) -> None:
    files = study()
    items = uids(files)
    with listening() as asker:
        peered = make_node(dicom_peers=(asker.peer,), dicom_commit="on", dicom_quiet_s=600.0)
        send_whole(peered.port, files)
        transaction = generate_uid()
        assert ask(peered.port, items, transaction=transaction) == 0
        peered.node.round()
        assert asker.reports == [], "it is not known yet what becomes of the study"

        changed = replace(peered.resources.settings, dicom_quiet_s=1e-6)
        again = make_node(**{name: getattr(changed, name) for name in ("dicom_peers", "dicom_commit", "dicom_quiet_s")})
        again.work()  # a node that was started anew answers it
        [(kind, report)] = asker.reports
        assert (kind, report.TransactionUID) == (1, transaction)
        assert of(report.ReferencedSOPSequence) == items and "FailedSOPSequence" not in report
        assert again.count("commitments_given") == 1
        with again.resources.database.read() as session:
            [scan_id] = session.scalars(select(Scan.id))
            lines = session.scalars(select(AuditEntry)).all()
        assert [line.object_id for line in lines if line.action == "dicom.commit"] == [scan_id]

        wrong = [items[0], (ENHANCED, items[1][1]), (str(MRImageStorage), "1.2.3")]
        assert ask(again.port, wrong) == 0
        again.node.round()
        kind, report = asker.reports[-1]
        assert kind == 2 and of(report.ReferencedSOPSequence) == items[:1]
        assert of(report.FailedSOPSequence) == wrong[1:]
        assert [item.FailureReason for item in report.FailedSOPSequence] == [0x0119, 0x0112]

        lookup.delete(again.resources, scan_id)
        assert ask(again.port, items) == 0
        again.node.round()
        kind, report = asker.reports[-1]
        assert kind == 2 and of(report.FailedSOPSequence) == items and "ReferencedSOPSequence" not in report
        assert again.count("commitments_refused") == 2


def test_a_series_of_which_a_file_was_refused_is_not_promised(make_node: Make) -> None:
    files = study()
    broken = pydicom.dcmread(pydicom.filebase.DicomBytesIO(files[3]))
    broken.PixelData = broken.PixelData[: len(broken.PixelData) // 2]
    buffer = pydicom.filebase.DicomBytesIO()
    broken.save_as(buffer)
    files[3] = buffer.getvalue()
    with listening() as asker:
        peered = make_node(dicom_peers=(asker.peer,), dicom_commit="on")
        for _ in range(2):  # nor when it is sent again
            send_whole(peered.port, files)
            peered.node.round()
            assert ask(peered.port, uids(files)) == 0
            peered.node.round()
            kind, report = asker.reports[-1]
            assert kind == 2 and len(report.FailedSOPSequence) == len(files)


def test_a_request_that_is_none_is_refused_and_nothing_waits(make_node: Make) -> None:
    items = uids(study()[:1])
    peered = make_node(dicom_commit="on")
    assert ask(peered.port, []) == 0x0115
    assert ask(peered.port, [(items[0][0], "")]) == 0x0115
    assert ask(peered.port, items, action=2) == 0x0123
    assert ask(peered.port, items, instance="1.2.3") == 0x0112
    peered.node.round()
    assert not list((peered.node.spool.incoming.parent / "commitments").iterdir())
    assert ask(make_node().port, items) is None, "off unless it is turned on"


def test_a_report_that_nobody_takes_is_sent_again_and_given_up(
    make_node: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.dicom_node.commitment.FIRST_PAUSE_S", 0.0)
    items = uids(study()[:1])
    with listening() as asker:
        peered = make_node(dicom_peers=(asker.peer,), dicom_commit="on", dicom_retry_s=600.0)
        asker.status = 0x0110
        assert ask(peered.port, items) == 0
        peered.node.round()
        assert asker.reports == []
        asker.status = 0
        peered.node.round()
        assert [kind for kind, _ in asker.reports] == [2]
    peered = make_node(dicom_commit="on", dicom_retry_s=1e-9)  # the peer of the tests' own: nobody is there
    assert ask(peered.port, items) == 0
    for _ in range(2):
        peered.node.round()
    assert peered.count("commitments_given_up") == 1
    with association(peered.port) as made:
        assert made.is_established


def test_an_archive_asks_and_is_told(make_node: Make, tmp_path: Path) -> None:
    port = free_port()
    with running_orthanc(tmp_path / "orthanc", port) as archive:
        peers = (Peer("ARCHIVE", "127.0.0.1", archive.dicom_port),)
        peered = make_node(dicom_bind=("127.0.0.1", port), dicom_peers=peers, dicom_commit="on")
        archive.add(study(2))
        [of_archive] = archive.studies()
        archive.send(of_archive, "portal")
        peered.work()
        for resources, status in (([of_archive], "Success"), (None, "Failure")):
            said: dict[str, Any] = (
                {"Resources": resources}
                if resources
                else {"DicomInstances": [{"SOPClassUID": str(MRImageStorage), "SOPInstanceUID": "1.2.3"}]}
            )
            asked = archive.json("POST", "/modalities/portal/storage-commitment", said)
            deadline = time.monotonic() + 30
            while (found := archive.json("GET", asked["Path"]))["Status"] == "Pending":
                peered.node.round()
                assert time.monotonic() < deadline
            assert found["Status"] == status, found
            assert len(found["Success"]) == (48 if resources else 0)

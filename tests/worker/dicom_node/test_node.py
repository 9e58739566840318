"""The node beside a sender of its own protocol: what is taken, what is refused, what is never lost or doubled."""

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import Comprehensive3DSRStorage, SegmentationStorage
from sqlalchemy import select

from ml.digests import sha256_of
from tests.support import dicom_files
from tests.support.dicom_network import association, send_whole, store
from tests.support.portal_process import free_port
from tests.worker.dicom_node.conftest import Peered, study
from webapp.domain.accounts import audit, users
from webapp.domain.accounts.models import Role
from webapp.domain.database import ownership
from webapp.domain.database.ownership import LOCAL
from webapp.domain.errors import StorageFull
from webapp.domain.networks import ledger as networks_ledger
from webapp.domain.networks import taking
from webapp.domain.resources import Resources
from webapp.domain.scans.models import Scan
from webapp.domain.settings import Peer
from worker.dicom_node import studies
from worker.dicom_node.spool import SpoolInUse

Make = Callable[..., Peered]


def scans(peered: Peered) -> list[Scan]:
    with peered.resources.database.read() as session:
        return list(session.scalars(select(Scan).order_by(Scan.filename)))


def as_another_way(data: bytes, target: Path, **changes: object) -> Path:
    """An instance as another program writes it: implicit, with a header of its own; with other elements."""
    image = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
    for name, value in changes.items():
        setattr(image, name, value)
    image.file_meta = pydicom.dataset.FileMetaDataset()
    image.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    image.file_meta.SourceApplicationEntityTitle = "ELSEWHERE"
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.private_block(0x0011, "SOMEBODY", create=True).add_new(1, "LO", "on the way")
    image.save_as(target, implicit_vr=True, little_endian=True, enforce_file_format=True)
    return target


class Archive:
    """A peer that takes results, and can be told to refuse from the nth object on."""

    def __init__(self, port: int) -> None:
        self.taken: list[pydicom.Dataset] = []
        self.refuses_from: int | None = None
        self.asked = 0
        entity = AE(ae_title="SENDER")
        for kind in (SegmentationStorage, Comprehensive3DSRStorage):
            entity.add_supported_context(kind)
        self._server = entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._take)]
        )

    def _take(self, event: evt.Event) -> int:
        self.asked += 1
        if self.refuses_from is not None and self.asked >= self.refuses_from:
            return 0xA700
        self.taken.append(event.dataset)
        return 0x0000

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None


@pytest.fixture
def archive() -> Archive:
    made = Archive(port := free_port())
    made.port = port
    yield made
    made.close()


def test_a_study_becomes_scans_and_its_results_go_back_under_its_own_names(make_node: Make, archive: Archive) -> None:
    peered = make_node(dicom_peers=(Peer("SENDER", "127.0.0.1", archive.port),), dicom_return="sender")
    files = study(2)
    assert set(send_whole(peered.port, files)) == {0}
    peered.work()

    assert [(scan.filename[-8:], scan.format, scan.owner_id) for scan in scans(peered)] == [
        ("series 1", "dicom", LOCAL), ("series 2", "dicom", LOCAL),
    ]  # fmt: skip
    first = pydicom.dcmread(pydicom.filebase.DicomBytesIO(files[0]))
    assert [item.Modality for item in archive.taken] == ["SEG", "SEG", "SR", "SR"]  # reports last
    for item in archive.taken:
        assert item.StudyInstanceUID == first.StudyInstanceUID
        assert (item.PatientID, item.PatientName) == ("H-0815", "Müller^Änne")
        assert (item.StudyDate, item.AccessionNumber, item.PatientBirthDate) == ("20260102", "A-99", "19330204")
        assert "PatientIdentityRemoved" not in item and "DeidentificationMethod" not in item
    status = peered.status()
    assert (status.spool_bytes, peered.node.spool.bytes) == (0, 0)
    assert status.studies == [] and status.recent[-1].reason == "2 results are with SENDER"
    # Names were in the spool alone, and are gone.
    spool = peered.resources.settings.instance_dir
    kept = b"".join(path.read_bytes() for path in spool.rglob("*") if path.is_file())
    assert not any(word in kept for word in (b"H-0815", "Müller".encode(), "Müller".encode("latin-1")))


def test_a_study_that_comes_again_makes_no_new_scans(make_node: Make) -> None:
    peered = make_node()
    files = study(2)
    for sent in (files, files[::-1], files[: len(files) // 2]):
        send_whole(peered.port, sent)
        peered.work()
    assert len(scans(peered)) == 2
    assert peered.count("studies_taken") == 3


def test_strangers_are_rejected_by_title_and_by_address(make_node: Make) -> None:
    peered = make_node(dicom_peers=(Peer("SENDER", "127.0.0.1", 1), Peer("FAR", "192.0.2.1", 104)))
    for options in ({"title": "STRANGER"}, {"title": "FAR"}, {"called": "OTHER"}):
        with association(peered.port, **options) as made:
            assert made.is_rejected
    with association(peered.port) as made:
        assert made.send_c_echo().Status == 0
        made.release()
    assert peered.count("peers_refused") == 3


def test_half_a_study_waits_for_its_sender(make_node: Make) -> None:
    peered = make_node()
    files = study()
    with association(peered.port) as made:
        assert store(made, files[0]) == 0
    wait_for(lambda: peered.count("senders_broken") == 1)
    peered.work()
    assert scans(peered) == []
    assert [entry.state for entry in peered.status().studies] == ["interrupted"]

    send_whole(peered.port, files[1:])  # as an archive does, which goes on where it was stopped
    peered.work()
    [scan] = scans(peered)
    assert scan.geometry is not None and scan.geometry["shape"][2] == len(files)


def test_half_a_study_that_never_completes_is_dropped_and_named(make_node: Make) -> None:
    peered = make_node(dicom_incomplete_s=1e-6)
    with association(peered.port) as made:
        store(made, study()[0])
    wait_for(lambda: peered.count("senders_broken") == 1)
    peered.work()
    assert (scans(peered), peered.status().studies, peered.node.spool.bytes) == ([], [], 0)
    assert "did not send it again" in peered.status().recent[-1].reason


def test_a_study_is_complete_only_when_it_is_quiet(make_node: Make) -> None:
    peered = make_node(dicom_quiet_s=600.0)
    send_whole(peered.port, study())
    peered.work()
    assert scans(peered) == []
    assert [entry.state for entry in peered.status().studies] == ["arriving"]


def test_what_is_no_image_is_dropped_with_a_warning(make_node: Make) -> None:
    peered = make_node()
    assert send_whole(peered.port, [dicom_files.pdf(), *study()])[0] == 0xB006
    peered.work()
    assert len(scans(peered)) == 1


def test_a_full_spool_refuses_and_the_study_is_not_taken_for_whole(make_node: Make) -> None:
    peered = make_node(dicom_spool_bytes=20_000)
    statuses = send_whole(peered.port, study())
    assert statuses[0] == 0 and statuses[-1] == 0xA700
    wait_for(lambda: peered.count("senders_broken") == 1)
    peered.work()
    assert scans(peered) == []


def test_an_instance_that_is_too_large_is_cut_off(make_node: Make) -> None:
    peered = make_node(max_upload_bytes=1000)
    files = study(PixelData=b"")
    big = pydicom.dcmread(pydicom.filebase.DicomBytesIO(files[0]))
    big.PixelData = bytes(8_000_000)
    with association(peered.port) as made:
        answer = made.send_c_store(big)
        assert "Status" not in answer
    wait_for(lambda: peered.count("instances_refused") == 1)
    assert peered.node.spool.bytes == 0


def test_two_patients_of_one_study_are_two(make_node: Make) -> None:
    peered = make_node()
    uid = pydicom.uid.generate_uid()
    send_whole(peered.port, [*study(study_uid=uid), *study(study_uid=uid, PatientID="OTHER")])
    peered.work()
    assert len({(scan.series or {})["patient"] for scan in scans(peered)}) == 2
    assert len({scan.study_id for scan in scans(peered)}) == 2


def test_an_archive_that_is_away_or_refuses_gets_all_of_it_later(
    make_node: Make, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "FIRST_PAUSE_S", 0.0)
    archive.close()
    settings = {"dicom_peers": (Peer("SENDER", "127.0.0.1", archive.port),), "dicom_return": "sender"}
    peered = make_node(**settings)
    send_whole(peered.port, study(2))
    peered.work()
    [entry] = peered.status().studies
    assert (entry.state, entry.reason) == ("sending", "the peer does not answer")

    again = Archive(archive.port)
    again.refuses_from = 2
    peered = make_node(**settings)  # a node that was started anew goes on
    peered.node.round()
    assert peered.status().studies[0].reason == "the peer refused object 2 of 4 with the status A700"
    assert [item.Modality for item in again.taken] == ["SEG"]  # no report: nothing looks whole
    again.refuses_from = None
    peered.node.round()
    again.close()
    assert [item.Modality for item in again.taken] == ["SEG", "SEG", "SEG", "SR", "SR"]
    assert len({item.SOPInstanceUID for item in again.taken}) == 4
    assert peered.count("sends_failed") >= 2 and peered.status().studies == []


def test_results_that_cannot_be_sent_are_given_up_and_named(make_node: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "FIRST_PAUSE_S", 0.0)
    peered = make_node(dicom_return="sender", dicom_retry_s=1e-9)
    send_whole(peered.port, study())
    peered.work()
    peered.node.round()
    assert peered.status().recent[-1].reason == "given up while sending: the peer does not answer"
    assert (len(scans(peered)), peered.status().studies) == (1, [])


def test_a_result_without_verdict_is_not_sent(make_node: Make, archive: Archive) -> None:
    peered = make_node(dicom_peers=(Peer("SENDER", "127.0.0.1", archive.port),), dicom_return="SENDER")
    send_whole(peered.port, study(SeriesDescription="T1", RepetitionTime=500, EchoTime=10, InversionTime=None))
    peered.runtime.engine("").sequence_log_odds = [(-9.0, -9.0)] * 100
    peered.work()
    assert (archive.asked, len(scans(peered))) == (0, 1)
    assert "no series has a verdict" in peered.status().recent[-1].reason


def test_a_fault_of_the_machine_costs_time_and_no_study(make_node: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "FIRST_PAUSE_S", 0.0)
    peered = make_node()
    real, faults = taking.submit, [StorageFull("The storage has no room left."), ValueError("nobody expected this")]

    def submit(*arguments: object) -> object:
        if faults:
            raise faults.pop()
        return real(*arguments)

    monkeypatch.setattr(taking, "submit", submit)
    send_whole(peered.port, study(2))
    for _ in range(3):
        peered.node.round()
    assert len(scans(peered)) == 2


def test_a_node_that_was_killed_between_two_steps_doubles_nothing(
    make_node: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    peered = make_node()
    send_whole(peered.port, study(2))
    real = studies.Study.write

    def die(self: studies.Study) -> None:
        if self.series:
            raise KeyboardInterrupt  # as a kill: after the scan, before it is written down
        real(self)

    monkeypatch.setattr(studies.Study, "write", die)
    monkeypatch.setattr(studies.Ledger, "note", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        peered.node.round()
    monkeypatch.undo()
    assert len(scans(peered)) == 1
    make_node().work()
    assert len(scans(peered)) == 2


def test_with_users_a_study_is_the_named_users_or_waits(make_node: Make, resources: Resources) -> None:
    """Its scans are theirs alone, and the audit log has a line for each; without the user nothing is lost."""
    peered = make_node(auth="password", dicom_user="ruth")
    send_whole(peered.port, study(2))
    peered.work()
    assert scans(peered) == []
    assert [entry.state for entry in peered.status().studies] == ["taking"]
    with resources.database.write() as session:
        ruth = users.create(session, "ruth", "a long password of hers", Role.RESEARCHER)
    peered.node.round()
    ownership.act_as(None)
    assert [scan.owner_id for scan in scans(peered)] == [ruth, ruth]
    with resources.database.read() as session:
        lines = [(entry.action, entry.user_id, entry.address) for entry in audit.every(session)]
    assert lines == [("dicom.receive", ruth, "SENDER")] * 2


def test_one_spool_has_one_node(make_node: Make, resources: object, tmp_path: Path) -> None:
    peered = make_node()
    with pytest.raises(SpoolInUse):
        type(peered.node)(peered.resources)


def wait_for(condition: Callable[[], bool]) -> None:
    """The other side of a connection notices its end in a thread of its own."""
    import time

    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_series_that_comes_by_another_way_too_is_one_scan(make_node: Make, tmp_path: Path) -> None:
    peered, files = make_node(), study()
    send_whole(peered.port, files)
    peered.work()
    [scan] = scans(peered)
    again = [as_another_way(data, tmp_path / f"{number}.dcm") for number, data in enumerate(files)]
    ledger, resources = peered.node._ledger, peered.resources

    def take(paths: list[Path], key: str) -> tuple[str, ...]:
        return taking.take_series(resources, ledger, paths, study="DICOMweb x", number=1, key=key).scan_ids

    assert take(again[::-1], "again") == (scan.id,) and len(scans(peered)) == 1
    # What an archive has corrected is another series, also under its old UIDs.
    nested = pydicom.Dataset()
    nested.CodeValue = "1"
    for number, changes in enumerate(
        ({"SliceLocation": 3.5}, {"PatientID": "H-0816"}, {"ProcedureCodeSequence": [nested]}), start=1
    ):
        changed = [as_another_way(files[0], tmp_path / f"changed-{number}.dcm", **changes), *again[1:]]
        assert ledger.known(resources, changed, ledger.digest(resources, changed)) is None, changes
    # Noted by the files' bytes, as before there was this rule.
    before = [sha256_of(path) for path in again]
    digest = networks_ledger._keyed(resources, before)
    ledger.note(digest, [scan.id])
    assert ledger.known(resources, again, "0" * 64) == [scan.id]

"""DICOMweb beside a real archive and beside servers that misbehave: a study comes in, SEG and SR go back, once."""

import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from flask import Flask
from pydicom.uid import generate_uid
from sqlalchemy import select

from ml.measurements import Verdict
from tests.support import dicom_files, volume_files
from tests.support.dicom_judges import errors_of
from tests.support.dicom_network import Orthanc, running_orthanc
from tests.webapp.accounts import add_user
from tests.webapp.api.series.drawn_head import AFFINE, SHAPE, VOXELS
from tests.webapp.clients import SCANS, finish, resources_of
from webapp.context import EXTENSION
from webapp.domain.accounts import audit
from webapp.domain.accounts.models import Role
from webapp.domain.database import ownership
from webapp.domain.networks import dicomweb
from webapp.domain.scans.models import Scan, Segmentation

STUDY = generate_uid()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One with a study of two series."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), 1) as running:
        for number in (1, 2):
            running.add(
                dicom_files.series(VOXELS + number, AFFINE, StudyInstanceUID=STUDY, SeriesNumber=number,
                                   PatientID="H-0815", PatientName="Müller^Änne", SpecificCharacterSet="ISO_IR 100",
                                   StudyDate="20260102", AccessionNumber="A-99")
            )  # fmt: skip
        yield running


@pytest.fixture(autouse=True)
def acts_for_nobody() -> Iterator[None]:
    yield
    ownership.act_as(None)


def told(app: Flask, url: str, *arguments: str, **settings: object) -> tuple[int, str]:
    """The exit code and the words of `flask dicomweb ...`, with the archive at this address."""
    services = resources_of(app)
    changed = replace(services.settings, dicomweb_url=url, **settings)
    app.extensions[EXTENSION] = replace(services, settings=changed)
    found = app.test_cli_runner().invoke(args=["dicomweb", *arguments])
    return found.exit_code, found.output


def test_a_study_is_pulled_and_its_result_pushed_back_into_it(
    app: Flask, archive: Orthanc, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    code, words = told(app, archive.dicomweb, "pull", STUDY)
    assert code == 0, words
    ids = re.findall(r"series \d: ([0-9a-f]{32})\n", words)
    assert len(ids) == 2
    assert told(app, archive.dicomweb, "pull", STUDY) == (0, words)  # again: nothing new
    resources = resources_of(app)
    with resources.database.read() as session:
        scans = list(session.scalars(select(Scan)))
        assert len(scans) == 2 and len({scan.study_id for scan in scans}) == 1
        assert all("4711" not in f"{scan.filename} {scan.series}" for scan in scans)
        run = session.scalar(select(Segmentation.id).where(Segmentation.scan_id == ids[0]))

    code, words = told(app, archive.dicomweb, "push", ids[0])
    assert code == 1 and "There is no result yet" in words
    finish(resources, run)
    for _ in range(2):
        assert told(app, archive.dicomweb, "push", ids[0]) == (0, "SEG and SR are in the archive.\n")

    [mask], [report] = archive.instances("SEG"), archive.instances("SR")
    assert len(archive.studies()) == 1
    for item in (mask, report):
        assert (item.StudyInstanceUID, item.PatientID, str(item.PatientName)) == (STUDY, "H-0815", "Müller^Änne")
        path = tmp_path / f"{item.Modality}.dcm"
        item.save_as(path, enforce_file_format=True)
        assert errors_of(path) == []
    read = highdicom.seg.Segmentation.from_dataset(mask)
    uids = [item.SOPInstanceUID for item in archive.instances("MR") if is_of(item, mask)]
    frames = read.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)[..., 0]
    assert len(uids) == SHAPE[2]
    assert frames.sum() == volume_files.tumor(AFFINE, SHAPE).sum() == np.count_nonzero(frames)
    volume_mm3 = abs(np.linalg.det(AFFINE[:3, :3])) * frames.sum()
    figure(f"DICOMweb: {frames.sum()} marked voxels ({volume_mm3 / 1000:.2f} ml) after pull and push, as stored")


@pytest.mark.parametrize("elements", [{}, {"PatientID": "H-4"}])
def test_a_result_is_its_patients_beside_one_that_was_stored_under_the_pseudonym(
    app: Flask, archive: Orthanc, elements: dict[str, str]
) -> None:
    """A mask was downloaded and stored by hand, with the patient's id written into it or not."""
    study = generate_uid()
    known = {"PatientID": "H-4", "PatientName": "Yamada^Tarou=山田^太郎", "SpecificCharacterSet": "ISO_IR 192"}
    archive.add(dicom_files.series(VOXELS + 7, AFFINE, StudyInstanceUID=study, StudyDate="20260102", **known))
    words = told(app, archive.dicomweb, "pull", study)[1]
    [scan_id] = re.findall(r"series \d: ([0-9a-f]{32})\n", words)
    with resources_of(app).database.read() as session:
        run = session.scalar(select(Segmentation.id).where(Segmentation.scan_id == scan_id))
    finish(resources_of(app), run)
    with app.test_client().get(f"{SCANS}/{scan_id}/segmentation.dcm") as downloaded:
        by_hand = pydicom.dcmread(io.BytesIO(downloaded.data))
    for name, value in elements.items():
        setattr(by_hand, name, value)
    by_hand.SOPInstanceUID = by_hand.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    written = io.BytesIO()
    by_hand.save_as(written)
    archive.add([written.getvalue()])

    assert told(app, archive.dicomweb, "push", scan_id) == (0, "SEG and SR are in the archive.\n")
    [report] = [item for item in archive.instances("SR") if item.StudyInstanceUID == study]
    assert (report.PatientID, str(report.PatientName), report.StudyDate) == (*list(known.values())[:2], "20260102")


def is_of(item: pydicom.Dataset, mask: pydicom.Dataset) -> bool:
    return bool(item.SeriesInstanceUID == mask.ReferencedSeriesSequence[0].SeriesInstanceUID)


def test_a_result_is_not_pushed_where_it_would_lie(app: Flask, archive: Orthanc, tmp_path: Path) -> None:
    """Without a verdict, or where the archive does not have the study."""
    from tests.webapp.api.exports.exported import add_series

    scan, _ = add_series(app)
    assert "does not have the scan's study" in told(app, archive.dicomweb, "push", scan["id"])[1]
    resources = resources_of(app)
    with resources.database.write() as session:
        session.get_one(Segmentation, scan["segmentation"]["id"]).verdict = Verdict.NOT_ASSESSED
    code, words = told(app, archive.dicomweb, "push", scan["id"])
    assert code == 1 and "no verdict" in words


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["pull", "1.2.3"], "has no such study"),
        (["pull", "1.2.3/../../x"], "no study's UID"),
        (["push", "0" * 32], "no such scan"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(app: Flask, archive: Orthanc, arguments: list[str], sentence: str) -> None:
    code, words = told(app, archive.dicomweb, *arguments)
    assert code == 1 and sentence in words and words.count("\n") == 1


def test_an_archive_that_is_away_or_refuses_is_one_sentence(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicomweb, "FIRST_PAUSE_S", 0.001)
    asked: list[str] = []

    def answers(status: int, body: bytes = b"", **headers: str) -> str:
        with server(status, body, asked, **headers) as url:
            code, words = told(app, url, "pull", STUDY, dicomweb_timeout_s=0.2)
            assert code == 1 and words.count("\n") == 1, words
            return words

    assert "wants a login" in answers(401)
    assert "does not allow us" in answers(403)
    assert "HTTP 500" in answers(500)
    asked.clear()
    assert "busy" in answers(503)
    assert len(asked) == dicomweb.ATTEMPTS
    assert "no DICOMweb" in answers(200, b"<html>", **{"Content-Type": "text/html"})
    assert "no DICOMweb" in answers(200, b"[{", **{"Content-Type": "application/dicom+json"})
    with server(200, b"[]", elsewhere := [], **{"Content-Type": "application/dicom+json"}) as url:
        assert "sends us elsewhere" in answers(302, Location=url)
    assert elsewhere == []
    assert "in time" in answers(0)
    monkeypatch.setattr(dicomweb, "_MOST_JSON_BYTES", 1000)
    assert "is larger than" in answers(200, b"[" + b" " * 2000 + b"]", **{"Content-Type": "application/dicom+json"})
    assert "cannot be reached" in told(app, "http://127.0.0.1:9", "pull", STUDY)[1]
    assert "No archive is set" in told(app, "", "pull", STUDY)[1]


def test_with_users_a_pulled_study_is_somebodys(make_app: Callable[..., Flask], archive: Orthanc) -> None:
    app = make_app(GLIOSCOPE_AUTH="password")
    assert "must name a user" in told(app, archive.dicomweb, "pull", STUDY)[1]
    ruth = add_user(app, "ruth", Role.RESEARCHER)
    assert told(app, archive.dicomweb, "pull", STUDY, "--user", "ruth")[0] == 0
    ownership.act_as(None)
    with resources_of(app).database.read() as session:
        assert set(session.scalars(select(Scan.owner_id))) == {ruth}
        assert [entry.action for entry in audit.every(session) if entry.user_id == ruth] == ["dicomweb.pull"] * 2


@contextmanager
def server(status: int, body: bytes, asked: list[str], **headers: str) -> Iterator[str]:
    """A server with one answer for everything; with status 0 it gives none."""
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if not status:
                release.wait(30)
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/dicom-web"
    finally:
        release.set()
        running.shutdown()
        thread.join()
        running.server_close()

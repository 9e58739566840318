"""The node beside a real archive, in both directions: a study comes by C-STORE, and its results open in place."""

import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid
from sqlalchemy import func, select

from tests.support import dicom_files, volume_files
from tests.support.dicom_judges import errors_of
from tests.support.dicom_network import Orthanc, running_orthanc
from tests.support.portal_process import free_port
from tests.webapp.api.exports.exported import points, points_of_highdicom
from tests.worker.dicom_node.conftest import AFFINE, SHAPE, VOXELS, Peered, study
from webapp.domain.scans.models import Scan
from webapp.domain.settings import Peer

NODE_PORT = free_port()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), NODE_PORT) as running:
        yield running


def test_a_study_of_an_archive_comes_back_with_its_results(
    archive: Orthanc, make_node: Callable[..., Peered], tmp_path: Path, figure: Callable[[str], None]
) -> None:
    peers = (Peer("ARCHIVE", "127.0.0.1", archive.dicom_port),)
    peered = make_node(dicom_bind=("127.0.0.1", NODE_PORT), dicom_peers=peers, dicom_return="sender")
    sent = study(5)
    archive.add(sent)
    [of_archive] = archive.studies()

    began = time.monotonic()
    archive.send(of_archive, "portal")
    peered.work()
    while not archive.instances("SEG", of_archive):
        peered.work()
        assert time.monotonic() - began < 120
    seconds = time.monotonic() - began

    # One patient, one study: what came back lies beside the series, under the archive's own names.
    assert archive.studies() == [of_archive]
    masks, reports = archive.instances("SEG", of_archive), archive.instances("SR", of_archive)
    assert (len(masks), len(reports)) == (5, 5)
    by_series = {}
    for data in sent:
        image = pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
        by_series.setdefault(image.SeriesInstanceUID, []).append(image)
    truth = volume_files.tumor(AFFINE, SHAPE)
    for found in masks:
        assert (found.PatientID, str(found.PatientName)) == ("H-0815", "Müller^Änne")
        series = by_series.pop(found.ReferencedSeriesSequence[0].SeriesInstanceUID)
        read = highdicom.seg.Segmentation.from_dataset(found)
        uids = [image.SOPInstanceUID for image in series]
        frames = read.get_pixels_by_source_instance(
            uids, assert_missing_frames_are_empty=True, ignore_spatial_locations=False
        )
        np.testing.assert_array_equal(frames[..., 0], truth.transpose(2, 1, 0))
        np.testing.assert_allclose(points_of_highdicom(read), points(AFFINE, truth), atol=1e-3)
    assert by_series == {}
    for number, found in enumerate([*masks, *reports]):
        path = tmp_path / f"{number}.dcm"
        found.save_as(path, enforce_file_format=True)
        assert errors_of(path) == []
    figure(
        f"DICOM node: {seconds:.1f} s from C-STORE of a study of 5 series ({len(sent)} instances) to the last SEG in"
        " Orthanc (a model of no weight); masks voxel by voxel, in mm, as stored"
    )

    # With its results the study has objects that are no images: sent again, it doubles nothing.
    peered = make_node(dicom_bind=("127.0.0.1", NODE_PORT), dicom_peers=peers)
    archive.send(of_archive, "portal")
    peered.node.round()
    assert peered.count("instances_ignored") == 10
    assert peered.status().recent[-1].reason == "taken"
    with peered.resources.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Scan)) == 5


def test_an_archive_whose_title_is_not_named_gets_no_answer(archive: Orthanc, make_node: Callable[..., Peered]) -> None:
    peered = make_node(dicom_bind=("127.0.0.1", NODE_PORT))
    archive.add(dicom_files.series(VOXELS, AFFINE, StudyInstanceUID=generate_uid(), PatientID="OTHER"))
    with pytest.raises(urllib.error.HTTPError):
        archive.send(archive.studies()[-1], "portal")
    assert peered.count("peers_refused") > 0

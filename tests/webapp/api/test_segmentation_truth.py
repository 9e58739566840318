"""PUT /api/v1/scans/{id}/truth with a DICOM SEG: as archives keep experts' masks."""

from collections.abc import Callable
from io import BytesIO

import pydicom
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.support import volume_files
from tests.webapp.api.exports.exported import add_series, sent_bytes
from tests.webapp.api.series.drawn_head import SHAPE
from tests.webapp.api.test_truth import put
from tests.webapp.clients import SCANS


def changed(data: bytes, change: Callable[[Dataset], object]) -> bytes:
    dataset = pydicom.dcmread(BytesIO(data))
    change(dataset)
    buffer = BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def of_shared(name: str, **elements: object) -> Callable[[Dataset], object]:
    def change(dataset: Dataset) -> None:
        for key, value in elements.items():
            setattr(getattr(dataset.SharedFunctionalGroupsSequence[0], name)[0], key, value)

    return change


def moved(millimeters: float) -> Callable[[Dataset], object]:
    def change(dataset: Dataset) -> None:
        for item in dataset.PerFrameFunctionalGroupsSequence:
            place = item.PlanePositionSequence[0]
            place.ImagePositionPatient = [value + millimeters for value in place.ImagePositionPatient]

    return change


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PSL"])
def test_a_seg_of_its_series_is_the_experts_mask_voxel_by_voxel(
    app: Flask, client: FlaskClient, orientation: str
) -> None:
    """Frames without tumor are left out of it, as of most."""
    scan, _ = add_series(app, volume_files.affine_of(orientation, (5.0, 5.5, 6.0), SHAPE))
    data = sent_bytes(client, scan, "segmentation")
    assert int(pydicom.dcmread(BytesIO(data)).NumberOfFrames) < scan["slice_count"]
    answer = put(client, scan, ("expert.dcm", data))
    assert answer.status_code == 200, answer.json
    assert answer.json["agreement"]["dice"] == 1.0
    assert client.get(f"{SCANS}/{scan['id']}").json["truth"]["filename"] == "expert.dcm"


def two_segments(dataset: Dataset) -> None:
    dataset.SegmentSequence[0].SegmentLabel = "left half"
    dataset.SegmentSequence = [*dataset.SegmentSequence, dataset.SegmentSequence[0]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: setattr(data, "FrameOfReferenceUID", generate_uid()), "another frame of reference"),
        (lambda data: setattr(data, "SegmentationType", "FRACTIONAL"), "of the type FRACTIONAL"),
        (two_segments, "has 2 regions"),
        (lambda data: setattr(data, "SegmentSequence", []), "has 0 regions"),
        (moved(2.0), "does not lie on the voxels"),
        (moved(5.0 * 5.5 * 6.0 * 10), "lies outside"),
        (of_shared("PixelMeasuresSequence", PixelSpacing=[1.0, 1.0]), "does not lie on the voxels"),
        (lambda data: setattr(data, "PixelData", data.PixelData[:20]), "is cut"),
        (lambda data: setattr(data, "NumberOfFrames", 2**30), "limit"),
        (lambda data: delattr(data, "PerFrameFunctionalGroupsSequence"), "nothing of where they lie"),
    ],
    ids=["frame", "fractional", "two", "none", "beside", "elsewhere", "pixels", "cut", "bomb", "unplaced"],
)
def test_a_seg_that_is_not_its_mask_is_refused_in_a_sentence(
    app: Flask, client: FlaskClient, change: Callable[[Dataset], object], said: str
) -> None:
    scan, _ = add_series(app)
    refused = put(client, scan, ("expert.dcm", changed(sent_bytes(client, scan, "segmentation"), change)))
    assert refused.status_code == 422 and said in refused.json["message"], refused.json
    assert client.get(f"{SCANS}/{scan['id']}").json["truth"] is None


def test_another_dicom_file_is_no_mask(app: Flask, client: FlaskClient) -> None:
    scan, _ = add_series(app)
    refused = put(client, scan, ("expert.dcm", sent_bytes(client, scan, "measurements")))
    assert refused.status_code == 422 and "DICOM SEG" in refused.json["message"], refused.json

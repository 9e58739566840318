"""GET /api/v1/scans/{id}/segmentation.dcm: the mask as a segmentation object, opened by those who will read it."""

from pathlib import Path

import highdicom
import numpy as np
import pytest
import SimpleITK
from flask import Flask
from flask.testing import FlaskClient

from ml.exports.facts import Kind
from tests.support import volume_files
from tests.webapp.api.exports.exported import (
    STUDY,
    add_series,
    enhanced,
    exported,
    points,
    points_of,
    points_of_highdicom,
)
from tests.webapp.api.series.drawn_head import AFFINE, SHAPE, VOXELS, result
from tests.webapp.api.test_volumes import fetch


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PSR", "AIL"])
def test_a_segmentation_object_lies_where_the_mask_does(
    app: Flask, client: FlaskClient, tmp_path: Path, orientation: str
) -> None:
    affine = volume_files.affine_of(orientation, (5.0, 5.5, 6.0), SHAPE)
    scan, uids = add_series(app, affine)

    path, found = exported(client, scan, "segmentation", tmp_path)

    truth = volume_files.tumor(affine, SHAPE)
    wanted = points(affine, truth)
    ours = SimpleITK.ReadImage(str(fetch(client, scan, "mask", tmp_path)))
    np.testing.assert_allclose(points_of(ours), wanted, atol=1e-3)
    # SimpleITK reads the frames that are there, from the first of them on, in the object's order.
    np.testing.assert_allclose(points_of(SimpleITK.ReadImage(str(path))), wanted, atol=1e-3)
    read = highdicom.seg.segread(path)
    np.testing.assert_allclose(points_of_highdicom(read), wanted, atol=1e-3)
    tumor_slices = [k for k in range(SHAPE[2]) if truth[:, :, k].any()]
    referred = {item.ReferencedSOPInstanceUID for item in found.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert {uids[k] for k in tumor_slices} <= referred <= set(uids)
    frames = read.get_pixels_by_source_instance([uids[k] for k in tumor_slices])  # (slice, row, column, segment)
    np.testing.assert_array_equal(frames[..., 0], truth.transpose(2, 1, 0)[tumor_slices])
    assert (found.StudyInstanceUID, found.FrameOfReferenceUID) == (STUDY, scan["geometry"]["frame_of_reference"])
    assert found.PatientID == scan["series"]["patient"]
    assert "Research use only" in found.SeriesDescription


@pytest.mark.parametrize("is_shared", [True, False], ids=["groups that all frames share", "as scanners write them"])
def test_frames_of_one_file_are_referred_to_by_their_numbers(
    app: Flask, client: FlaskClient, tmp_path: Path, is_shared: bool
) -> None:
    data, uid = enhanced(AFFINE, VOXELS, is_shared=is_shared)
    scan = result(app, ("head/enhanced.dcm", data))
    truth = volume_files.tumor(AFFINE, SHAPE)

    path, _ = exported(client, scan, "segmentation", tmp_path)

    read = highdicom.seg.segread(path)
    np.testing.assert_allclose(points_of_highdicom(read), points(AFFINE, truth), atol=1e-3)
    marked = [SHAPE[2] - k for k in range(SHAPE[2]) if truth[:, :, k].any()]
    frames = read.get_pixels_by_source_frame(uid, marked)  # (frame, row, column, segment)
    np.testing.assert_array_equal(frames[..., 0], truth.transpose(2, 1, 0)[[SHAPE[2] - number for number in marked]])
    for kind in (Kind.MEASUREMENTS, Kind.RTSTRUCT):
        exported(client, scan, kind, tmp_path)


def test_a_segmentation_of_nothing_has_every_frame_and_none_marked(
    app: Flask, client: FlaskClient, tmp_path: Path
) -> None:
    scan, uids = add_series(app, voxels=np.full_like(VOXELS, 100))
    assert scan["segmentation"]["tumor_pixels"] == 0
    _, found = exported(client, scan, "segmentation", tmp_path)
    assert found.NumberOfFrames == len(uids)
    assert not found.pixel_array.any()

"""PUT /api/v1/scans/{id}/truth with NRRD, and masks as NRRD beside a volume: as 3D Slicer keeps them."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from ml.volumes.grid import VolumeGrid
from ml.volumes.nrrd_file import write_nrrd
from tests.ml.scans.readers.test_nrrd import header, segment
from tests.support import dicom_files, volume_files
from tests.webapp.api.test_truth import put
from tests.webapp.api.test_volume_truth import AFFINE, SHAPE, TUMOR, codes, done, volume
from tests.webapp.clients import SCANS


@pytest.mark.parametrize("orientation", ["LPS", "RIP", "SAR"])
def test_a_label_is_placed_by_the_positions_of_both_files(
    app: Flask, client: FlaskClient, tmp_path: Path, orientation: str
) -> None:
    """The same voxels in another order of axes."""
    scan = done(app, ("head.nii.gz", volume()))
    sizes = {letter: size for letters, size in zip(("LR", "PA", "IS"), SHAPE, strict=True) for letter in letters}
    spacing = {
        letter: mm for letters, mm in zip(("LR", "PA", "IS"), (5.0, 5.5, 6.0), strict=True) for letter in letters
    }
    shape = tuple(sizes[letter] for letter in orientation)
    affine = volume_files.affine_of(orientation, tuple(spacing[letter] for letter in orientation), shape)
    write_nrrd(tmp_path / "a.nrrd", volume_files.tumor(affine, shape).astype(np.uint8), VolumeGrid.of(affine, shape))
    answer = put(client, scan, ("expert.nrrd", (tmp_path / "a.nrrd").read_bytes()))
    assert answer.status_code == 200, answer.json
    assert (answer.json["agreement"]["dice"], codes(answer.json)) == (1.0, [])
    assert answer.json["agreement"]["truth_pixels"] == TUMOR.sum()
    assert answer.json["truth"]["filename"] == "expert.nrrd"


def test_of_a_segmentation_of_a_series_the_region_that_is_asked_for_is_taken(app: Flask, client: FlaskClient) -> None:
    files = dicom_files.series(volume_files.head(AFFINE, SHAPE, "uint16"), AFFINE)
    scan = done(app, *((f"s/{k}.dcm", data) for k, data in enumerate(files)))
    labels = (TUMOR * 1 + np.roll(TUMOR, 1, 0) * ~TUMOR * 2).astype(np.uint8)
    data = header(SHAPE, AFFINE, segment(0, "anna") | segment(1, "ben", 2)) + labels.tobytes("F")
    refused = put(client, scan, ("two.seg.nrrd", data))
    assert (refused.status_code, refused.json["code"]) == (422, "unreadable")
    assert "2 regions (anna, ben)" in refused.json["message"]
    form = {"file": (BytesIO(data), "two.seg.nrrd"), "region": "anna"}
    taken = client.put(f"{SCANS}/{scan['id']}/truth", data=form, content_type="multipart/form-data")
    assert (taken.status_code, taken.json["agreement"]["dice"]) == (200, 1.0), taken.json


def test_one_that_lies_elsewhere_or_is_cut_changes_nothing(app: Flask, client: FlaskClient) -> None:
    scan = done(app, ("head.nii.gz", volume()))
    whole = header(SHAPE, AFFINE) + TUMOR.tobytes("F")
    elsewhere = header(SHAPE, AFFINE + 900 * np.eye(4, k=3)) + TUMOR.tobytes("F")
    for data, said in ((elsewhere, "lies inside the scan"), (whole[:-99], "is cut"), (whole[:150], "has no end")):
        refused = put(client, scan, ("expert.nrrd", data))
        assert refused.status_code == 422 and said in refused.json["message"], refused.json
    assert client.get(f"{SCANS}/{scan['id']}").json["truth"] is None


def test_pictures_take_no_volume(app: Flask, client: FlaskClient) -> None:
    from tests.support.resources import png_bytes
    from tests.webapp.clients import finished

    refused = put(client, finished(app, "a.png", png_bytes()), ("a.nrrd", header(SHAPE, AFFINE) + TUMOR.tobytes("F")))
    assert refused.status_code == 422 and "no place in the patient" in refused.json["message"]


@pytest.mark.parametrize("name", ["head-seg.nrrd", "head.seg.nrrd", "HEAD_mask.NRRD"])
def test_one_beside_its_volume_is_its_truth(app: Flask, client: FlaskClient, name: str) -> None:
    scan = done(app, ("head.nii.gz", volume()), (name, header(SHAPE, AFFINE) + TUMOR.tobytes("F")))
    assert (scan["filename"], scan["agreement"]["dice"], codes(scan)) == ("head.nii.gz", 1.0, [])


def test_a_scan_as_nrrd_is_refused_with_what_to_do(app: Flask, client: FlaskClient) -> None:
    form = {"file": (BytesIO(header(SHAPE, AFFINE) + TUMOR.tobytes("F")), "scan.nrrd")}
    refused = client.post(SCANS, data=form, content_type="multipart/form-data")
    assert (refused.status_code, refused.json["code"]) == (415, "unsupported")
    assert "Convert it to NIfTI" in refused.json["message"]

"""GET /api/v1/scans/{id}/*.dcm: what results as DICOM objects have in common, and outlines as a structure set."""

import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from ml.exports import making
from ml.exports.facts import Kind
from ml.sandbox.launcher import SandboxError
from tests.ml.exports.test_outlines import filled
from tests.support import dicom_files, volume_files
from tests.support.resources import png_bytes
from tests.webapp.api.exports.exported import (
    STUDY,
    add_series,
    exported,
    judged,
    points,
    points_of_highdicom,
    sent_bytes,
)
from tests.webapp.api.series.drawn_head import AFFINE, SHAPE, VOXELS, named, result, sagittal_series
from tests.webapp.api.test_volumes import fetch
from tests.webapp.clients import SCANS, finished, resources_of
from webapp.domain.networks import results
from webapp.domain.scans.models import Verdict


def test_files_that_say_that_they_have_one_frame_are_slices_as_any(
    app: Flask, client: FlaskClient, tmp_path: Path
) -> None:
    """Some archives and converters write NumberOfFrames of 1 into plain MR images, which have no frames."""
    scan = result(app, *named(dicom_files.series(VOXELS, AFFINE, StudyInstanceUID=STUDY, NumberOfFrames=1)))

    path, _ = exported(client, scan, "segmentation", tmp_path)

    truth = points(AFFINE, volume_files.tumor(AFFINE, SHAPE))
    np.testing.assert_allclose(points_of_highdicom(highdicom.seg.segread(path)), truth, atol=1e-3)
    _, outlines = exported(client, scan, "rtstruct", tmp_path)
    contours = outlines.ROIContourSequence[0].ContourSequence
    assert len({contour.ContourImageSequence[0].ReferencedSOPInstanceUID for contour in contours}) > 1
    assert not any("ReferencedFrameNumber" in contour.ContourImageSequence[0] for contour in contours)
    exported(client, scan, "measurements", tmp_path)


def test_an_object_is_the_same_whenever_it_is_made(app: Flask, client: FlaskClient) -> None:
    scan, _ = add_series(app)
    first = sent_bytes(client, scan, "segmentation")
    resources_of(app).images.delete(scan["id"])  # else it is kept
    assert sent_bytes(client, scan, "segmentation") == first
    assert client.head(f"{SCANS}/{scan['id']}/segmentation.dcm").status_code == 200


def test_mask_and_report_of_a_run_are_made_by_one_process_and_are_the_same(
    app: Flask, client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None]
) -> None:
    scan, _ = add_series(app)
    began = time.monotonic()
    alone = [sent_bytes(client, scan, kind) for kind in results.KINDS]
    between = time.monotonic()
    started: list[object] = []
    real = making.SANDBOX.run
    monkeypatch.setattr(making.SANDBOX, "run", lambda *args: started.append(args) or real(*args))
    paths = results.write_objects(resources_of(app), scan["id"], None, tmp_path, None)
    ended = time.monotonic()
    assert [path.read_bytes() for path in paths] == alone
    assert len(started) == 1
    figure(f"SEG and SR of a run: {between - began:.1f} s one by one, {ended - between:.1f} s together")


def test_an_object_without_a_sandbox_is_to_be_asked_for_again(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, _ = add_series(app)

    def gone(*_: object, **_more: object) -> None:
        raise SandboxError("the server does not stay alive")

    monkeypatch.setattr(making.SANDBOX, "run", gone)
    answer = client.get(f"{SCANS}/{scan['id']}/measurements.dcm")
    assert (answer.status_code, answer.json["code"]) == (503, "decoder_unavailable")


@pytest.mark.parametrize("orientation", ["LPS", "PSR"])
def test_outlines_of_a_structure_set_enclose_the_masks_voxels(
    app: Flask, client: FlaskClient, tmp_path: Path, orientation: str
) -> None:
    affine = volume_files.affine_of(orientation, (5.0, 5.5, 6.0), SHAPE)
    scan, uids = add_series(app, affine)

    _, found = exported(client, scan, "rtstruct", tmp_path)

    [roi] = found.ROIContourSequence
    to_voxels = np.linalg.inv(np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)
    mask = np.zeros(SHAPE, bool)
    for contour in roi.ContourSequence:
        lps = np.array(contour.ContourData, float).reshape(-1, 3)
        corners = lps @ to_voxels[:3, :3].T + to_voxels[:3, 3]
        k = round(corners[0, 2])
        assert contour.ContourImageSequence[0].ReferencedSOPInstanceUID == uids[k]
        mask[:, :, k] ^= filled([corners[:, 1::-1]], (SHAPE[1], SHAPE[0])).T
    np.testing.assert_array_equal(mask, volume_files.tumor(affine, SHAPE))
    assert found.StructureSetROISequence[0].ROIGenerationAlgorithm == "AUTOMATIC"


@pytest.mark.parametrize("kind", [Kind.MEASUREMENTS, Kind.RTSTRUCT])
def test_a_report_and_outlines_of_nothing_say_nothing_was_found(
    app: Flask, client: FlaskClient, tmp_path: Path, kind: Kind
) -> None:
    scan, _ = add_series(app, voxels=np.full_like(VOXELS, 100))
    _, found = exported(client, scan, kind, tmp_path)
    if kind is Kind.RTSTRUCT:
        assert "ContourSequence" not in found.ROIContourSequence[0]
    else:
        assert "no tumor" in str(found)


@pytest.mark.parametrize("kind", list(Kind))
def test_pictures_and_nifti_have_no_series_to_refer_to(app: Flask, client: FlaskClient, kind: Kind) -> None:
    scans = [finished(app, "a.png", png_bytes())]
    scans.append(finished(app, "a.nii.gz", volume_files.nifti(volume_files.head(AFFINE, SHAPE), AFFINE)))
    for scan in scans:
        response = client.get(f"{SCANS}/{scan['id']}/{kind}.dcm")
        assert (response.status_code, response.json["code"]) == (409, "no_geometry")
        assert f"{kind}_dcm" not in scan["links"]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_series_with_a_filled_slice_is_not_referred_to(app: Flask, client: FlaskClient, kind: Kind) -> None:
    files = sagittal_series()
    scan = result(app, *named(files[:9] + files[10:]))
    assert "slices_filled" in {item["code"] for item in scan["segmentation"]["warnings"]}
    response = client.get(f"{SCANS}/{scan['id']}/{kind}.dcm")
    assert (response.status_code, response.json["code"]) == (409, "no_geometry")
    assert "Slices of the series are missing" in response.json["message"]


def test_what_has_no_verdict_leaves_only_where_it_is_asked_for_and_says_so(
    app: Flask, client: FlaskClient, tmp_path: Path
) -> None:
    scan, _ = add_series(app)
    judged(app, Verdict.NOT_ASSESSED, "not_flair", "plainly_not_flair")
    for kind in Kind:
        refused = client.get(f"{SCANS}/{scan['id']}/{kind}.dcm")
        assert (refused.status_code, refused.json["code"]) == (409, "not_assessed")
        assert refused.json["message"].startswith("No verdict: not FLAIR.")
        assert (
            f"{kind}.dcm?segmentation={scan['segmentation']['id']}&amp;unassessed=1"
            in client.get(f"/scans/{scan['id']}").text
        )

    found = {kind: exported(client, scan, kind, tmp_path, "?unassessed=1")[1] for kind in Kind}

    segment = found[Kind.SEGMENTATION].SegmentSequence[0]
    assert segment.SegmentLabel == "Not assessed" and "no finding" in segment.SegmentDescription
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Image Region"
    region = found[Kind.RTSTRUCT].StructureSetROISequence[0]
    assert region.ROIName == "Not assessed" and "no finding" in region.ROIDescription
    said = found[Kind.MEASUREMENTS].to_json()
    assert "not assessed" in said and "What is marked is no finding" in said
    for made in found.values():
        text = made.to_json()
        assert "Not assessed, no finding." in made.SeriesDescription
        assert [word for word in ("Neoplasm", "Tumor", "Lesion 1") if word in text] == []


@pytest.mark.parametrize(
    ("verdict", "codes", "said"),
    [
        (Verdict.TUMOR_DETECTED, ["unlike_training_data"], "In doubt: unlike the training data."),
        (Verdict.UNCERTAIN, [], "Uncertain: something was seen"),
    ],
)
def test_what_is_in_doubt_says_so_wherever_it_goes(
    app: Flask, client: FlaskClient, tmp_path: Path, verdict: Verdict, codes: list[str], said: str
) -> None:
    scan, _ = add_series(app)
    judged(app, verdict, *codes)
    for kind in Kind:
        _, made = exported(client, scan, kind, tmp_path)
        assert said in made.to_json() and "in doubt" in made.SeriesDescription
    with client.get(f"{SCANS}/{scan['id']}/download.zip") as response:
        assert said in zipfile.ZipFile(io.BytesIO(response.data)).read("README.txt").decode()
    with client.post(f"{SCANS}/download.zip", json={"scans": [scan["id"]], "content": "masks"}) as response:
        listed = zipfile.ZipFile(io.BytesIO(response.data)).read("in_doubt.txt").decode()
    assert said in listed and scan["filename"] in listed
    header = nibabel.load(fetch(client, scan, "mask", tmp_path)).header
    assert header["descrip"].item().decode() == "In doubt: see the result. Research use only. Not for diagnosis."

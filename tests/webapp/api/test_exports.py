"""GET /api/v1/scans/{id}/*.dcm: results as DICOM objects, opened by those who will read them."""

import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from flask import Flask
from flask.testing import FlaskClient
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian
from sqlalchemy import update

from ml.exports import making
from ml.exports.facts import Kind
from ml.sandbox.launcher import SandboxError
from tests.ml.exports.test_outlines import filled
from tests.support import dicom_files, volume_files
from tests.support.dicom_judges import errors_of
from tests.support.resources import png_bytes
from tests.webapp.api.series.drawn_head import AFFINE, SHAPE, VOXELS, named, result, sagittal_series
from tests.webapp.api.test_volumes import fetch
from tests.webapp.clients import SCANS, finished, resources_of
from webapp.domain.networks import results
from webapp.domain.scans.models import Segmentation, Verdict

STUDY = "1.2.826.0.1.3680043.8.498.77"


def add_series(app: Flask, affine: NDArray = AFFINE, voxels: NDArray | None = None) -> tuple[dict[str, Any], list[str]]:
    """A scan with a result, and the UIDs of its instances in their order."""
    voxels = volume_files.head(affine, SHAPE, "uint16") if voxels is None else voxels
    files = dicom_files.series(voxels, affine, StudyInstanceUID=STUDY)
    uids = [pydicom.dcmread(pydicom.filebase.DicomBytesIO(data)).SOPInstanceUID for data in files]
    return result(app, *named(files)), uids


def exported(
    client: FlaskClient, scan: dict[str, Any], kind: str, folder: Path, query: str = ""
) -> tuple[Path, Dataset]:
    path = folder / f"{kind}.dcm"
    path.write_bytes(sent_bytes(client, scan, kind, query))
    assert errors_of(path) == []
    return path, pydicom.dcmread(path)


def sent_bytes(client: FlaskClient, scan: dict[str, Any], kind: str, query: str = "") -> bytes:
    with client.get(f"{SCANS}/{scan['id']}/{kind}.dcm{query}") as response:
        assert response.status_code == 200, response.json
        assert response.mimetype == "application/dicom"
        return response.data


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


def enhanced(affine: NDArray, voxels: NDArray) -> tuple[bytes, str]:
    """A series as one file of several frames (enhanced MR), the last slice first, and its instance's UID."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    count = voxels.shape[2]
    dataset = dicom_files.blank(EnhancedMRImageStorage, ExplicitVRLittleEndian)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = STUDY, f"{STUDY}.1", "MR"
    dataset.FrameOfReferenceUID, dataset.InstanceNumber = f"{STUDY}.2", 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER", "NONE"]
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = count, voxels.shape[1], voxels.shape[0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = [*(lps[:3, 0] / spacing[0]), *(lps[:3, 1] / spacing[1])]
    measures.PixelSpacing, measures.SliceThickness = [spacing[1], spacing[0]], spacing[2]
    shared = Dataset()
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in reversed(range(count)):
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [float(value) for value in lps[:3] @ [0, 0, k, 1]]
        group.PlanePositionSequence = [position]
        frames.append(group)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.PixelData = np.ascontiguousarray(voxels[:, :, ::-1].transpose(2, 1, 0)).astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dicom_files.written(dataset), str(dataset.SOPInstanceUID)


def test_frames_of_one_file_are_referred_to_by_their_numbers(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    data, uid = enhanced(AFFINE, VOXELS)
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


def test_an_object_is_the_same_whenever_it_is_made(app: Flask, client: FlaskClient) -> None:
    scan, _ = add_series(app)
    assert sent_bytes(client, scan, "segmentation") == sent_bytes(client, scan, "segmentation")
    assert client.head(f"{SCANS}/{scan['id']}/segmentation.dcm").status_code == 200


def test_mask_and_report_of_a_run_are_made_by_one_process_and_are_the_same(
    app: Flask, client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None]
) -> None:
    scan, _ = add_series(app)
    began = time.monotonic()
    alone = [sent_bytes(client, scan, kind) for kind in results.KINDS]
    between = time.monotonic()
    started: list[object] = []
    real = making.Sandbox
    monkeypatch.setattr(making, "Sandbox", lambda *args, **options: started.append(args) or real(*args, **options))
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

    monkeypatch.setattr(making, "Sandbox", gone)
    answer = client.get(f"{SCANS}/{scan['id']}/measurements.dcm")
    assert (answer.status_code, answer.json["code"]) == (503, "decoder_unavailable")


def test_a_segmentation_of_nothing_has_every_frame_and_none_marked(
    app: Flask, client: FlaskClient, tmp_path: Path
) -> None:
    scan, uids = add_series(app, voxels=np.full_like(VOXELS, 100))
    assert scan["segmentation"]["tumor_pixels"] == 0
    _, found = exported(client, scan, "segmentation", tmp_path)
    assert found.NumberOfFrames == len(uids)
    assert not found.pixel_array.any()


@pytest.mark.parametrize("orientation", ["LPS", "RAI", "PSR"])
def test_a_measurement_report_has_the_numbers_of_the_page(
    app: Flask, client: FlaskClient, tmp_path: Path, orientation: str
) -> None:
    affine = volume_files.affine_of(orientation, (5.0, 5.5, 6.0), SHAPE)
    scan, uids = add_series(app, affine)
    measured = client.get(f"{SCANS}/{scan['id']}/measurements.json").json
    _, segmentation = exported(client, scan, "segmentation", tmp_path)

    path, found = exported(client, scan, "measurements", tmp_path)

    report = highdicom.sr.srread(path)
    [whole] = report.content.get_volumetric_roi_measurement_groups()
    assert str(segmentation.SOPInstanceUID) in str(whole), "it refers to the segment"
    values = {item.name.meaning: item.value for item in whole.get_measurements()}
    assert values["Volume"] == pytest.approx(measured["volume_mm3"], rel=1e-4)
    assert values["Number of lesions (observable entity)"] == len(measured["lesions"]) == 1
    [evaluation] = whole.get_qualitative_evaluations()
    assert evaluation.value.meaning == "tumor detected"
    [lesion] = report.content.get_image_measurement_groups()
    wanted = measured["lesions"][0]
    sizes = {item.name.meaning: item.value for item in lesion.get_measurements()}
    assert sizes["Long Axis"] == pytest.approx(wanted["diameter_mm"], abs=0.01)
    assert sizes["Short Axis"] == pytest.approx(wanted["perpendicular_mm"], abs=0.01)
    images = [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in lesion[0].ContentSequence
        if item.ValueType == "IMAGE"
    ]
    if orientation == "PSR":
        assert images == [], "an axial slice is no image of a sagittal series"
    else:
        truth = volume_files.tumor(affine, SHAPE)
        areas = truth.sum(axis=(0, 1))
        assert areas[uids.index(images[0])] == areas.max()
    assert found.PatientID == scan["series"]["patient"]


@pytest.mark.parametrize("orientation", ["LPS", "RAI", "RPS", "PSR"])
def test_every_group_of_a_measurement_report_has_the_coordinates_that_viewers_open_it_by(
    app: Flask, client: FlaskClient, tmp_path: Path, orientation: str
) -> None:
    """As OHIF 3.13 reads them: `_processMeasurement` of its dicom-sr extension, and Cornerstone's Bidirectional."""
    affine = volume_files.affine_of(orientation, (5.0, 5.5, 6.0), SHAPE)
    scan, uids = add_series(app, affine)
    wanted = client.get(f"{SCANS}/{scan['id']}/measurements.json").json["lesions"][0]
    truth = volume_files.tumor(affine, SHAPE)

    _, found = exported(client, scan, "measurements", tmp_path)

    whole, lesion = groups_of(found)
    is_axial = orientation != "PSR"
    # The first number with coordinates, else the first item with some, is what a viewer goes to.
    place = next(item for item in whole if item.ValueType in ("SCOORD", "SCOORD3D"))
    assert tracked(lesion) == ("Cornerstone3DTools@^0.1.0:Bidirectional:Lesion 1" if is_axial else "Lesion 1")
    assert [item.TextValue for item in lesion if meaning(item) == "Comment"] == ["Lesion 1"]
    numbers = [item for item in lesion if item.ValueType == "NUM"]
    assert [meaning(item) for item in numbers] == ["Long Axis", "Short Axis", "Volume"]
    lines = [located(item.ContentSequence[0], affine, uids) for item in numbers[:2]]
    for line, size in zip(lines, ("diameter_mm", "perpendicular_mm"), strict=True):
        assert np.linalg.norm(line[1] - line[0]) == pytest.approx(wanted[size], abs=0.01)
    across = (lines[0][1] - lines[0][0]) @ (lines[1][1] - lines[1][0])
    assert abs(across) < 0.01 * wanted["product_mm2"], "at a right angle"
    marked = np.argwhere(truth) @ affine[:3, :3].T + affine[:3, 3]
    reach = np.linalg.norm(affine[:3, :3], axis=0).max()
    ends = np.concatenate(lines)
    assert np.abs(ends[:, None] - marked[None]).max(axis=2).min(axis=1).max() <= reach, "at the edge of the mask"
    center = located(place, affine, uids)[0]
    assert np.abs(center - wanted["center_mm"]).max() <= (6.0 / 2 + 0.01 if is_axial else 0.01)
    if is_axial:
        areas = truth.sum(axis=(0, 1))
        image = numbers[0].ContentSequence[0].ContentSequence[0].ReferencedSOPSequence[0]
        assert areas[uids.index(image.ReferencedSOPInstanceUID)] == areas.max()


def test_coordinates_on_a_frame_name_it(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    data, uid = enhanced(AFFINE, VOXELS)
    scan = result(app, ("head/enhanced.dcm", data))
    _, found = exported(client, scan, "measurements", tmp_path)
    areas = volume_files.tumor(AFFINE, SHAPE).sum(axis=(0, 1))
    _, lesion = groups_of(found)
    [image] = next(item for item in lesion if item.ValueType == "NUM").ContentSequence[0].ContentSequence
    [reference] = image.ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == uid
    assert areas[SHAPE[2] - reference.ReferencedFrameNumber] == areas.max()


def test_a_report_of_nothing_has_the_border_within_which_nothing_was_found(
    app: Flask, client: FlaskClient, tmp_path: Path
) -> None:
    scan, uids = add_series(app, voxels=np.full_like(VOXELS, 100))
    _, found = exported(client, scan, "measurements", tmp_path)
    [whole] = groups_of(found)
    [place] = [item for item in whole if item.ValueType == "SCOORD"]
    assert (meaning(place), place.GraphicType) == ("Selected region", "POLYLINE")
    assert place.GraphicData == [0, 0, SHAPE[0], 0, SHAPE[0], SHAPE[1], 0, SHAPE[1], 0, 0]
    assert place.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID in uids


def groups_of(report: Dataset) -> list[list[Dataset]]:
    """The items of each measurement group; each group has coordinates with an image, or with a frame of reference."""
    [measurements] = [item for item in report.ContentSequence if meaning(item) == "Imaging Measurements"]
    groups = [list(item.ContentSequence) for item in measurements.ContentSequence]
    for group in groups:
        numbers = [item for item in group if item.ValueType == "NUM"]
        below = [item for number in numbers for item in number.get("ContentSequence", [])]
        assert any(item.ValueType in ("SCOORD", "SCOORD3D") for item in [*group, *below])
        assert tracked(group)
    return groups


def meaning(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def tracked(group: list[Dataset]) -> str:
    return next(str(item.TextValue) for item in group if meaning(item) == "Tracking Identifier")


def located(item: Dataset, affine: NDArray, uids: list[str]) -> NDArray:
    """The points of coordinates in mm (RAS). Those on an image lie on one of the series'."""
    if item.ValueType == "SCOORD3D":
        assert item.ReferencedFrameOfReferenceUID
        return np.array(item.GraphicData, float).reshape(-1, 3) * [-1, -1, 1]
    [image] = item.ContentSequence
    slice_index = uids.index(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
    pixels = np.array(item.GraphicData, float).reshape(-1, 2)
    assert (pixels >= 0).all() and (pixels <= SHAPE[:2]).all()
    voxels = np.column_stack([pixels - 0.5, np.full(len(pixels), slice_index)])
    return voxels @ affine[:3, :3].T + affine[:3, 3]


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


def judged(app: Flask, verdict: Verdict, *codes: str) -> None:
    """Every run with this verdict and these warnings."""
    with resources_of(app).database.write() as session:
        session.execute(update(Segmentation).values(verdict=verdict, warnings=list(codes)))


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


def points(affine: NDArray, mask: NDArray[np.bool]) -> NDArray:
    """The centers of a mask's voxels in mm (RAS), sorted."""
    return ordered(np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3])


def points_of(image: SimpleITK.Image) -> NDArray:
    """Of an image's voxels above 0."""
    image = image[..., 0] if image.GetDimension() == 4 else image
    places = np.argwhere(SimpleITK.GetArrayViewFromImage(image) > 0)[:, ::-1]
    lps = [image.TransformIndexToPhysicalPoint(place.tolist()) for place in places]
    return ordered(np.array(lps) * [-1, -1, 1])


def points_of_highdicom(read: highdicom.seg.Segmentation) -> NDArray:
    volume = read.get_volume(combine_segments=True)
    places = np.argwhere(volume.array > 0)
    return ordered(volume.map_indices_to_reference(places) * [-1, -1, 1])


def ordered(found: NDArray) -> NDArray:
    found = np.round(found, 3) + 0.0
    return found[np.lexsort(found.T)]

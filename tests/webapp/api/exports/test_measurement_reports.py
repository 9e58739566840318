"""GET /api/v1/scans/{id}/measurements.dcm: the numbers of the page as a structured report."""

from pathlib import Path

import highdicom
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from tests.support import volume_files
from tests.webapp.api.exports.exported import add_series, enhanced, exported
from tests.webapp.api.series.drawn_head import AFFINE, SHAPE, VOXELS, result
from tests.webapp.clients import SCANS


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

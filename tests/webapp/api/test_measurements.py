"""Measurements of a run in mm, and the spacing that a person enters where a file states none."""

import csv
import io
import json
import math
import zipfile
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from ml.version import VERSION
from tests.support import scan_files, volume_files
from tests.support.jobs import claim_segmentation
from tests.webapp import clients
from tests.webapp.clients import SCANS, finish, finished, resources_of, sent

SHAPE = (28, 32, 24)
SPACING_MM = (5.0, 5.5, 6.0)


def add_volume(
    app: Flask, orientation: str = "LPS", shape: tuple[int, int, int] = SHAPE, **fields: Any
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    affine = volume_files.affine_of(orientation, SPACING_MM, shape)
    data = volume_files.nifti(volume_files.head(affine, shape), affine, **fields)
    scan = sent(app.test_client(), "head.nii.gz", data, form={"threshold": f"{(19 + 169) / 2 / 255}"})
    finish(resources_of(app), scan["segmentation"]["id"])
    return scan, affine, volume_files.tumor(affine, shape)


def add_stack(app: Flask) -> dict[str, Any]:
    """Three slices of 64 x 64 without spacing; squares of 6 x 4 pixels on the last two."""
    stack = np.full((3, 64, 64, 3), 20, np.uint8)
    stack[1:, 10:16, 20:24] = 250
    return finished(app, "stack.tif", scan_files.tiff(stack))


def measured(client: FlaskClient, scan: dict[str, Any], query: str = "") -> dict[str, Any]:
    response = client.get(f"{SCANS}/{scan['id']}/measurements.json{query}")
    assert response.status_code == 200, response.json
    return response.json


def enter(client: FlaskClient, scan: dict[str, Any], spacing_mm: Any) -> Any:
    return client.patch(f"{SCANS}/{scan['id']}", json={"spacing_mm": spacing_mm})


def rows_of(client: FlaskClient, scan: dict[str, Any]) -> list[dict[str, str]]:
    response = client.get(f"{SCANS}/{scan['id']}/measurements.csv")
    assert response.mimetype == "text/csv"
    stem = scan["filename"].partition(".")[0]  # two patients' tables had one name
    assert f"{stem}-measurements.csv" in response.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(response.text)))


@pytest.mark.parametrize("orientation", ["LPS", "RIP", "PSR"])
def test_a_volume_is_measured_in_its_patient(app: Flask, client: FlaskClient, orientation: str) -> None:
    scan, affine, truth = add_volume(app, orientation)
    voxel_ml = math.prod(SPACING_MM) / 1000

    found = measured(client, scan)

    assert (found["spacing_source"], found["glioscope_version"]) == ("file", VERSION)
    assert found["verdict"] == "tumor_detected" and "head_scaled" in found["warnings"]
    assert found["segmentation"] == scan["segmentation"]["id"]
    assert found["volume_ml"] == pytest.approx(truth.sum() * voxel_ml, abs=1e-3)
    areas_mm2 = sum(item["area_mm2"] for item in found["slices"])
    assert areas_mm2 * found["spacing_mm"][0] == pytest.approx(found["volume_mm3"], rel=1e-4)
    (lesion,) = found["lesions"]
    assert (found["lesion_count"], lesion["number"], lesion["voxels"]) == (1, 1, truth.sum())
    assert lesion["volume_ml"] == found["volume_ml"]
    assert lesion["hemisphere"] == "right", "the tumor lies from x = 8 mm on, which is the patient's right"
    assert lesion["center_mm"] == pytest.approx(
        affine[:3, :3] @ np.argwhere(truth).mean(axis=0) + affine[:3, 3], abs=0.01
    )
    # The farthest corners of voxels on the slice with the largest area, by trying all.
    index = lesion["largest_slice"]
    areas = [item["tumor_pixels"] for item in found["slices"]]
    assert areas[index] == max(areas) == lesion["area_pixels"]
    assert lesion["slices"] == [min(np.flatnonzero(areas)), max(np.flatnonzero(areas))]
    with client.get(f"{SCANS}/{scan['id']}/mask.png?slice={index}") as response:
        mask = np.asarray(Image.open(io.BytesIO(response.data))) > 0
    _, row_mm, column_mm = found["spacing_mm"]
    corners = np.concatenate([np.argwhere(mask) + corner for corner in ((0, 0), (0, 1), (1, 0), (1, 1))])
    offsets = (corners[:, None] - corners[None]) * (row_mm, column_mm)
    assert lesion["diameter_mm"] == pytest.approx(np.sqrt((offsets**2).sum(axis=-1)).max(), abs=0.01)
    assert 0 < lesion["perpendicular_mm"] <= lesion["diameter_mm"]
    assert lesion["product_mm2"] == pytest.approx(lesion["diameter_mm"] * lesion["perpendicular_mm"], rel=1e-3)
    assert (lesion["diameter_pixels"], lesion["product_pixels"]) == (None, None)


def test_no_side_is_told_where_the_header_states_none(app: Flask, client: FlaskClient) -> None:
    scan, _, _ = add_volume(app, sform_code=0, qform_code=0)
    (lesion,) = measured(client, scan)["lesions"]
    assert (lesion["hemisphere"], lesion["center_mm"]) == (None, None)
    assert lesion["volume_ml"] > 0


def test_a_single_slice_has_no_distance_of_slices(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    assert enter(client, scan, [None, 0.5, 0.5]).status_code == 200
    found = measured(client, scan)
    assert found["spacing_mm"] == client.get(f"{SCANS}/{scan['id']}").json["spacing_mm"] == [None, 0.5, 0.5]


def test_a_single_slice_of_a_volume_has_areas_and_no_volume(app: Flask, client: FlaskClient) -> None:
    scan, _, truth = add_volume(app, shape=(28, 32, 1))

    found = measured(client, scan)

    (lesion,) = found["lesions"]
    assert found["area_mm2"] == lesion["area_mm2"] == pytest.approx(truth.sum() * 5.0 * 5.5)
    assert [item[name] for item in (found, lesion) for name in ("volume_mm3", "volume_ml")] == [None] * 4
    assert [row["volume_ml"] for row in rows_of(client, scan)] == ["", ""]
    page = client.get(f"/scans/{scan['id']}").text
    assert f"{found['area_mm2']:.1f}&nbsp;mm²" in page and "mm³" not in page and "&nbsp;mL" not in page


def test_without_spacing_lengths_are_in_pixels(app: Flask, client: FlaskClient) -> None:
    scan = add_stack(app)
    found = measured(client, scan)
    (lesion,) = found["lesions"]
    assert (found["spacing_mm"], found["spacing_source"], found["volume_ml"], lesion["volume_ml"]) == (None,) * 4
    assert (lesion["voxels"], lesion["slices"], lesion["largest_slice"], lesion["area_pixels"]) == (48, [1, 2], 1, 24)
    assert lesion["diameter_pixels"] == pytest.approx(math.sqrt(52), abs=0.01)
    # 4 pixels wide, over the cosine 6 / sqrt(52) of a line across the diagonal.
    assert lesion["perpendicular_pixels"] == pytest.approx(4 * math.sqrt(52) / 6, abs=0.01)
    assert (lesion["diameter_mm"], lesion["area_mm2"], lesion["hemisphere"]) == (None, None, None)
    assert lesion["center_pixels"] == [1.5, 12.5, 21.5]
    assert {tuple(point) for point in lesion["diameter_line"]} in (
        {(10.0, 20.0), (16.0, 24.0)},
        {(10.0, 24.0), (16.0, 20.0)},
    )


def test_a_table_has_the_whole_and_each_lesion(app: Flask, client: FlaskClient) -> None:
    scan = add_stack(app)
    assert enter(client, scan, [5, 0.5, 0.5]).status_code == 200
    whole, lesion = rows_of(client, scan)
    assert (whole["lesion"], whole["lesion_count"], whole["voxels"], whole["volume_ml"]) == ("all", "1", "48", "0.06")
    assert (whole["first_slice"], whole["last_slice"], whole["diameter_mm"]) == ("2", "3", "")
    assert (lesion["lesion"], lesion["slice_mm"], lesion["column_mm"]) == ("1", "5", "0.5")
    assert float(lesion["diameter_mm"]) == pytest.approx(math.sqrt(52) / 2, abs=0.01)
    assert (lesion["spacing_source"], lesion["glioscope_version"]) == ("entered", VERSION)

    assert enter(client, scan, [49.9, 15.3, 14.7]).status_code == 200
    whole, lesion = rows_of(client, scan)
    found = measured(client, scan)
    assert float(whole["volume_mm3"]) == float(lesion["volume_mm3"]) == found["volume_mm3"] == 538704.4

    named = finished(app, "=1+1.png")
    assert {row["filename"] for row in rows_of(client, named)} == {"'=1+1.png"}, "no spreadsheet runs it"


def test_what_is_entered_counts_is_marked_and_can_be_taken_away(app: Flask, client: FlaskClient) -> None:
    scan = add_stack(app)
    other = client.post(f"{SCANS}/{scan['id']}/segmentations", json={"threshold": 0.4}).json["id"]

    changed = enter(client, scan, [5, 0.5, 0.5]).json

    assert (changed["spacing_mm"], changed["spacing_source"]) == ([5, 0.5, 0.5], "entered")
    run = changed["segmentation"]
    assert (run["volume_mm3"], run["volume_ml"]) == (60, 0.06)
    assert [item["area_mm2"] for item in run["slices"]] == [0, 6, 6]
    assert "spacing_entered" in {warning["code"] for warning in run["warnings"]}
    assert "Spacing entered" in client.get("/scans").text
    (lesion,) = measured(client, scan)["lesions"]
    assert (lesion["volume_ml"], lesion["area_mm2"]) == (0.06, 6)

    # A run that ends later has it, too; another entry counts at once, for all runs.
    finish(resources_of(app), other)
    assert enter(client, scan, [2.5, 0.5, 0.5]).json["segmentation"]["volume_mm3"] == 30
    runs = client.get(f"{SCANS}/{scan['id']}/segmentations").json["segmentations"]
    assert [run["volume_mm3"] for run in runs] == [30, 30]
    assert measured(client, scan)["volume_ml"] == 0.03

    gone = enter(client, scan, None).json
    assert (gone["spacing_mm"], gone["spacing_source"], gone["segmentation"]["volume_mm3"]) == (None, None, None)
    assert "spacing_entered" not in {warning["code"] for warning in gone["segmentation"]["warnings"]}
    assert measured(client, scan)["lesions"][0]["diameter_mm"] is None


def test_a_run_that_began_before_the_entry_has_it(app: Flask, client: FlaskClient) -> None:
    scan = sent(client)
    resources = resources_of(app)
    claimed = claim_segmentation(resources, scan["segmentation"]["id"])
    assert enter(client, scan, [None, 0.5, 0.5]).status_code == 200
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "claim_segmentation", lambda *_: claimed)
        finish(resources, scan["segmentation"]["id"])
    run = client.get(f"{SCANS}/{scan['id']}").json["segmentation"]
    assert run["area_mm2"] == pytest.approx(run["tumor_pixels"] * 0.25)


def test_entries_that_are_refused(app: Flask, client: FlaskClient) -> None:
    stack = add_stack(app)
    for bad in ([0, 1, 1], [1, 1], [1, 1, 51], [-1, 1, 1], [None, 1, 1], [1, None, 1], ["a", 1, 1], [1e309, 1, 1], 7):
        assert enter(client, stack, bad).status_code == 422, bad
    far = enter(client, stack, [50, 50, 50])
    assert far.status_code == 422 and "would measure" in far.json["message"]
    assert client.patch(f"{SCANS}/{stack['id']}", json={}).status_code == 422
    assert client.patch(f"{SCANS}/{stack['id']}", json={"study": "A", "spacing_mm": None}).status_code == 422
    assert enter(client, {"id": "0" * 32}, [1, 1, 1]).status_code == 404
    assert client.get(f"{SCANS}/{stack['id']}").json["spacing_mm"] is None

    volume, _, _ = add_volume(app)
    for wanted in ([1, 1, 1], None):
        refused = enter(client, volume, wanted)
        assert (refused.status_code, refused.json["code"]) == (409, "wrong_state")


def test_measurements_wait_for_a_result_and_are_in_the_zip(app: Flask, client: FlaskClient) -> None:
    scan = sent(client)
    for name in ("json", "csv"):
        answer = client.get(f"{SCANS}/{scan['id']}/measurements.{name}")
        assert (answer.status_code, answer.json["code"]) == (409, "not_ready")
        assert client.get(f"{SCANS}/{'0' * 32}/measurements.{name}").status_code == 404
    finish(resources_of(app), scan["segmentation"]["id"])
    assert scan["links"]["measurements"] == f"{SCANS}/{scan['id']}/measurements.json"

    with client.get(f"{SCANS}/{scan['id']}/download.zip") as response:
        archive = zipfile.ZipFile(io.BytesIO(response.data))
    assert json.loads(archive.read("measurements.json")) == measured(client, scan)
    assert archive.read("measurements.csv").startswith(b"scan,filename,")

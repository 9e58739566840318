"""POST /api/v1/scans with NIfTI volumes, and what goes back on their files' voxels. Judges: nibabel, SimpleITK."""

import io
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from flask import Flask
from flask.testing import FlaskClient
from numpy.typing import NDArray
from PIL import Image

from tests.support import volume_files
from tests.webapp.clients import NOTHING, SCANS, finish, finished, resources_of, send, sent, traces

SHAPE = (28, 32, 24)
# Different along each axis, so that an exchange of two axes is seen.
SPACING_MM = (5.0, 5.5, 6.0)
OBLIQUE = [(12.0, 0.0, 0.0), (10.0, -20.0, 15.0), (-8.0, 12.0, 35.0)]


def result(app: Flask, voxels: NDArray, affine: NDArray, **options: Any) -> dict[str, Any]:
    """A volume's scan after its job, whose map is brightness."""
    client = app.test_client()
    # Halfway between head and tumor, so that interpolation moves no edge.
    form = {"threshold": str((19 + 169) / 2 / 255)}
    scan = sent(client, "head.nii.gz", volume_files.nifti(voxels, affine, **options), form=form)
    finish(resources_of(app), scan["segmentation"]["id"])
    found: dict[str, Any] = client.get(f"{SCANS}/{scan['id']}").json
    return found


def fetch(client: FlaskClient, scan: dict[str, Any], kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.nii.gz"
    with client.get(scan["links"][f"{kind}_nii"]) as response:
        assert response.status_code == 200
        assert f"head-{kind}.nii.gz" in response.headers["Content-Disposition"]
        path.write_bytes(response.data)
    return path


def check_place(path: Path, affine: NDArray, truth: NDArray[np.bool], least_dice: float = 1.0) -> None:
    """Both judges see the mask where the tumor is, within half a voxel."""
    image = nibabel.load(path)
    mask = np.asarray(image.dataobj)
    assert set(np.unique(mask)) == {0, 1}
    assert mask.shape == truth.shape
    np.testing.assert_allclose(image.affine, affine, atol=1e-4)
    np.testing.assert_allclose(image.header.get_qform(), affine, atol=1e-3)
    np.testing.assert_allclose(image.header.get_sform(), affine, atol=1e-4)
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) >= least_dice
    wanted_mm = middle_mm(affine, truth)
    assert (
        np.abs(middle_mm(image.affine, mask > 0) - wanted_mm).max() < 0.5 * np.linalg.norm(affine[:3, :3], axis=0).min()
    )
    other = SimpleITK.ReadImage(str(path))
    place = np.argwhere(SimpleITK.GetArrayViewFromImage(other) > 0)[:, ::-1].mean(axis=0)
    lps = np.array(other.TransformContinuousIndexToPhysicalPoint(place.tolist()))
    np.testing.assert_allclose(lps * [-1, -1, 1], middle_mm(image.affine, mask > 0), atol=1e-3)


def middle_mm(affine: NDArray, mask: NDArray[np.bool]) -> NDArray:
    return affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]


def test_every_orientation_comes_back_as_it_was(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    looks = set()
    for orientation in volume_files.letters():
        # The same voxels in every order: only names and places of axes change.
        order = [
            next(place for place, pair in enumerate(("LR", "PA", "IS")) if letter in pair) for letter in orientation
        ]
        shape = tuple(SHAPE[axis] for axis in order)
        affine = volume_files.affine_of(orientation, tuple(SPACING_MM[axis] for axis in order), shape)
        scan = result(app, volume_files.head(affine, shape), affine)
        assert scan["geometry"]["orientation"] == orientation == "".join(nibabel.aff2axcodes(affine))
        assert scan["geometry"]["shape"] == list(shape)
        assert (scan["slice_count"], scan["height"], scan["width"]) == (24, 32, 28)
        assert scan["spacing_mm"] == pytest.approx([6.0, 5.5, 5.0])
        check_place(fetch(client, scan, "mask", tmp_path), affine, volume_files.tumor(affine, shape))
        with client.get(scan["links"]["scan"] + "?slice=12") as response:
            looks.add(response.data)
    assert len(looks) == 1, "axial slices look alike whatever the order of the file"


def test_axial_slices_are_seen_from_the_feet(app: Flask, client: FlaskClient) -> None:
    affine = volume_files.affine_of("RAS", SPACING_MM, SHAPE)
    voxels = volume_files.head(affine, SHAPE)
    voxels[voxels == volume_files.TUMOR] = volume_files.HEAD
    voxels[24:, 26:, 20:] = volume_files.TUMOR  # right, in front, near the crown
    scan = result(app, voxels, affine)
    assert [item["index"] for item in scan["segmentation"]["slices"] if item["tumor_pixels"]] == [20, 21, 22, 23]
    with client.get(scan["links"]["mask"]) as response:
        mask = np.asarray(Image.open(io.BytesIO(response.data)))
    assert mask[:6, :4].all() and mask.sum() == 255 * 24, "the front is above, the patient's right at the left"


@pytest.mark.parametrize("degrees", OBLIQUE)
def test_an_oblique_volume_keeps_its_voxels(
    app: Flask, client: FlaskClient, tmp_path: Path, degrees: tuple[float, float, float]
) -> None:
    affine = volume_files.oblique(degrees, SPACING_MM, SHAPE)
    scan = result(app, volume_files.head(affine, SHAPE), affine)
    # Pieces of fewer than four pixels of a slice are no tumor by the model's rule.
    check_place(fetch(client, scan, "mask", tmp_path), affine, volume_files.tumor(affine, SHAPE), least_dice=0.98)
    codes = {warning["code"] for warning in scan["segmentation"]["warnings"]}
    assert ("oblique" in codes) == (max(abs(degrees[0]), abs(degrees[1])) > 15)


@pytest.mark.parametrize("orientation", ["ASL", "PIR", "LSA", "RIP"])
def test_thick_sagittal_and_coronal_slices_become_axial_ones(
    app: Flask, client: FlaskClient, tmp_path: Path, orientation: str
) -> None:
    shape = (150, 140, 26)
    affine = volume_files.affine_of(orientation, (1.1, 1.1, 6.0), shape)
    truth = volume_files.tumor(affine, shape)
    scan = result(app, volume_files.head(affine, shape), affine)
    assert "resampled" in {warning["code"] for warning in scan["segmentation"]["warnings"]}
    rows_mm, columns_mm = scan["spacing_mm"][1:]
    assert rows_mm == pytest.approx(columns_mm, rel=0.02)
    check_place(fetch(client, scan, "mask", tmp_path), affine, truth, least_dice=0.93)
    volume_mm3 = truth.sum() * 1.1 * 1.1 * 6.0
    assert scan["segmentation"]["volume_mm3"] == pytest.approx(volume_mm3, rel=0.1)


def test_volume_and_areas_have_units(app: Flask, client: FlaskClient) -> None:
    affine = volume_files.affine_of("LPS", SPACING_MM, SHAPE)
    run = result(app, volume_files.head(affine, SHAPE), affine)["segmentation"]
    voxels = int(volume_files.tumor(affine, SHAPE).sum())
    assert run["tumor_pixels"] == voxels
    assert run["volume_mm3"] == pytest.approx(voxels * 165.0)
    assert run["volume_ml"] == pytest.approx(voxels * 0.165)
    assert [item["area_mm2"] for item in run["slices"]] == [item["tumor_pixels"] * 27.5 for item in run["slices"]]
    assert "mL" in client.get(f"/scans/{run['scan_id']}").text

    picture = finished(app)["segmentation"]
    assert (picture["volume_ml"], picture["slices"][0]["area_mm2"]) == (None, None)


def test_map_and_scan_come_back_too(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    affine = volume_files.affine_of("ARI", SPACING_MM, SHAPE)
    voxels = volume_files.head(affine, SHAPE)
    scan = result(app, voxels, affine)
    probability = np.asarray(nibabel.load(fetch(client, scan, "probability", tmp_path)).dataobj)
    stored = np.asarray(nibabel.load(fetch(client, scan, "scan", tmp_path)).dataobj)
    assert stored.dtype == np.uint8
    np.testing.assert_allclose(probability, stored / 255, atol=1e-6)
    order = [np.unique(stored[voxels == value]) for value in (0, volume_files.HEAD, volume_files.TUMOR)]
    assert [len(values) for values in order] == [1, 1, 1]
    assert order[0] < order[1] < order[2] == 169


def test_a_picture_has_no_geometry(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    assert scan["geometry"] is None
    assert "mask_nii" not in scan["links"]
    response = client.get(f"{SCANS}/{scan['id']}/mask.nii.gz")
    assert (response.status_code, response.json["code"]) == (409, "no_geometry")


def test_a_volume_without_a_result_is_not_ready(client: FlaskClient) -> None:
    affine = volume_files.affine_of("LPS", SPACING_MM, SHAPE)
    scan = sent(client, "head.nii", volume_files.nifti(volume_files.head(affine, SHAPE), affine, is_packed=False))
    response = client.get(scan["links"]["mask_nii"])
    assert (response.status_code, response.json["code"]) == (409, "not_ready")


@pytest.mark.parametrize("name", ["head.nii", "head.nii.gz"])
def test_plain_bytes_called_nifti_are_unreadable(app: Flask, client: FlaskClient, name: str) -> None:
    response = send(client, (name, b"plain bytes of some text"))
    assert (response.status_code, response.json["code"]) == (422, "unreadable")
    assert "NIfTI" in response.json["message"]
    assert traces(app) == NOTHING


def test_volumes_of_numbered_names_are_no_slices(app: Flask, client: FlaskClient) -> None:
    affine = volume_files.affine_of("LPS", SPACING_MM, SHAPE)
    files = [(f"head_{k}.nii", volume_files.nifti(volume_files.head(affine, SHAPE), affine)) for k in (1, 2)]
    first, second = send(client, *files, form={"group": "auto"}).json["scans"]
    assert first["geometry"] == second["geometry"] != None  # noqa: E711
    finish(resources_of(app), second["segmentation"]["id"])
    with client.get(second["links"]["mask_nii"]) as response:
        assert response.status_code == 200


def test_of_several_volumes_one_is_chosen_by_its_number(app: Flask, client: FlaskClient) -> None:
    affine = volume_files.affine_of("LPS", SPACING_MM, SHAPE)
    head = volume_files.head(affine, SHAPE)
    without = np.where(head == volume_files.TUMOR, volume_files.HEAD, head)
    form = {"threshold": str((19 + 169) / 2 / 255)}
    tumors = {}
    for is_packed in (True, False):
        data = volume_files.nifti(np.stack([without, head, without], axis=3), affine, is_packed=is_packed)
        refused = send(client, ("fmri.nii.gz", data))
        assert refused.status_code == 422
        assert "from 1 to 3" in refused.json["message"] and "(28 x 32 x 24 x 3)" in refused.json["message"]
        for volume in (1, 2, 3):
            scan = sent(client, "fmri.nii.gz", data, form={**form, "volume": str(volume)})
            finish(resources_of(app), scan["segmentation"]["id"])
            found = client.get(f"{SCANS}/{scan['id']}").json
            assert found["filename"] == f"fmri, volume {volume}.nii.gz"
            assert "volume_chosen" in {warning["code"] for warning in found["segmentation"]["warnings"]}
            tumors[is_packed, volume] = found["segmentation"]["volume_ml"]
        beyond = send(client, ("fmri.nii.gz", data), form={"volume": "4"})
        assert beyond.status_code == 422 and "the file has 3" in beyond.json["message"]
    expected = pytest.approx(int((head == volume_files.TUMOR).sum()) * 0.165)
    assert tumors[True, 2] == tumors[False, 2] == expected
    assert tumors[True, 1] == tumors[True, 3] == tumors[False, 3] != expected
    assert send(client, ("fmri.nii.gz", data), form={"volume": "0"}).status_code == 422
    plain = sent(client, "a.nii.gz", volume_files.nifti(head, affine), form={"volume": "1"})
    assert (plain["filename"], plain["slice_count"]) == ("a.nii.gz", 24)

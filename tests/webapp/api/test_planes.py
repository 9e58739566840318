"""The planes of a stack: pictures with true sides and aspect, and voxels for the viewer. Judge: nibabel's RAS order."""

import gzip
import html
import io
import re
from typing import Any

import nibabel
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from ml.synthetic import phantoms
from ml.volumes import planes
from ml.volumes.grid import VolumeGrid
from tests.support import volume_files
from tests.webapp.clients import SCANS, finish, finished, resources_of, send, sent
from webapp.domain.scans import voxels as stored_voxels

SHAPE = (28, 32, 24)
SPACING_MM = (5.0, 5.5, 6.0)
THRESHOLD = (19 + 169) / 2 / 255


def add_volume(app: Flask, orientation: str) -> tuple[dict[str, Any], nibabel.Nifti1Image]:
    affine = volume_files.affine_of(orientation, SPACING_MM, SHAPE)
    voxels = volume_files.head(affine, SHAPE)
    scan = sent(
        app.test_client(), "head.nii.gz", volume_files.nifti(voxels, affine), form={"threshold": f"{THRESHOLD}"}
    )
    finish(resources_of(app), scan["segmentation"]["id"])
    tumor = volume_files.tumor(affine, SHAPE).astype(np.uint8)
    return scan, nibabel.as_closest_canonical(nibabel.Nifti1Image(tumor, affine))


def plane(client: FlaskClient, scan: dict[str, Any], query: str) -> np.ndarray:
    with client.get(f"{SCANS}/{scan['id']}/plane.png?{query}") as response:
        assert response.status_code == 200, response.json
        return np.asarray(Image.open(io.BytesIO(response.data)))


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PSR", "ASL", "IRP"])
def test_planes_show_the_patients_sides_at_true_aspect(app: Flask, orientation: str) -> None:
    scan, judge = add_volume(app, orientation)
    client, right = app.test_client(), np.asarray(judge.dataobj)  # x to the right, y to the front, z to the head
    wide, deep, tall = judge.header.get_zooms()
    pictures = {
        "axial": (right[::-1, ::-1].transpose(2, 1, 0), deep, wide),  # from the feet: rows to the back, columns left
        "coronal": (right[::-1, ::-1, ::-1].transpose(1, 2, 0), tall, wide),
        "sagittal": (right[::-1, ::-1, ::-1].transpose(0, 2, 1), tall, deep),
    }

    for axis, (wanted, row_mm, column_mm) in pictures.items():
        index = int(wanted.sum(axis=(1, 2)).argmax())
        found = plane(client, scan, f"axis={axis}&index={index}&layer=mask")
        height, width = wanted.shape[1] * row_mm, wanted.shape[2] * column_mm
        assert found.shape[1] / found.shape[0] == pytest.approx(width / height, rel=0.03)
        size = (found.shape[1], found.shape[0])
        enlarged = np.asarray(Image.fromarray(wanted[index] * np.uint8(255)).resize(size, Image.Resampling.NEAREST))
        assert np.array_equal(found, enlarged)
        for layer in ("scan", "overlay", "heatmap"):
            assert plane(client, scan, f"axis={axis}&index={index}&layer={layer}").shape == (*found.shape, 3)


def test_a_plane_of_another_threshold_has_another_mask(app: Flask) -> None:
    scan, _ = add_volume(app, "LPS")
    client = app.test_client()

    head = plane(client, scan, "axis=sagittal&index=14&layer=mask&threshold=0.05")
    tumor = plane(client, scan, f"axis=sagittal&index=14&layer=mask&threshold={THRESHOLD}")

    assert (head > 0).sum() > 4 * (tumor > 0).sum()
    assert np.array_equal(tumor, plane(client, scan, "axis=sagittal&index=14&layer=mask"))


@pytest.mark.parametrize(("axis", "index"), [("axial", 0), ("coronal", 20)])
def test_thresholds_that_are_nearly_equal_have_masks_of_their_own(client: FlaskClient, axis: str, index: int) -> None:
    """A browser that has the one is not told that it has the other, and the memory of pictures tells them apart."""
    pixels = np.full((48, 64), 20, np.uint8)
    pixels[8:40, 8:56] = 51  # p is 0.2
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    files = [(f"head_{number}.png", file.getvalue()) for number in (1, 2)]
    [scan] = send(client, *files, form={"group": "auto", "threshold": "0.2"}).json["scans"]
    finish(resources_of(client.application), scan["segmentation"]["id"])

    above = plane(client, scan, f"axis={axis}&index={index}&layer=mask&threshold=0.2000001")
    assert not above.any()
    assert plane(client, scan, f"axis={axis}&index={index}&layer=mask").any()


def test_what_is_no_plane_is_refused_by_name(app: Flask) -> None:
    scan, _ = add_volume(app, "LPS")
    client = app.test_client()
    single = finished(app)

    def answer(query: str, of: dict[str, Any] = scan) -> tuple[int, str]:
        response = client.get(f"{SCANS}/{of['id']}/plane.png?{query}")
        return response.status_code, response.json["code"]

    assert answer("axis=coronal&index=32") == (404, "not_found")
    assert answer("axis=oblique") == answer("index=1") == answer("axis=axial&index=-1") == (422, "invalid")
    assert answer("axis=axial&threshold=2") == (422, "invalid")
    assert answer("axis=axial", single) == (409, "wrong_state")
    assert client.get(f"{SCANS}/{single['id']}/voxels.bin").json["code"] == "wrong_state"
    assert client.get(f"{SCANS}/{scan['id']}/voxels.bin?content=truth").json["code"] == "not_found"
    waiting = sent(client, "stack.tif", phantoms.render("stack"))
    assert answer("axis=axial", waiting) == (409, "not_ready")
    assert plane(client, waiting, "axis=coronal&layer=scan").shape[1] == waiting["width"]  # of cubes, in the middle


def test_a_browser_that_has_a_plane_or_voxels_is_told_so(app: Flask) -> None:
    scan, _ = add_volume(app, "LPS")
    client = app.test_client()
    for path in ("plane.png?axis=coronal&index=3", "voxels.bin?content=probability"):
        url = f"{SCANS}/{scan['id']}/{path}"
        etag = client.get(url).headers["ETag"]
        assert client.get(url, headers={"If-None-Match": etag}).status_code == 304
        assert client.head(url).data == b""


def test_voxels_are_those_of_the_stack(app: Flask) -> None:
    scan, judge = add_volume(app, "PSR")
    client = app.test_client()
    wanted = np.asarray(judge.dataobj)[::-1, ::-1].transpose(2, 1, 0)  # slices, rows, columns

    packed = client.get(f"{SCANS}/{scan['id']}/voxels.bin?content=probability", headers={"Accept-Encoding": "gzip"})
    plain = client.get(f"{SCANS}/{scan['id']}/voxels.bin?content=probability")

    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert plain.headers["Voxels-Shape"] == ",".join(map(str, wanted.shape))
    voxels = np.frombuffer(plain.data, np.uint8).reshape(wanted.shape)
    assert np.array_equal(voxels >= 255 * THRESHOLD, wanted > 0)


def test_large_stacks_are_reduced(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    scan, _ = add_volume(app, "LPS")
    monkeypatch.setattr(stored_voxels, "MOST_VOXELS", 6000)  # of 21,504

    response = app.test_client().get(f"{SCANS}/{scan['id']}/voxels.bin")

    assert response.headers["Voxels-Reduction"] == "1,2,2"
    assert response.headers["Voxels-Shape"] == "24,16,14"
    assert len(response.data) == 24 * 16 * 14


@pytest.mark.parametrize("turn", [None, (12.0, 0.0, 0.0), (-8.0, 12.0, 35.0)])
@pytest.mark.parametrize("orientation", ["LPS", "PSR", "IAR"])
def test_the_affine_of_a_stack_leads_to_the_files_millimeters(orientation: str, turn: tuple | None) -> None:
    """Corners of the stack's box are corners of the file's, also where the stack has other voxels."""
    shape = (20, 30, 12)
    affine = volume_files.affine_of(orientation, SPACING_MM, shape)
    if turn:
        affine = volume_files.oblique(turn, SPACING_MM, shape)
    grid = VolumeGrid.of(affine, shape)
    own = grid.axial_shape
    halved = (own[0], own[1] * 2, own[2] * 3)

    for wanted in (own, halved):
        found = np.array(planes.stack_affine(grid, wanted))
        corners = found @ np.array([[-0.5, -0.5, -0.5, 1], [*(np.array(wanted) - 0.5), 1]]).T
        index = (np.linalg.inv(affine) @ corners)[:3].T + 0.5  # 0 or the size, whichever way the axis is turned
        assert np.allclose(np.sort(index, axis=0), [[0, 0, 0], shape])
        factors = (1, 2, 2)
        small = np.array(planes.reduced_affine(planes.stack_affine(grid, wanted), factors))
        assert np.allclose(small @ [3, 0, 0, 1], found @ [3, 0.5, 0.5, 1])


def test_letters_of_oblique_planes_name_both_axes() -> None:
    grid = VolumeGrid.of(volume_files.oblique((0.0, 0.0, 30.0), (1.0, 1.0, 1.0), SHAPE), SHAPE)
    straight = VolumeGrid.of(volume_files.affine_of("RAS", (1.0, 1.0, 1.0), SHAPE), SHAPE)

    letters = planes.edges(planes.stack_affine(straight, straight.axial_shape), planes.Axis.CORONAL)
    oblique = planes.edges(planes.stack_affine(grid, grid.axial_shape), planes.Axis.AXIAL)

    assert (letters.left, letters.right, letters.top, letters.bottom) == ("R", "L", "S", "I")
    assert (oblique.left, oblique.right) == ("RA", "LP")


def test_a_run_that_was_asked_for_stays_between_slices_and_planes(app: Flask) -> None:
    """Without scripts the link to the planes led to the run that is displayed."""
    scan, _ = add_volume(app, "LPS")
    client, run = app.test_client(), scan["segmentation"]["id"]
    client.post(f"{SCANS}/{scan['id']}/segmentations", json={"threshold": 0.9})
    for view in ("slices", "planes"):
        page = html.unescape(client.get(f"/scans/{scan['id']}?segmentation={run}&view={view}").text)
        links = re.findall(r'<a href="(\?[^"]*)">(?:Slices alone|Axial, coronal and sagittal planes)<', page)
        assert len(links) == 1 and links[0].endswith(f"&segmentation={run}"), (view, links)

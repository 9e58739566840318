"""An expert's mask as NIfTI: placed on a scan by the positions that both files state."""

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from flask import Flask
from flask.testing import FlaskClient
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray

from tests.support import dicom_files, volume_files
from tests.webapp.api.test_truth import put
from tests.webapp.clients import SCANS, finish, finished, resources_of, send, traces

SHAPE = (28, 32, 24)
AFFINE = volume_files.affine_of("LPS", (5.0, 5.5, 6.0), SHAPE)
TUMOR = volume_files.tumor(AFFINE, SHAPE)
THICK = (150, 140, 26)
# Halfway between head and tumor, so that interpolation moves no edge.
FORM = {"threshold": str((19 + 169) / 2 / 255)}


def done(app: Flask, *files: tuple[str, bytes]) -> dict[str, Any]:
    """The one scan that files are, after its job, whose map is brightness."""
    client = app.test_client()
    response = send(client, *files, form=FORM)
    assert response.status_code == 202, response.json
    assert response.json["rejected"] == []
    [scan] = response.json["scans"]
    finish(resources_of(app), scan["segmentation"]["id"])
    found: dict[str, Any] = client.get(f"{SCANS}/{scan['id']}").json
    return found


def volume(affine: NDArray = AFFINE, shape: tuple[int, int, int] = SHAPE) -> bytes:
    return volume_files.nifti(volume_files.head(affine, shape), affine)


def labels(values: NDArray = TUMOR, affine: NDArray = AFFINE, dtype: str = "uint8", **options: Any) -> bytes:
    return volume_files.nifti(values.astype(dtype), affine, **options)


def codes(scan: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in scan["truth"]["findings"]]


@pytest.mark.parametrize(
    ("affine", "shape"),
    [
        (AFFINE, SHAPE),
        (volume_files.affine_of("RIP", (5.0, 5.5, 6.0), SHAPE), SHAPE),
        (volume_files.affine_of("ASL", (1.1, 1.1, 6.0), THICK), THICK),
        (volume_files.affine_of("LSA", (1.1, 1.1, 6.0), THICK), THICK),
        (volume_files.oblique((10.0, -20.0, 15.0), (5.0, 5.5, 6.0), SHAPE), SHAPE),
    ],
    ids=["axial", "turned", "sagittal", "coronal", "oblique"],
)
def test_our_own_mask_put_back_agrees_wholly(
    app: Flask, client: FlaskClient, affine: NDArray, shape: tuple[int, int, int]
) -> None:
    scan = done(app, ("head.nii.gz", volume(affine, shape)))
    with client.get(scan["links"]["mask_nii"]) as response:
        mask = response.data
    answer = put(client, scan, ("mask.nii.gz", mask))
    assert answer.status_code == 200, answer.json
    assert answer.json["agreement"]["dice"] == 1.0
    drawn = np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(mask)).dataobj)
    assert answer.json["agreement"]["truth_pixels"] == drawn.sum() > 100
    assert answer.json["truth"]["filename"] == "mask.nii.gz"
    assert codes(answer.json) == (["mask_resampled"] if shape == THICK else [])
    for item in answer.json["agreement"]["slices"]:
        assert item["dice"] is None or item["dice"] > 0.8  # of slices that were made, each voxel is its nearest one's


@pytest.mark.parametrize("name", ["head_mask.nii.gz", "head-seg.nii.gz", "HEAD_seg.nii", "masks/head.nii.gz"])
def test_a_mask_beside_its_volume_is_its_truth(app: Flask, client: FlaskClient, name: str) -> None:
    scan = done(app, ("head.nii.gz", volume()), (name, labels(is_packed=name.endswith("gz"))))
    assert scan["filename"] == "head.nii.gz"
    assert (scan["agreement"]["dice"], codes(scan)) == (1.0, [])
    assert scan["agreement"]["truth_pixels"] == TUMOR.sum()


def test_brats_names_give_the_mask_to_the_flair(app: Flask, client: FlaskClient) -> None:
    files = [(f"p/B-1-{kind}.nii.gz", volume()) for kind in ("t1n", "t2f")]
    scans = send(client, *files, ("p/B-1-seg.nii.gz", labels(TUMOR * 4))).json["scans"]
    assert {scan["filename"]: scan["truth"] is not None for scan in scans} == {
        "B-1-t1n.nii.gz": False,
        "B-1-t2f.nii.gz": True,
    }


def test_the_order_of_axes_and_a_crop_change_nothing(app: Flask, client: FlaskClient) -> None:
    scan = done(app, ("head.nii.gz", volume()))
    image = nibabel.Nifti1Image(TUMOR.astype(np.int16) * 2, AFFINE)
    turned = image.as_reoriented(ornt_transform(io_orientation(AFFINE), axcodes2ornt("SAR")))
    for mask in (turned, image.slicer[4:, 3:30, 2:22]):
        found = put(client, scan, ("expert.nii", mask.to_bytes())).json
        assert (found["agreement"]["dice"], codes(found)) == (1.0, [])


# What programs write that know of no position: nibabel without affine, with an identity, and SimpleITK of an array.
UNPLACED = {"none": None, "identity": np.eye(4), "array": np.diag((-1.0, -1.0, 1.0, 1.0))}


@pytest.mark.parametrize("kind", UNPLACED)
def test_a_mask_without_position_is_not_laid_on_a_scan_that_has_one(app: Flask, client: FlaskClient, kind: str) -> None:
    """It was laid where the header's defaults are: Dice 0.3 for 1.0, by "the positions that both files state"."""
    scan = done(app, ("head.nii.gz", volume()))
    answer = put(client, scan, ("expert.nii.gz", labels(affine=UNPLACED[kind])))
    assert answer.status_code == 422
    assert "The header of the mask does not say where in the patient it lies" in answer.json["message"]
    assert "`Nifti1Image(voxels, other.affine)`" in answer.json["message"]


@pytest.mark.parametrize("kind", UNPLACED)
def test_nor_is_a_mask_with_a_position_laid_on_a_scan_without(app: Flask, client: FlaskClient, kind: str) -> None:
    scan = done(app, ("head.nii.gz", volume_files.nifti(volume_files.head(AFFINE, SHAPE), UNPLACED[kind])))
    answer = put(client, scan, ("expert.nii.gz", labels()))
    assert answer.status_code == 422
    assert "The header of the scan does not say where in the patient it lies" in answer.json["message"]
    of_one_program = put(client, scan, ("expert.nii.gz", labels(affine=UNPLACED[kind])))
    assert of_one_program.status_code == 200, "where both say nothing, one program wrote both"
    assert of_one_program.json["agreement"]["truth_pixels"] == TUMOR.sum()


def test_a_mask_on_coarser_slices_is_said(app: Flask, client: FlaskClient) -> None:
    """Lesions of a voxel were lost on slices of 0.9 mm, made of voxels of 0.5 mm, without a word, and the figures with
    them."""
    shape = (180, 160, 26)
    affine = volume_files.affine_of("ASL", (0.5, 0.5, 6.0), shape)
    scan = done(app, ("head.nii.gz", volume(affine, shape)))
    specks = np.zeros(shape, np.uint8)
    specks[60:120:7, 60:100:7, 4:20:3] = 1
    found = put(client, scan, ("expert.nii", labels(specks, affine))).json
    assert codes(found) == ["mask_resampled"]
    slices = found["agreement"]["slices"]
    assert sum(item["truth_pixels"] > 0 for item in slices) > 0, "of the stack's slices some have specks"
    # Of the whole scan every voxel counts that was drawn.
    assert found["agreement"]["truth_pixels"] == specks.sum()
    with client.get(scan["links"]["mask_nii"]) as response:
        own = response.data
    again = put(client, scan, ("mask.nii.gz", own)).json
    assert again["agreement"]["dice"] == 1.0
    kept = [key for key in traces(app).files if "truth" in key]
    assert len(kept) == 2, "the earlier mask's arrays are gone"
    assert client.delete(f"{SCANS}/{scan['id']}/truth").status_code == 204
    assert not [key for key in traces(app).files if "truth" in key]


def test_a_mask_that_ends_within_its_tumor_is_said(app: Flask, client: FlaskClient) -> None:
    scan = done(app, ("head.nii.gz", volume()))
    image = nibabel.Nifti1Image(TUMOR.astype(np.uint8), AFFINE)
    places = np.nonzero(TUMOR)
    middle = int(np.median(places[2]))
    tight = image.slicer[tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in places)]
    for mask, said in (
        (image.slicer[:, :, :middle], ["mask_cut_off"]),
        (image.slicer[:, :, middle : middle + 1], ["mask_cut_off"]),
        (tight, []),
    ):
        found = put(client, scan, ("expert.nii", mask.to_bytes())).json
        assert codes(found) == said
    assert found["agreement"]["dice"] == 1.0


def test_another_grid_is_placed_by_its_affine_and_said(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    scan = done(app, ("head.nii.gz", volume()))
    shape = (100, 100, 90)
    fine = volume_files.oblique((3.0, -5.0, 8.0), (1.7, 1.9, 1.8), shape)
    mask = labels(volume_files.tumor(fine, shape), fine)
    (tmp_path / "mask.nii.gz").write_bytes(mask)
    (tmp_path / "head.nii.gz").write_bytes(volume())
    images = [SimpleITK.ReadImage(str(tmp_path / f"{name}.nii.gz")) for name in ("mask", "head")]
    judged = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(*images, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)
    )
    found = put(client, scan, ("expert.nii.gz", mask)).json
    assert found["agreement"]["truth_pixels"] == judged.sum()
    for index, item in enumerate(found["agreement"]["slices"]):
        assert item["truth_pixels"] == judged[index].sum()
    assert codes(found) == ["mask_on_another_grid"]


def test_a_series_takes_a_mask_as_nifti(app: Flask, client: FlaskClient) -> None:
    files = dicom_files.series(volume_files.head(AFFINE, SHAPE, "uint16"), AFFINE)
    scan = done(app, *((f"s/{k}.dcm", data) for k, data in enumerate(files)))
    found = put(client, scan, ("expert.nii.gz", labels())).json
    assert (found["agreement"]["dice"], codes(found)) == (1.0, [])


def moved(millimeters: float) -> NDArray:
    affine = AFFINE.copy()
    affine[0, 3] += millimeters
    return affine


NAN = TUMOR.astype(np.float32)
NAN[0, 0, 0] = np.nan
REFUSED = {
    "elsewhere": (labels(affine=moved(400)), "0% lies inside the scan"),
    "half outside": (labels(affine=moved(-95)), "inside the scan"),
    "empty and elsewhere": (labels(TUMOR & False, moved(400)), "elsewhere than its scan"),
    "several volumes": (labels(np.repeat(TUMOR[..., None], 2, axis=3)), "holds 2 volumes (4-D)"),
    "a singular affine": (labels(sform_code=1, srow_x=[0, 0, 0, 0]), "mm"),
    "NaN": (labels(NAN, dtype="float32"), "NaN"),
    "cut": (labels()[:-40], "cut"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_mask_that_does_not_lie_on_the_scan_is_refused(app: Flask, client: FlaskClient, name: str) -> None:
    [scan] = send(client, ("head.nii.gz", volume())).json["scans"]
    data, said = REFUSED[name]
    answer = put(client, scan, ("expert.nii.gz", data))
    assert answer.status_code == 422
    assert said in answer.json["message"] and answer.json["message"].endswith(".")
    assert client.get(f"{SCANS}/{scan['id']}").json["truth"] is None
    assert not [name for name in traces(app).files if "truth." in name]


def test_fractions_are_said_and_negative_labels_are_none(app: Flask, client: FlaskClient) -> None:
    scan = done(app, ("head.nii.gz", volume()))
    values = np.where(TUMOR, 0.4, -1.0)
    found = put(client, scan, ("expert.nii.gz", labels(values, dtype="float32"))).json
    assert (found["agreement"]["dice"], codes(found)) == (1.0, ["non_binary_mask"])
    empty = put(client, scan, ("expert.nii.gz", labels(TUMOR & False))).json
    assert empty["agreement"]["truth_pixels"] == 0


def test_a_picture_takes_no_volume(app: Flask, client: FlaskClient) -> None:
    answer = put(client, finished(app), ("expert.nii.gz", labels()))
    assert answer.status_code == 422
    assert "no place in the patient" in answer.json["message"]


@pytest.mark.data
def test_the_fusion_lies_on_its_atlas_and_not_on_the_scanners_flair(
    app: Flask, client: FlaskClient, real_data: Path
) -> None:
    folder = real_data / "volumes" / "TCGA-FG-6692"
    fusion = (folder / "tumor-fusion-atlas.nii.gz").read_bytes()
    atlas = done(app, ("atlas.nii.gz", (folder / "flair-atlas-skull-stripped.nii.gz").read_bytes()))
    found = put(client, atlas, ("fusion.nii.gz", fusion)).json
    assert (found["agreement"]["truth_pixels"], codes(found)) == (30179, [])
    native = done(app, ("flair.nii.gz", (folder / "flair.nii.gz").read_bytes()))
    answer = put(client, native, ("fusion.nii.gz", fusion))
    assert (answer.status_code, answer.json["code"]) == (422, "unreadable")


def test_masks_that_are_none_of_this_patient_are_named(app: Flask, client: FlaskClient) -> None:
    scan = done(app, ("head.nii.gz", volume()))
    corner = np.zeros(SHAPE, np.uint8)
    corner[:3, :3] = 1
    answer = put(client, scan, ("seg.nii.gz", labels(corner))).json
    assert "mask_mostly_outside" in [finding["code"] for finding in answer["truth"]["findings"]], answer
    assert "hardly overlap" in answer["agreement"]["caveat"]
    noise = np.random.default_rng(3).integers(1, 900, SHAPE) * (volume_files.head(AFFINE, SHAPE) > 0)
    for values in (noise.astype("int16"), noise / 7.0):
        picture = put(client, scan, ("t1.nii.gz", volume_files.nifti(values.astype("float32"), AFFINE)))
        assert (picture.status_code, picture.json["code"]) == (422, "unreadable")
        assert "as an MR image has" in picture.json["message"]

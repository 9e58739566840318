"""PUT /api/v1/scans/{id}/sequences: T1, FLAIR and T1 with contrast become the channels of one scan, on FLAIR's grid."""

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from numpy.typing import NDArray
from sqlalchemy import update

from tests.support import dicom_files, volume_files
from tests.support.resources import png_bytes
from tests.webapp.clients import SCANS, finish, resources_of, send, sent, token, traces
from webapp.domain.scans import joining
from webapp.domain.scans.models import Scan
from webapp.domain.storage.arrays import read_array
from webapp.domain.storage.keys import stack_key

# FLAIR, and T1 with other voxels in another order of axes: the same head lies in both at the same millimeters.
FLAIR_SHAPE, T1_SHAPE = (28, 32, 24), (34, 26, 30)
FLAIR_AFFINE = volume_files.affine_of("LPS", (5.0, 5.5, 6.0), FLAIR_SHAPE)
T1_AFFINE = volume_files.affine_of("PIR", (5.2, 6.5, 5.0), T1_SHAPE)
FLAIR = volume_files.head(FLAIR_AFFINE, FLAIR_SHAPE)
T1 = volume_files.head(T1_AFFINE, T1_SHAPE)


def volume(client: FlaskClient, name: str, voxels: NDArray, affine: NDArray, **form: str) -> dict[str, Any]:
    scan: dict[str, Any] = sent(client, name, volume_files.nifti(voxels, affine), form=form)
    return scan


def join(client: FlaskClient, scan: dict[str, Any], **parts: str | None) -> Any:
    return client.put(f"{SCANS}/{scan['id']}/sequences", json=parts)


def codes(scan: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in scan["segmentation"]["warnings"]]


def content(client: FlaskClient, link: str) -> bytes:
    with client.get(link) as response:
        assert response.status_code == 200
        data: bytes = response.data
        return data


def stack_of(app: Flask, scan: dict[str, Any]) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = np.array(read_array(resources_of(app).storage, stack_key(scan["id"])))
    return found


@pytest.mark.parametrize("lacking", ["flair", "t1"])
def test_a_volume_without_position_is_not_laid_on_one_that_has_it(client: FlaskClient, lacking: str) -> None:
    flair = volume(client, "flair.nii.gz", FLAIR, None if lacking == "flair" else FLAIR_AFFINE)
    t1 = volume(client, "t1.nii.gz", T1, np.eye(4) if lacking == "t1" else T1_AFFINE)
    response = join(client, flair, flair=flair["id"], t1=t1["id"])
    assert response.status_code == 422
    name = {"flair": "FLAIR", "t1": "T1"}[lacking]
    assert response.json["message"].startswith(f"The header of {name} does not say where in the patient")


@pytest.mark.parametrize("empty", ["flair", "t1", "t1_post"])
def test_an_empty_id_is_no_sequence_left_out(client: FlaskClient, empty: str) -> None:
    """FLAIR's was a KeyError, and another's went unseen."""
    flair = volume(client, "flair.nii.gz", FLAIR, FLAIR_AFFINE)
    t1 = volume(client, "t1.nii.gz", T1, T1_AFFINE)
    response = join(client, flair, **{"flair": flair["id"], "t1": t1["id"], empty: ""})
    assert response.status_code == 422
    assert response.json["message"].startswith(f"{empty}: It must be a scan's id")


def test_three_volumes_become_channels_on_the_grid_of_flair(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    flair = volume(client, "flair.nii.gz", FLAIR, FLAIR_AFFINE, study="A head", threshold="0.31")
    t1 = volume(client, "t1.nii.gz", T1, T1_AFFINE)
    post = volume(client, "t1ce.nii.gz", 3 * T1, T1_AFFINE)
    response = join(client, t1, flair=flair["id"], t1=t1["id"], t1_post=post["id"])
    assert response.status_code == 202
    scan = response.json
    assert (scan["filename"], scan["format"], scan["study"]["name"]) == ("flair + t1 + t1ce", "joined", "A head")
    assert (scan["geometry"], scan["spacing_mm"]) == (flair["geometry"], flair["spacing_mm"])
    assert [(part["sequence"], part["id"]) for part in scan["parts"]] == [
        ("flair", flair["id"]), ("t1", t1["id"]), ("t1_post", post["id"]),
    ]  # fmt: skip
    assert scan["sequence"] is None and scan["segmentation"]["status"] == "queued"
    assert [scan["segmentation"][name] for name in ("model", "threshold")] == [flair["segmentation"]["model"], 0.31]
    assert codes(scan) == ["head_scaled", "sequences_joined", "frames_unknown"]

    stack, own = stack_of(app, scan), stack_of(app, flair)
    np.testing.assert_array_equal(stack[..., 1], own[..., 1])
    np.testing.assert_array_equal(stack[..., 0], stack[..., 2])  # intensities are scaled by the head of each
    assert not (stack[..., 0] == stack[..., 1]).all(), "interpolated"
    for channel in (0, 2):  # heads and tumors lie on each other, to half a voxel at their edges
        for level in (9, 94):
            one, other = stack[..., channel] > level, stack[..., 1] > level
            assert 2 * (one & other).sum() / (one.sum() + other.sum()) > (0.94 if level == 9 else 0.8)

    finish(resources_of(app), scan["segmentation"]["id"])
    scan = client.get(f"{SCANS}/{scan['id']}").json
    for kind in ("mask", "scan"):
        (tmp_path / kind).with_suffix(".nii.gz").write_bytes(content(client, scan["links"][f"{kind}_nii"]))
        image = nibabel.load(tmp_path / f"{kind}.nii.gz")
        assert image.shape == FLAIR_SHAPE
        np.testing.assert_allclose(image.affine, FLAIR_AFFINE, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(image.dataobj) > 94, FLAIR == volume_files.TUMOR)
    with zipfile.ZipFile(io.BytesIO(content(client, scan["links"]["original"]))) as original:
        assert original.namelist() == ["flair/flair.nii.gz", "t1/t1.nii.gz", "t1_post/t1ce.nii.gz"]
        packed = gzip.decompress(original.read("t1/t1.nii.gz"))
        assert packed == volume_files.nifti(T1, T1_AFFINE, is_packed=False)
    page = client.get(f"/scans/{scan['id']}").text
    assert f'<a href="/scans/{t1["id"]}">t1.nii.gz</a>' in page and "Original files" in page


def test_the_same_parts_again_are_the_same_scan_whose_deletion_leaves_them(app: Flask, client: FlaskClient) -> None:
    flair = volume(client, "flair.nii.gz", FLAIR, FLAIR_AFFINE)
    t1 = volume(client, "t1.nii.gz", T1, T1_AFFINE)
    first, second = (join(client, flair, flair=flair["id"], t1=t1["id"], t1_post=None).json for _ in range(2))
    other = join(client, flair, flair=flair["id"], t1_post=t1["id"]).json
    assert first["id"] == second["id"] != other["id"]
    assert codes(first) == ["head_scaled", "sequences_joined", "sequence_filled", "frames_unknown"]
    stack = stack_of(app, first)
    np.testing.assert_array_equal(stack[..., 2], stack[..., 1])  # FLAIR stands in
    assert client.delete(f"{SCANS}/{first['id']}").status_code == 204
    assert {scan["id"] for scan in client.get(SCANS).json["scans"]} == {flair["id"], t1["id"], other["id"]}


def test_equal_files_that_were_sent_again_make_a_scan_of_their_own(client: FlaskClient) -> None:
    """The first ones take theirs with them."""
    made = []
    files = [volume_files.nifti(FLAIR, FLAIR_AFFINE), volume_files.nifti(T1, T1_AFFINE)]
    for _ in range(2):
        flair, t1 = (sent(client, f"{name}.nii.gz", data) for name, data in zip(("f", "t"), files, strict=True))
        scan = join(client, flair, flair=flair["id"], t1=t1["id"]).json
        assert [part["id"] for part in scan["parts"]] == [flair["id"], t1["id"]]
        made.append((flair, scan))
    client.delete(f"{SCANS}/{made[0][0]['id']}")
    assert [client.get(f"{SCANS}/{scan['id']}").status_code for _, scan in made] == [404, 200]


def test_a_request_that_is_sent_twice_at_once_makes_one_scan(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    flair, t1 = volume(client, "f.nii.gz", FLAIR, FLAIR_AFFINE), volume(client, "t.nii.gz", T1, T1_AFFINE)
    write, answers = joining._write_stack, []

    def write_late(*values: Any) -> Any:
        monkeypatch.setattr(joining, "_write_stack", write)
        answers.append(join(app.test_client(), flair, flair=flair["id"], t1=t1["id"]))
        return write(*values)

    monkeypatch.setattr(joining, "_write_stack", write_late)
    answers.append(join(client, flair, flair=flair["id"], t1=t1["id"]))
    assert [answer.status_code for answer in answers] == [202, 202]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len(client.get(SCANS).json["scans"]) == 3


def test_a_deleted_part_leaves_nothing_of_its_pixels_in_a_joined_scan(app: Flask, client: FlaskClient) -> None:
    flair = volume(client, "flair.nii.gz", FLAIR, FLAIR_AFFINE)
    t1 = volume(client, "t1.nii.gz", T1, T1_AFFINE)
    joined = join(client, flair, flair=flair["id"], t1=t1["id"]).json
    form = {"csrf_token": token(client), "scan": t1["id"], "action": "delete"}
    asked = client.post("/scans/bulk", data=form).text
    assert joined["filename"] in asked and "joined of them" in asked
    assert client.delete(f"{SCANS}/{t1['id']}").status_code == 204
    assert client.get(f"{SCANS}/{joined['id']}").status_code == 404
    assert [scan["id"] for scan in client.get(SCANS).json["scans"]] == [flair["id"]]
    assert not [name for name in traces(app).files if joined["id"] in name or t1["id"] in name]


@pytest.mark.parametrize("is_chosen", [False, True])
def test_the_page_counts_all_that_went(client: FlaskClient, is_chosen: bool) -> None:
    """Of a part and the scan that was joined of it, whether that was chosen, too, or went with its part."""
    flair = volume(client, "flair.nii.gz", FLAIR, FLAIR_AFFINE)
    t1 = volume(client, "t1.nii.gz", T1, T1_AFFINE)
    joined = join(client, flair, flair=flair["id"], t1=t1["id"]).json
    chosen = [t1["id"], *([joined["id"]] if is_chosen else [])]
    form = {"csrf_token": token(client), "scan": chosen, "action": "delete", "confirmed": "yes"}
    done = client.post("/scans/bulk", data=form, follow_redirects=True)
    assert "2 scans deleted." in done.text
    assert [scan["id"] for scan in client.get(SCANS).json["scans"]] == [flair["id"]]


def test_slices_that_a_series_lacks_show_flair(app: Flask, client: FlaskClient) -> None:
    upper = T1[:, :15]  # of "PIR": from the head down
    flair = volume(client, "flair.nii.gz", FLAIR, FLAIR_AFFINE)
    t1 = volume(client, "t1.nii.gz", upper, T1_AFFINE)
    scan = join(client, flair, flair=flair["id"], t1=t1["id"]).json
    assert "sequence_partly_covered" in codes(scan)
    stack = stack_of(app, scan)
    is_flair = (stack[..., 0] == stack[..., 1]).all(axis=(1, 2))
    assert is_flair[:8].all() and not is_flair[14:20].any()
    lacking = int(np.flatnonzero(~is_flair)[0])
    [sentence] = [item["message"] for item in scan["segmentation"]["warnings"] if "partly" in item["code"]]
    assert sentence.endswith(f"T1 lacks in slices 1 to {lacking}.")


def test_heads_that_lie_apart_are_said(client: FlaskClient) -> None:
    flair = volume(client, "flair.nii.gz", FLAIR, FLAIR_AFFINE)
    moved = T1_AFFINE.copy()
    moved[0, 3] += 40
    for name, affine, is_apart in (("t1.nii.gz", T1_AFFINE, False), ("t1-moved.nii.gz", moved, True)):
        t1 = volume(client, name, T1, affine)
        scan = join(client, flair, flair=flair["id"], t1=t1["id"]).json
        assert ("heads_apart" in codes(scan)) == is_apart
    [sentence] = [item["detail"] for item in scan["segmentation"]["warnings"] if item["code"] == "heads_apart"]
    assert sentence.startswith("T1: 0.")


def test_sequences_that_are_posted_together_are_a_study_that_offers_to_read_them(client: FlaskClient) -> None:
    parts = [("flair.nii.gz", FLAIR, FLAIR_AFFINE), ("t1.nii.gz", T1, T1_AFFINE), ("t1-post.nii.gz", 3 * T1, T1_AFFINE)]
    files = [(name, volume_files.nifti(voxels, affine)) for name, voxels, affine in parts]
    scans = send(client, *files).json["scans"]
    [study] = {scan["study"]["name"] for scan in scans}
    assert study.startswith("Sequences, 20")
    page = client.get(scans[0]["links"]["page"]).text
    assert 'id="sequences"' in page
    brats = [(f"BraTS-GLI-00001-000-{end}.nii.gz", files[0][1]) for end in ("t2f", "t1n")]
    assert {scan["study"]["name"] for scan in send(client, *brats).json["scans"]} == {"BraTS-GLI-00001-000"}
    assert {scan["study"]["name"] for scan in send(client, *brats, form={"study": "Mine"}).json["scans"]} == {"Mine"}


@pytest.mark.parametrize(("uids", "code"), [(("1.2.3", "1.2.3"), None), (("1.2.3", "1.2.4"), "frames_differ")])
def test_frames_of_reference_that_differ_are_said(
    app: Flask, client: FlaskClient, uids: tuple[str, str], code: str | None
) -> None:
    made = []
    for name, uid in zip(("flair", "t1"), uids, strict=True):
        files = dicom_files.series(FLAIR.astype("uint16"), FLAIR_AFFINE, FrameOfReferenceUID=uid)
        [scan] = send(client, *((f"{name}/{k}.dcm", data) for k, data in enumerate(files))).json["scans"]
        made.append(scan)
    scan = join(client, made[0], flair=made[0]["id"], t1=made[1]["id"]).json
    assert [item for item in codes(scan) if item.startswith("frames")] == ([code] if code else [])
    with zipfile.ZipFile(io.BytesIO(content(client, scan["links"]["original"]))) as original:
        assert original.namelist() == ["flair/flair.zip", "t1/t1.zip"]


def test_what_cannot_be_joined_is_refused_with_a_sentence(app: Flask, client: FlaskClient) -> None:
    flair = volume(client, "flair.nii.gz", FLAIR, FLAIR_AFFINE)
    t1 = volume(client, "t1.nii.gz", T1, T1_AFFINE)
    away = T1_AFFINE.copy()
    away[2, 3] += 900
    far = volume(client, "far.nii.gz", T1, away)
    behind = T1_AFFINE.copy()
    behind[1, 3] += 145
    part = volume(client, "part.nii.gz", T1, behind)
    picture = sent(client, "picture.png", png_bytes())
    joined = join(client, flair, flair=flair["id"], t1=t1["id"]).json
    known = len(client.get(SCANS).json["scans"])
    for parts, status, code, words in (
        ({"flair": flair["id"], "t1": far["id"]}, 422, "invalid", "does not overlap"),
        ({"flair": flair["id"], "t1": part["id"]}, 422, "invalid", "of a slice of FLAIR at most, and 50% of one"),
        ({"flair": flair["id"], "t1": picture["id"]}, 409, "no_geometry", "no position in the patient"),
        ({"flair": flair["id"], "t1": flair["id"]}, 422, "invalid", "two sequences"),
        ({"flair": flair["id"]}, 422, "invalid", "FLAIR alone"),
        ({"flair": t1["id"], "t1": far["id"]}, 422, "invalid", "none of the sequences"),
        ({"flair": flair["id"], "t1": joined["id"]}, 422, "invalid", "several sequences already"),
        ({"flair": flair["id"], "t1": "0" * 32}, 404, "not_found", ""),
        ({"t1": t1["id"]}, 422, "invalid", ""),
        ({"flair": flair["id"], "t1": 5}, 422, "invalid", ""),
    ):
        response = client.put(f"{SCANS}/{flair['id']}/sequences", json=parts)
        assert (response.status_code, response.json["code"]) == (status, code), parts
        assert words in response.json["message"]
    assert client.put(f"{SCANS}/{'0' * 32}/sequences", json={"flair": flair["id"]}).status_code == 404
    assert len(client.get(SCANS).json["scans"]) == known


def test_a_header_outweighs_what_a_person_chose_and_a_name_does_not(app: Flask, client: FlaskClient) -> None:
    t1 = volume(client, "t1.nii.gz", FLAIR, FLAIR_AFFINE)
    post = volume(client, "t1ce.nii.gz", T1, T1_AFFINE)
    assert join(client, t1, flair=t1["id"], t1_post=post["id"]).json["sequence"] is None
    with resources_of(app).database.write() as session:
        stated = {"kind": "t1", "source": "header"}
        session.execute(update(Scan).where(Scan.id == t1["id"]).values(sequence=stated))
    assert join(client, t1, flair=t1["id"], t1=post["id"]).json["sequence"] == stated

"""An expert's mask beside its slices: taken as truth, never as a scan."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from tests.webapp.clients import BOUNDARY, SCANS, finish, resources_of, send, traces
from webapp.domain.errors import StorageFull
from webapp.domain.scans import truth
from webapp.domain.storage.local import LocalStorage
from webapp.domain.uploads.models import IdempotencyKey
from worker.recovery.orphans import delete_orphans

SIZE = 48  # pixels a side
# The network's part is played by brightness: it marks rows 8 to 16 of columns 8 to 16.
MARKED = (slice(8, 16), slice(8, 16))


def png(pixels: np.ndarray, orientation: int = 1) -> bytes:
    file = io.BytesIO()
    exif = Image.Exif()
    if orientation != 1:
        exif[274] = orientation
    Image.fromarray(pixels).save(file, "png", exif=exif)
    return file.getvalue()


def tiff(pages: np.ndarray) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pages, photometric="minisblack")
    return file.getvalue()


def head(number: int = 1) -> np.ndarray:
    """A slice, gray all over so that no corner is outside the head, and different for each number."""
    pixels = np.full((SIZE, SIZE), 40 + number, np.uint8)
    pixels[MARKED] = 255
    return pixels


def drawn(rows: slice = MARKED[0], columns: slice = MARKED[1], value: int = 255) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[rows, columns] = value
    return mask


def half() -> np.ndarray:
    """Of the 64 pixels that are marked, 32, and 32 beside them."""
    return drawn(slice(12, 20))


def put(client: FlaskClient, scan: dict, *files: tuple[str, bytes], **headers: str):
    body = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in files
    )
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    path = f"{SCANS}/{scan['id']}/truth"
    return client.put(path, data=body + f"--{BOUNDARY}--\r\n".encode(), content_type=content_type, headers=headers)


def stack_of(app: Flask, client: FlaskClient, *more: tuple[str, bytes], count: int = 3) -> dict:
    """A stack of numbered slices, and whatever is sent with them; its run is done."""
    files = [(f"p/s_{number}.png", png(head(number))) for number in range(1, count + 1)]
    response = send(client, *files, *more, form={"group": "auto"})
    assert response.status_code == 202, response.json
    [scan] = response.json["scans"]
    finish(resources_of(app), scan["segmentation"]["id"])
    return {**client.get(f"{SCANS}/{scan['id']}").json, "rejected": response.json.get("rejected", [])}


def truth_files(app: Flask) -> list[str]:
    return [name for name in traces(app).files if "/truth." in name]


@pytest.mark.parametrize("group", ["none", "stack", "auto"])
def test_a_mask_sent_with_its_slice_is_its_truth_and_no_scan(app: Flask, client: FlaskClient, group: str) -> None:
    files = [("head_Mask.PNG", png(half())), ("Head.png", png(head()))]
    response = send(client, *files, form={"group": group})
    assert response.status_code == 202
    assert response.json["rejected"] == []
    [scan] = response.json["scans"]
    assert scan["filename"] == "Head.png"
    assert scan["truth"] == {"filename": "head_Mask.PNG", "slice_names": None, "slices": [0], "findings": []}
    assert client.get(f"{SCANS}/{scan['id']}").json["agreement"] is None  # the run has not ended

    finish(resources_of(app), scan["segmentation"]["id"])
    found = client.get(f"{SCANS}/{scan['id']}").json["agreement"]
    assert found["segmentation"] == scan["segmentation"]["id"]
    assert (found["truth_pixels"], found["predicted_pixels"]) == (64, 64)
    assert (found["dice"], found["iou"], found["hd95"]) == (0.5, round(1 / 3, 6), 4.0)
    [of_slice] = found["slices"]
    assert (of_slice["index"], of_slice["dice"], of_slice["hd95"]) == (0, 0.5, 4.0)


def test_masks_of_a_stack_belong_to_their_slices_and_some_may_be_missing(app: Flask, client: FlaskClient) -> None:
    done = stack_of(app, client, ("p/s_3_mask.png", png(drawn())), ("p/s_1_mask.png", png(half())))
    assert done["slice_count"] == 3
    assert done["truth"]["slice_names"] == ["s_1_mask.png", None, "s_3_mask.png"]
    assert done["truth"]["slices"] == [0, 2]
    assert [(item["index"], item["dice"]) for item in done["agreement"]["slices"]] == [(0, 0.5), (2, 1.0)]
    assert done["agreement"]["dice"] == 0.75  # of all pixels together: 96 of 128


def test_folders_of_masks_are_told_by_their_names(app: Flask, client: FlaskClient) -> None:
    files = [
        (f"P/{folder}/{number}.png", png(pixels))
        for number in (1, 2)
        for folder, pixels in (("images", head(number)), ("masks", drawn()))
    ]
    [scan] = send(client, *files, form={"group": "auto"}).json["scans"]
    assert (scan["slice_count"], scan["truth"]["slice_names"]) == (2, ["1.png", "2.png"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("other_mask.png", "its slice is not among the files"),
        ("head_seg.png", "_seg"),
        ("head-label.png", "-label"),
        ("ground_truth/head.png", "ground_truth/"),
    ],
)
def test_what_looks_like_a_mask_is_never_a_scan(client: FlaskClient, name: str, said: str) -> None:
    response = send(client, ("head.png", png(head())), (name, png(drawn())))
    assert [scan["filename"] for scan in response.json["scans"]] == ["head.png"]
    [refused] = response.json["rejected"]
    assert (refused["filename"], refused["code"]) == (name, "mask")
    assert said in refused["message"]
    alone = send(client, (name, png(drawn())))
    assert (alone.status_code, alone.json["code"]) == (422, "mask")


def test_two_masks_of_one_slice_are_not_chosen_from(client: FlaskClient) -> None:
    files = [("a.png", png(head())), ("a_mask.png", png(half())), ("a_mask.tif", tiff(drawn()))]
    answer = send(client, *files).json
    assert answer["scans"][0]["truth"] is None
    assert [item["filename"] for item in answer["rejected"]] == ["a_mask.png", "a_mask.tif"]


def test_a_mask_of_a_slice_that_is_refused_is_named(client: FlaskClient) -> None:
    answer = send(client, ("a.png", b"no image at all"), ("a_mask.png", png(half())), ("b.png", png(head()))).json
    assert [item["filename"] for item in answer["rejected"]] == ["a.png", "a_mask.png"]
    assert [scan["filename"] for scan in answer["scans"]] == ["b.png"]


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (png(np.zeros((32, 32), np.uint8)), "unequal_size", "32 x 32"),
        (b"\x89PNG\r\n\x1a\n and nothing that follows", "unreadable", "damaged"),
        (b"GIF89a and more bytes of it", "unsupported", "a GIF picture"),
        (tiff(np.stack([half(), half()])), "unequal_size", "2 pages"),
        (tiff(np.full((SIZE, SIZE), np.nan, np.float32)), "unreadable", "NaN"),
    ],
    ids=["another size", "damaged", "another format", "two pages", "NaN"],
)
def test_a_mask_that_does_not_fit_is_refused_and_its_scan_stands(
    app: Flask, client: FlaskClient, data: bytes, code: str, said: str
) -> None:
    answer = send(client, ("a.png", png(head())), ("a_mask.png", data)).json
    [scan] = answer["scans"]
    assert scan["truth"] is None
    [refused] = answer["rejected"]
    assert (refused["filename"], refused["code"]) == ("a_mask.png", code)
    assert said in refused["message"]
    response = put(client, scan, ("any name.png", data))
    assert response.json["code"] == code
    assert said in response.json["message"]
    assert "no picture" not in response.json["message"], 'it was "no picture: The file is a GIF picture"'
    assert truth_files(app) == []


def test_a_gray_picture_stored_with_loss_is_refused_by_name(client: FlaskClient) -> None:
    [scan] = send(client, ("a.png", png(head()))).json["scans"]
    file = io.BytesIO()
    Image.fromarray(np.tile(np.linspace(0, 255, SIZE).astype(np.uint8), (SIZE, 1))).save(file, "jpeg")
    response = put(client, scan, ("m.jpg", file.getvalue()))
    assert (response.status_code, response.json["code"]) == (422, "unreadable")
    assert "gray" in response.json["message"]


def test_put_sets_and_replaces_and_delete_takes_away(app: Flask, client: FlaskClient) -> None:
    done = stack_of(app, client, count=2)
    assert done["truth"] is None
    assert done["agreement"] is None
    assert client.delete(f"{SCANS}/{done['id']}/truth").status_code == 404

    first = put(client, done, ("expert.tif", tiff(np.stack([half(), drawn()]))))
    assert first.status_code == 200
    assert first.json["truth"]["filename"] == "expert.tif"
    assert first.json["agreement"]["dice"] == 0.75
    [old] = truth_files(app)

    # By the names of the slices, in any order; by the order of their own where those say nothing.
    by_name = put(client, done, ("s_2.png", png(half())), ("s_1_mask.png", png(drawn())))
    assert by_name.json["truth"]["slice_names"] == ["s_1_mask.png", "s_2.png"]
    assert [item["dice"] for item in by_name.json["agreement"]["slices"]] == [1.0, 0.5]
    by_order = put(client, done, ("x10.png", png(half())), ("x9.png", png(drawn())))
    assert by_order.json["truth"]["slice_names"] == ["x9.png", "x10.png"]
    [new] = truth_files(app)
    assert new != old

    # Names or gaps that say otherwise are not overruled by the order.
    shifted = put(client, done, ("s_2_mask.png", png(half())), ("s_3_mask.png", png(drawn())))
    assert shifted.status_code == 422 and "s_2_mask.png is called as the mask of s_2.png" in shifted.json["message"]
    gaps = put(client, done, ("x1.png", png(half())), ("x3.png", png(drawn())))
    assert gaps.status_code == 422 and "gaps in different places" in gaps.json["message"]

    # All or nothing, and what was there stays.
    both = put(client, done, ("s_1.png", png(half())), ("s_2.png", png(np.zeros((16, 16), np.uint8))))
    assert both.status_code == 422
    assert [item["filename"] for item in both.json["rejected"]] == ["s_2.png"]
    assert put(client, done, ("one.png", png(half()))).json["message"].startswith("The mask has 1 page; 2 are needed")
    assert put(client, done, *[(f"{n}.png", png(half())) for n in "abc"]).json["code"] == "unequal_size"
    assert put(client, done).json["code"] == "no_file"
    assert truth_files(app) == [new]

    assert client.delete(f"{SCANS}/{done['id']}/truth").status_code == 204
    after = client.get(f"{SCANS}/{done['id']}").json
    assert (after["truth"], after["agreement"]) == (None, None)
    assert truth_files(app) == []
    missing = {"id": "0" * 32}
    assert put(client, missing, ("m.png", png(half()))).status_code == 404


def test_what_is_doubtful_of_a_mask_is_said(client: FlaskClient) -> None:
    dark = head()
    dark[:8] = 0
    [scan] = send(client, ("a.png", png(dark, orientation=2))).json["scans"]
    levels = half()
    levels[30, 30:40] = 7
    answer = put(client, scan, ("m.png", png(levels))).json["truth"]
    assert [(item["code"], item["slices"]) for item in answer["findings"]] == [
        ("mask_orientation", [0]),
        ("non_binary_mask", [0]),
    ]
    answer = put(client, scan, ("m.png", png(255 - half(), orientation=2))).json["truth"]
    assert [item["code"] for item in answer["findings"]] == ["mask_covers_slice", "mask_outside_head"]
    assert "are background and tumor exchanged" in answer["findings"][0]["message"]


def test_one_mask_for_every_slice_is_doubtful(app: Flask, client: FlaskClient) -> None:
    done = stack_of(app, client, *[(f"p/s_{n}_mask.png", png(half())) for n in (1, 2, 3)])
    assert [(item["code"], item["slices"]) for item in done["truth"]["findings"]] == [("mask_repeated", [0, 1, 2])]


def test_pictures_and_zip_show_the_expert_beside_the_model(app: Flask, client: FlaskClient) -> None:
    done = stack_of(app, client, ("p/s_1_mask.png", png(half())))
    mask = np.asarray(Image.open(io.BytesIO(client.get(done["links"]["truth"] + "?slice=0").data)))
    assert np.array_equal(mask, half())
    errors = np.asarray(Image.open(io.BytesIO(client.get(done["links"]["errors"] + "?slice=0").data)))
    assert [tuple(errors[row, 8]) for row in (16, 8, 12)] == [
        (0xFF, 0x4D, 0x6A),
        (0x3F, 0xD6, 0x9B),
        (0xFF, 0xD2, 0x4D),
    ]
    assert client.get(done["links"]["truth"] + "?slice=1").status_code == 404
    with client.get(done["links"]["download"]) as response:
        archive = zipfile.ZipFile(io.BytesIO(response.data))
    assert {"truth/slice_0000.png", "errors/slice_0000.png", "mask/slice_0001.png"} < set(archive.namelist())
    assert "truth/slice_0001.png" not in archive.namelist()
    assert b'"agreement": {' in archive.read("result.json")
    client.delete(f"{SCANS}/{done['id']}/truth")
    assert client.get(done["links"]["errors"] + "?slice=0").status_code == 404
    assert "truth" not in client.get(f"{SCANS}/{done['id']}").json["links"]


def test_the_same_request_again_does_its_work_once(app: Flask, client: FlaskClient) -> None:
    files = [("a.png", png(head())), ("a_mask.png", png(half()))]
    first = send(client, *files, headers={"Idempotency-Key": "one"})
    again = send(client, *files, headers={"Idempotency-Key": "one"})
    assert again.json == first.json
    [scan] = first.json["scans"]
    changed = [("a.png", png(head())), ("a_mask.png", png(drawn()))]
    assert send(client, *changed, headers={"Idempotency-Key": "one"}).json["code"] == "idempotency_key_reused"
    assert put(client, scan, ("m.png", png(drawn())), **{"Idempotency-Key": "two"}).status_code == 200
    [stored] = truth_files(app)
    assert put(client, scan, ("m.png", png(drawn())), **{"Idempotency-Key": "two"}).status_code == 200
    assert truth_files(app) == [stored]
    with resources_of(app).database.read() as session:
        answers = [row.answer for row in session.query(IdempotencyKey)]
    assert "m.png" not in str(answers)
    assert "a_mask.png" not in str(answers)


def test_deletion_and_sweeper_know_the_mask(app: Flask, client: FlaskClient) -> None:
    resources = resources_of(app)
    [kept] = send(client, ("a.png", png(head())), ("a_mask.png", png(half()))).json["scans"]
    [named] = truth_files(app)
    root = Path(resources.settings.storage)
    left_over = root / named.replace("/truth.", "/truth.").replace(named[-36:-4], "0" * 32)
    left_over.write_bytes((root / named).read_bytes())
    delete_orphans(resources, older_than_s=0)
    assert truth_files(app) == [named]
    client.delete(f"{SCANS}/{kept['id']}")
    assert truth_files(app) == []


def test_a_full_disk_leaves_no_half_of_a_mask(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    [scan] = send(client, ("a.png", png(head()))).json["scans"]

    def refuse(self: LocalStorage, source: Path, key: str, **_: bool) -> None:
        raise StorageFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "put", refuse)
        assert put(client, scan, ("m.png", png(half()))).status_code == 507
    assert truth_files(app) == []
    assert not [name for name in traces(app).files if name.startswith("temporary/")]
    assert client.get(f"{SCANS}/{scan['id']}").json["truth"] is None


def test_masks_that_fit_their_slices_mirrored_are_said(app: Flask, client: FlaskClient) -> None:
    scan = stack_of(app, client, count=10)
    right = np.stack([drawn()] * 10)
    answer = put(client, scan, ("expert.tif", tiff(right[:, :, ::-1]))).json
    assert answer["agreement"]["caveat"].startswith(
        "The masks fit the images far better mirrored left to right: Dice 0.00 as given, 1.00 so, over 10 slices with"
        " tumor. Check how they were exported"
    )
    assert put(client, scan, ("expert.tif", tiff(right))).json["agreement"]["caveat"] is None


def test_a_mask_for_a_scan_that_is_deleted_meanwhile_is_for_none(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is missing then is no fault of the storage, which a client would wait for."""
    [scan] = send(client, ("a.png", png(head()))).json["scans"]
    read = truth.read_array

    def read_late(storage: Any, key: str) -> Any:
        assert app.test_client().delete(f"{SCANS}/{scan['id']}").status_code == 204
        return read(storage, key)

    monkeypatch.setattr(truth, "read_array", read_late)
    data = {"file": (io.BytesIO(png(head())), "a_mask.png")}
    response = client.put(f"{SCANS}/{scan['id']}/truth", data=data)
    assert (response.status_code, response.json["code"]) == (404, "not_found")

"""The zip of a scan's results, and its original."""

import gc
import io
import json
import os
import tempfile
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy.orm import Session

from tests.support import scan_files
from tests.support.resources import png_bytes
from tests.webapp.clients import SCANS, finish, finished, resources_of, sent
from webapp.domain.errors import NotFound
from webapp.domain.scans import lookup, result_zips
from webapp.domain.scans.images import KINDS
from webapp.domain.scans.models import Scan
from webapp.domain.storage.keys import map_key, original_key, scan_prefix, stack_key


@pytest.mark.parametrize(
    ("asked", "status", "length"),
    [
        ("bytes=0-9", 206, 10),
        ("bytes=99999999-", 416, None),
        ("pages=1-2", 200, None),
        ("bytes=0-1,5-6", 200, None),
        ("bytes", 200, None),
        ("lines=x", 200, None),
    ],
)
def test_a_range_that_is_not_one_of_bytes_is_ignored(
    app: Flask, client: FlaskClient, asked: str, status: int, length: int | None
) -> None:
    path = f"{SCANS}/{finished(app)['id']}/original"
    response = client.get(path, headers={"Range": asked}, buffered=True)
    assert response.status_code == status
    assert length is None or len(response.data) == length


def test_the_zip_is_made_while_it_is_sent(app: Flask, client: FlaskClient) -> None:
    """Its memory is that of a slice, however many there are."""
    pixels = np.random.default_rng(1).integers(0, 256, (24, 96, 96), dtype=np.uint8)
    scan = finished(app, "stack.tif", scan_files.tiff(pixels))
    for kind in KINDS:
        client.get(f"{SCANS}/{scan['id']}/{kind}.png")  # fonts and lookup tables stay
    tracemalloc.start()
    try:
        response = client.get(f"{SCANS}/{scan['id']}/download.zip", buffered=False)
        _, of_one_slice = tracemalloc.get_traced_memory()
        with tempfile.TemporaryFile() as file:
            for piece in response.response:
                file.write(piece)
            _, of_all = tracemalloc.get_traced_memory()
            size = file.tell()
            with zipfile.ZipFile(file) as archive:
                assert archive.testzip() is None
                assert len(archive.namelist()) == 4 + 24 * (len(KINDS) - 1)
                # Sizes stand before a member's bytes: readers that do not seek need them there.
                assert not any(member.flag_bits & 0x08 for member in archive.infolist())
        response.close()
    finally:
        tracemalloc.stop()
    assert of_all < of_one_slice + size / 8, (of_one_slice, of_all, size)


def test_studies_whose_folders_would_have_one_name_have_two(app: Flask, client: FlaskClient) -> None:
    """Two patients' scans lay in one folder."""
    scans = [sent(client, form={"study": study}) for study in ("P/7", "P_7", "P_7.", "P/7")] + [sent(client, "P_7.png")]
    for scan in scans:
        finish(resources_of(app), scan["segmentation"]["id"])
    ids = [scan["id"] for scan in scans]
    answer = client.post(f"{SCANS}/download.zip", json={"scans": ids, "content": "masks"})
    names = zipfile.ZipFile(io.BytesIO(answer.data)).namelist()
    assert [name for name in names if name.endswith(".tif")] == [
        *("P_7/scan-mask.tif", "P_7 (2)/scan-mask.tif", "P_7 (3)/scan-mask.tif", "P_7/scan (2)-mask.tif"),
        "P_7 (4)-mask.tif",
    ]


def test_few_zips_are_made_at_once(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{SCANS}/{finished(app)['id']}/download.zip"
    monkeypatch.setattr(result_zips, "_places", threading.BoundedSemaphore(1))
    first = client.get(path, buffered=False)
    second = client.get(path)
    assert (second.status_code, second.json["code"]) == (503, "too_many_downloads")
    assert int(second.headers["Retry-After"]) > 0
    assert client.head(path).status_code == 200
    first.close()  # the client went away
    read = []
    for _ in range(3):
        read.append(client.get(path))
        assert read[-1].status_code == 200 and read[-1].data, "one that is read to its end holds no place"
    given_up = client.get(path, buffered=False)
    del given_up  # neither read nor closed
    gc.collect()
    assert client.get(path, buffered=True).status_code == 200
    resources_of(app).storage.delete(scan_prefix(path.split("/")[4]))
    for _ in range(2):
        assert client.get(path).json["code"] == "storage_unavailable", "a zip that never began holds no place"


def test_the_zip_has_every_picture_of_the_run_asked_for(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    path = f"{SCANS}/{scan['id']}"
    again = client.post(f"{path}/segmentations", json={"threshold": 0.99}).json
    finish(resources_of(app), again["id"])
    for run, verdict in ((again["id"], "no_tumor"), (scan["segmentation"]["id"], "tumor_detected")):
        response = client.get(f"{path}/download.zip?segmentation={run}")
        with zipfile.ZipFile(io.BytesIO(response.data)) as file:
            names = {name.split("/")[0] for name in file.namelist()}
            described = json.loads(file.read("result.json"))
            mask = np.asarray(Image.open(io.BytesIO(file.read("mask/slice_0000.png"))))
        assert names == {"result.json", "measurements.json", "measurements.csv", "README.txt", *KINDS} - {"thumbnail"}
        assert (described["segmentation"]["id"], described["segmentation"]["verdict"]) == (run, verdict)
        assert mask.any() == (verdict == "tumor_detected")


def test_the_original_comes_back_byte_by_byte_and_is_not_cached(app: Flask, client: FlaskClient) -> None:
    data = png_bytes(70, 70)
    response = client.get(f"{SCANS}/{finished(app, data=data)['id']}/original", buffered=True)
    assert response.data == data
    assert response.headers["Cache-Control"] == "no-store"


def test_an_original_that_was_cut_on_the_disk_is_no_original(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    with resources_of(app).storage.local_copy(original_key(scan["id"])) as path:
        os.truncate(path, 20)
    response = client.get(f"{SCANS}/{scan['id']}/original")
    assert (response.status_code, response.json["code"]) == (503, "storage_unavailable")
    assert f"20 bytes of {scan['bytes']}" in response.json["message"]


def test_an_original_that_has_changed_on_the_disk_is_no_original(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    with resources_of(app).storage.local_copy(original_key(scan["id"])) as path:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    response = client.get(f"{SCANS}/{scan['id']}/original")
    assert (response.status_code, response.json["code"]) == (503, "storage_unavailable")
    assert "not what was sent" in response.json["message"]


def test_a_scan_that_is_deleted_while_a_zip_is_made_is_named_in_it(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, done = sent(client), finished(app, "b.png")
    read: list[str] = []
    get = lookup.get

    def get_once(session: Session, scan_id: str) -> Scan:
        if scan_id == waiting["id"] and scan_id in read:
            raise NotFound("There is no such scan.")
        read.append(scan_id)
        return get(session, scan_id)

    monkeypatch.setattr(lookup, "get", get_once)
    response = client.post(f"{SCANS}/download.zip", json={"scans": [waiting["id"], done["id"]]})
    with zipfile.ZipFile(io.BytesIO(response.data)) as archive:
        assert archive.testzip() is None
        texts = [archive.read(name).decode() for name in archive.namelist() if name.endswith(".txt")]
    assert any("This scan was deleted." in text for text in texts)


def test_a_scan_whose_stack_is_missing_leaves_a_whole_zip_that_says_so(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    resources_of(app).storage.delete(stack_key(scan["id"]))
    response = client.post(f"{SCANS}/download.zip", json={"scans": [scan["id"]]})
    with zipfile.ZipFile(io.BytesIO(response.data)) as archive:
        assert archive.testzip() is None
        assert "scan/mask.tif" in archive.namelist()
        assert "scan, a part of it: " in archive.read("left_out.txt").decode()


def test_scans_whose_maps_are_missing_are_no_scans_without_a_result(app: Flask, client: FlaskClient) -> None:
    scan, waiting = finished(app), sent(client)
    resources_of(app).storage.delete(map_key(scan["id"], scan["segmentation"]["id"], 1))
    response = client.post(f"{SCANS}/download.zip", json={"scans": [scan["id"], waiting["id"]], "content": "masks"})
    assert (response.status_code, response.json["code"]) == (503, "storage_unavailable")

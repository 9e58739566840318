"""/api/v1/scans: list, read, wait, pictures, downloads, delete."""

import base64
import gc
import io
import json
import tempfile
import threading
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from tests.support import scan_files
from tests.support.resources import add_scan, png_bytes
from tests.webapp.clients import NOTHING, SCANS, finish, finished, resources_of, sent, traces
from webapp.domain.scans import archives, images
from webapp.domain.scans.images import KINDS, OF_RESULT
from webapp.domain.storage.keys import scan_prefix

NO_IDS = ("-1", "1 OR 1=1", "0" * 31, "0" * 33, "Z" * 32, "A" * 32, "%00" * 32, "../" * 10, "0" * 32)


@pytest.mark.parametrize("scan_id", NO_IDS)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/segmentations"),
        ("POST", "/segmentations"),
        ("GET", "/mask.png"),
        ("GET", "/download.zip"),
        ("GET", "/original"),
    ],
)
def test_an_unknown_or_malformed_id_is_404(client: FlaskClient, scan_id: str, method: str, path: str) -> None:
    response = client.open(f"{SCANS}/{scan_id}{path}", method=method)
    assert response.status_code == 404
    assert response.json["code"] == "not_found" and response.json["request_id"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=1e9",
        "limit=1000000000",
        "limit=0",
        "limit=-1",
        f"limit={'9' * 5000}",
        "sort=size",
        "status=done",
        "verdict=maybe",
        "from=yesterday",
        "to=2026-02-30",
        "cursor=x",
        f"q={'x' * 256}",
    ],
)
def test_a_query_that_is_not_allowed_is_422(client: FlaskClient, query: str) -> None:
    response = client.get(f"{SCANS}?{query}")
    assert (response.status_code, response.json["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    ("query", "api_status", "page_status"),
    [
        ("q=%00", 422, 422),
        ("model=%00", 422, 422),
        ("q=%ED%A0%80", 200, 200),
        ("to=9999-12-31", 200, 200),
        ("from=0001-01-01", 200, 200),
        ("q=%25_%5C", 200, 200),
        ("unknown=1", 200, 200),
    ],
)
def test_an_odd_query_is_answered_alike_on_every_database(
    any_app: Flask, query: str, api_status: int, page_status: int
) -> None:
    client = any_app.test_client()
    assert client.get(f"{SCANS}?{query}").status_code == api_status
    assert client.get(f"/scans?{query}").status_code == page_status


CURSORS = {
    "nested": "[" * 700,
    "nan": '["coverage", NaN, "ID"]',
    "infinite": '["coverage", 1e999, "ID"]',
    "boolean": '["coverage", true, "ID"]',
    "enormous": f'["coverage", {"9" * 400}, "ID"]',
    "end of the calendar": '["newest", "0001-01-01T00:00:00+23:59", "ID"]',
    "zero byte": '["name", "a\\u0000", "ID"]',
    "surrogate": '["name", "\\ud800", "ID"]',
    "other id": '["name", "a", "a\\u0000b"]',
    "object": '["name", {"a": 1}, "ID"]',
}


@pytest.mark.parametrize("name", CURSORS)
@pytest.mark.parametrize("path", [SCANS, "/scans"])
def test_a_forged_cursor_is_422(any_app: Flask, path: str, name: str) -> None:
    text = CURSORS[name].replace("ID", "0" * 32)
    cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    sort = text.split('"')[1] if '"' in text else "newest"
    response = any_app.test_client().get(f"{path}?sort={sort}&cursor={cursor}")
    assert response.status_code == 422
    assert "The cursor is not one of ours" in response.text


def test_the_history_is_paged_by_cursor(app: Flask, client: FlaskClient) -> None:
    ids = [add_scan(resources_of(app), filename=f"{index}.png")[0] for index in range(5)]
    first = client.get(f"{SCANS}?limit=3").json
    second = client.get(f"{SCANS}?limit=3&cursor={first['next_cursor']}").json
    assert {scan["id"] for scan in first["scans"] + second["scans"]} == set(ids)
    assert second["next_cursor"] is None


def test_a_scan_has_the_documented_fields(app: Flask) -> None:
    scan = finished(app)
    assert list(scan) == [
        "id", "filename", "origin", "format", "created_at", "expires_at", "width", "height", "slice_count",
        "spacing_mm", "spacing_source", "geometry", "sequence", "parts", "slice_names", "missing_slice_numbers",
        "sha256", "bytes", "series", "study", "same_as", "segmentation", "truth", "links", "agreement",
    ]  # fmt: skip
    run = scan["segmentation"]
    assert (run["status"], run["verdict"], run["threshold"]) == ("succeeded", "tumor_detected", 0.65)
    assert (run["tumor_pixels"], run["total_pixels"]) == (64 * 12, 64 * 48)
    assert run["coverage_percent"] == 25.0 and run["max_probability"] == round(200 / 255, 4)
    assert (run["area_mm2"], run["volume_mm3"], run["queue_position"], run["error"]) == (None, None, None, None)
    assert run["slices"] == [
        {
            "index": 0,
            "tumor_pixels": 768,
            "max_probability": 0.7843,
            "area_mm2": None,
            "doubtful_pixels": 0,
            "uncounted_pixels": 0,
            "mean_confidence": 0.7843,
            "rim_pixels": 2304,
            "border_pixels": 148,
            "head_pixels": None,
            "is_first_look": False,
            "dropped": [],
        }
    ]
    assert run["uncounted_pixels"] == 0
    assert (run["doubt_rule"], run["doubt"]) == (None, None)
    assert run["timings_ms"] == {"queued": 1.0, "infer": 2.0, "total": 3.0}
    assert run["finished_at"].endswith("Z")


def test_every_link_of_a_scan_answers(app: Flask, client: FlaskClient) -> None:
    for name, path in finished(app)["links"].items():
        assert client.get(path, buffered=True).status_code == 200, name


@pytest.mark.parametrize("wait", ["NaN", "inf", "-1", "31", "x"])
def test_a_wait_that_is_not_allowed_is_422(app: Flask, client: FlaskClient, wait: str) -> None:
    scan_id, _ = add_scan(resources_of(app))
    assert client.get(f"{SCANS}/{scan_id}?wait={wait}").status_code == 422


def test_a_wait_ends_as_soon_as_the_job_has_ended(app: Flask, client: FlaskClient) -> None:
    scan = sent(client)
    timer = threading.Timer(0.5, finish, (resources_of(app), scan["segmentation"]["id"]))
    timer.start()
    started = time.monotonic()
    answer = client.get(f"{SCANS}/{scan['id']}?wait=20").json
    timer.join()
    assert answer["segmentation"]["status"] == "succeeded"
    assert 0.4 < time.monotonic() - started < 3
    started = time.monotonic()
    client.get(f"{SCANS}/{scan['id']}?wait=20")
    assert time.monotonic() - started < 1


def test_a_wait_answers_with_the_state_when_its_time_is_over(client: FlaskClient) -> None:
    scan = sent(client)
    answer = client.get(f"{SCANS}/{scan['id']}?wait=0.2")
    assert (answer.status_code, answer.json["segmentation"]["status"]) == (200, "queued")


def test_before_there_is_a_result_only_the_scan_and_its_thumbnail_can_be_seen(client: FlaskClient) -> None:
    scan = sent(client)
    for kind in KINDS:
        response = client.get(f"{SCANS}/{scan['id']}/{kind}.png")
        if kind in OF_RESULT and kind != "thumbnail":
            assert (response.status_code, response.json["code"]) == (409, "not_ready")
        else:
            assert response.status_code == 200
    assert client.get(f"{SCANS}/{scan['id']}/download.zip").status_code == 409


def test_mask_and_probability_are_in_the_scans_own_grid(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)

    def pixels(kind: str) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(client.get(f"{SCANS}/{scan['id']}/{kind}.png").data)))

    assert pixels("mask").shape == pixels("probability").shape == (48, 64)
    assert set(np.unique(pixels("mask"))) == {0, 255}
    assert np.array_equal(pixels("mask") == 255, pixels("probability") >= 128)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("slice=0", 200),
        ("slice=4", 200),
        ("slice=5", 404),
        ("slice=-1", 422),
        ("slice=1e9", 422),
        ("slice=x", 422),
        ("segmentation=" + "0" * 32, 404),
        ("segmentation=1%20OR%201=1", 404),
        ("segmentation=%00", 404),
    ],
)
def test_a_picture_is_of_a_slice_and_a_run_of_this_scan(any_app: Flask, query: str, status: int) -> None:
    scan = finished(any_app, "stack.tif", scan_files.every_format()["tiff stack"])
    assert any_app.test_client().get(f"{SCANS}/{scan['id']}/mask.png?{query}").status_code == status


def test_a_run_of_another_scan_is_404(app: Flask, client: FlaskClient) -> None:
    one, other = finished(app), finished(app, "other.png")
    response = client.get(f"{SCANS}/{one['id']}/mask.png?segmentation={other['segmentation']['id']}")
    assert response.status_code == 404


def test_scan_and_overlay_show_one_channel_in_gray(app: Flask, client: FlaskClient) -> None:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (48, 48, 3), np.uint8)).save(file, "png")
    scan_id = finished(app, "color.png", file.getvalue())["id"]
    shown = {
        (kind, channel): np.asarray(Image.open(io.BytesIO(client.get(f"{SCANS}/{scan_id}/{kind}.png{channel}").data)))
        for kind in ("scan", "overlay", "probability")
        for channel in ("", "?channel=0", "?channel=1")
    }
    assert np.array_equal(shown["scan", "?channel=1"], np.repeat(shown["scan", ""][..., 1:2], 3, axis=-1))
    assert not np.array_equal(shown["overlay", "?channel=0"], shown["overlay", "?channel=1"])
    assert np.array_equal(shown["probability", "?channel=1"], shown["probability", ""])
    assert client.get(f"{SCANS}/{scan_id}/scan.png?channel=3").status_code == 422


def test_a_known_picture_is_answered_304(app: Flask, client: FlaskClient) -> None:
    path = f"{SCANS}/{finished(app)['id']}/overlay.png"
    first = client.get(path)
    assert first.headers["Cache-Control"] == "private, no-cache"
    second = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (second.status_code, second.data) == (304, b"")


def test_a_lists_thumbnail_is_small_drawn_once_and_kept_for_an_idle_session(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, scan = any_app.test_client(), finished(any_app)
    path = f"{SCANS}/{scan['id']}/thumbnail.jpg?side=96"
    named = f"{path}&segmentation={scan['segmentation']['id']}"
    first = client.get(named)
    assert (first.status_code, first.mimetype) == (200, "image/jpeg")
    assert max(Image.open(io.BytesIO(first.data)).size) == 96
    assert first.headers["Cache-Control"] == "private, max-age=1800, immutable"
    assert "Cookie" in first.vary
    monkeypatch.setattr(images.panels, "thumbnail_image", lambda *_: pytest.fail("it was drawn again"))
    assert client.get(named).data == client.get(path).data == first.data
    # What the address does not name may change: it is asked about.
    assert client.get(path).headers["Cache-Control"] == "private, no-cache"
    assert client.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    assert client.get(f"{path}0").status_code == 422
    assert client.delete(f"{SCANS}/{scan['id']}").status_code == 204
    assert client.get(named, headers={"If-None-Match": first.headers["ETag"]}).status_code == 404


def test_lists_ask_for_thumbnails_by_their_run_and_size(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    for page, side in (("/scans", 96), ("/", 192)):
        address = f"{SCANS}/{scan['id']}/thumbnail.jpg?side={side}&amp;segmentation={scan['segmentation']['id']}"
        assert address in client.get(page).text


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", W/{}', "*"])
def test_a_known_picture_is_known_by_a_weak_tag_too(app: Flask, client: FlaskClient, form: str) -> None:
    """A proxy that compresses answers weakens their tags."""
    path = f"{SCANS}/{finished(app)['id']}/overlay.png"
    tag = client.get(path).headers["ETag"]
    assert client.get(path, headers={"If-None-Match": form.format(tag)}).status_code == 304


def test_a_head_draws_nothing(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{SCANS}/{finished(app)['id']}"
    asked = ("overlay.png", "scan.png", "download.zip")
    answers = {part: client.get(f"{path}/{part}", buffered=True).headers for part in asked}
    resources_of(app).images.delete("")
    monkeypatch.setattr(images, "_draw", lambda *_: pytest.fail("it was drawn"))
    monkeypatch.setattr(images, "_render", lambda *_: pytest.fail("it was drawn"))
    for part in asked:
        response = client.head(f"{path}/{part}")
        assert (response.status_code, response.data) == (200, b"")
        for name in ("Content-Type", "Content-Disposition", "Cache-Control", "ETag"):
            assert response.headers.get(name) == answers[part].get(name)
        assert "Content-Length" not in response.headers, "nobody knows it"


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


def test_few_zips_are_made_at_once(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{SCANS}/{finished(app)['id']}/download.zip"
    monkeypatch.setattr(archives, "_places", threading.BoundedSemaphore(1))
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


def test_a_missing_file_is_503_and_not_a_fault(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    resources_of(app).storage.delete(f"scans/{scan['id'][:2]}/{scan['id']}")
    for part in ("original", "download.zip", "scan.png", "mask.png"):
        response = client.get(f"{SCANS}/{scan['id']}/{part}")
        assert (response.status_code, response.json["code"]) == (503, "storage_unavailable"), part


def test_a_deleted_scan_is_gone_with_everything(any_app: Flask) -> None:
    client, scan = any_app.test_client(), finished(any_app)
    path = f"{SCANS}/{scan['id']}"
    client.post(f"{path}/segmentations", json={"threshold": 0.7})
    response = client.delete(path)
    assert (response.status_code, response.data) == (204, b"")
    assert traces(any_app) == NOTHING
    assert client.get(path).status_code == client.delete(path).status_code == 404
    assert client.get(SCANS).json["scans"] == []

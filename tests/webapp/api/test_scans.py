"""/api/v1/scans: list, read, wait, pictures, downloads, delete."""

import base64
import threading
import time

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.resources import add_scan
from tests.webapp.clients import NOTHING, SCANS, finish, finished, resources_of, sent, traces

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
    assert "2026-11-30" in response.json["message"] or not query.startswith(("from", "to"))


@pytest.mark.parametrize(
    ("query", "api_status", "page_status"),
    [
        ("q=%00", 422, 422),
        ("model=%00", 422, 422),
        ("q=%ED%A0%80", 200, 200),
        ("to=9999-12-31", 200, 200),
        ("from=0001-01-01", 200, 200),
        ("q=%25_%5C", 200, 200),
        ("unknown=1", 422, 200),
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


def test_a_run_of_another_scan_is_404(app: Flask, client: FlaskClient) -> None:
    one, other = finished(app), finished(app, "other.png")
    response = client.get(f"{SCANS}/{one['id']}/mask.png?segmentation={other['segmentation']['id']}")
    assert response.status_code == 404


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

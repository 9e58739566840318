"""Every failure has one form, a code from docs/api.md, and no word of what happened inside; faults of the machine."""

import errno
import io
import re
import shutil
import sqlite3
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import abort

from tests.support.resources import png_bytes
from tests.webapp.clients import NOTHING, SCANS, finished, resources_of, send, sent, traces
from webapp.domain.database import engine
from webapp.domain.errors import PortalError, StorageUnavailable
from webapp.domain.jobs.wait import Waiters
from webapp.domain.scans import lookup
from webapp.domain.storage.local import LocalStorage
from webapp.error_handlers import error_table

CANARY = "Canary^Patient"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """A test may add routes to it."""
    return make_app(is_new=True)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("PATCH", "/api/v1/scans", 405, "method_not_allowed"),
        ("TRACE", "/api/v1/scans", 405, "method_not_allowed"),
        ("POST", "/api/v1/scans", 400, "no_file"),
    ],
)
def test_an_error_is_json_under_the_api(client: FlaskClient, method: str, path: str, status: int, code: str) -> None:
    response = client.open(path, method=method)
    assert (response.status_code, response.json["code"]) == (status, code)
    assert set(response.json) == {"code", "message", "request_id"}
    assert response.json["request_id"] == response.headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/api/scans", "/api/v1/", "/api/v1/scans/"])
def test_a_wrong_address_of_the_api_is_told_where_the_right_ones_stand(client: FlaskClient, path: str) -> None:
    assert "/api/v1/docs lists what there is" in client.get(path).json["message"]


def test_an_error_is_a_page_elsewhere(client: FlaskClient) -> None:
    response = client.get("/nothing")
    assert (response.status_code, response.mimetype) == (404, "text/html")
    assert "There is nothing at this address." in response.text


def test_a_method_that_is_not_taken_says_which_are(client: FlaskClient) -> None:
    assert {"GET", "POST"} <= set(client.put(SCANS).headers["Allow"].split(", "))
    page = client.get("/scans/bulk")
    assert page.status_code == 405 and "the page that has the form" in page.text


@pytest.mark.parametrize("status", [401, 406, 411, 412, 417, 428])
def test_a_refusal_that_has_no_sentence_of_its_own_is_no_internal_error(app: Flask, status: int) -> None:
    app.add_url_rule("/api/test", view_func=lambda: abort(status))
    response = app.test_client().get("/api/test")
    assert (response.status_code, response.json["code"]) == (status, "bad_request")


def test_an_unexpected_fault_tells_the_user_its_number_and_the_log_the_rest(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("inner words")

    for path in ("/api/test", "/test"):
        app.add_url_rule(path, endpoint=path, view_func=fail)
    for path in ("/api/test", "/test"):
        response = app.test_client().get(path)
        assert response.status_code == 500
        assert "inner words" not in response.text and "Traceback" not in response.text
        assert response.headers["X-Request-Id"] in response.text
        assert response.headers["X-Request-Id"] in caplog.text and "inner words" in caplog.text


def test_a_database_error_in_the_log_holds_no_values(
    any_app: Flask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with resources_of(any_app).database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE scans RENAME COLUMN filename TO gone")
    response = send(any_app.test_client(), (f"{CANARY}.png", png_bytes()))
    assert response.status_code in (500, 503)
    assert "filename" in caplog.text or response.status_code == 503
    assert CANARY not in caplog.text and CANARY not in response.text


def test_a_locked_database_is_503_with_retry_after(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.3)
    app = make_app()
    client = app.test_client()
    scan = sent(client)
    before = traces(app)
    lock = sqlite3.connect(Path(resources_of(app).settings.instance_dir) / "glioscope.sqlite3", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        for response in (send(client, ("x.png", png_bytes())), client.delete(f"{SCANS}/{scan['id']}")):
            assert (response.status_code, response.json["code"]) == (503, "database_unavailable")
            assert int(response.headers["Retry-After"]) > 0
        assert client.get("/scans").status_code == 200, "readers are not held up"
        assert traces(app) == before
    finally:
        lock.close()
    assert client.delete(f"{SCANS}/{scan['id']}").status_code == 204


def test_a_database_that_is_away_is_503_on_pages_too(make_app: Callable[..., Flask]) -> None:
    client = make_app(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none").test_client()
    for path in ("/", "/scans", SCANS, f"{SCANS}/{'0' * 32}"):
        response = client.get(path)
        assert response.status_code == 503, path
        assert "The database" in response.text and response.headers["Retry-After"]
    assert client.get("/healthz").status_code == 200


def test_a_full_disk_is_507(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**9, 10**9, 1))
    response = send(client, ("x.png", png_bytes()), headers={"Idempotency-Key": "k"})
    assert (response.status_code, response.json["code"]) == (507, "storage_full")
    assert traces(app) == NOTHING


def test_a_temporary_folder_that_is_full_while_the_request_is_read_is_507(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, _data: bytes) -> int:
            raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr("werkzeug.wrappers.request.default_stream_factory", lambda **_: Full())
    response = send(client, ("x.png", png_bytes()))
    assert (response.status_code, response.json["code"]) == (507, "storage_full")
    assert traces(app) == NOTHING


def test_a_store_that_is_away_is_503(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = finished(app)

    def away(*_: object) -> None:
        raise StorageUnavailable("The storage cannot be used right now; try again later.")

    monkeypatch.setattr(LocalStorage, "check", away)
    response = send(client, ("x.png", png_bytes()))
    assert (response.status_code, response.json["code"]) == (503, "storage_unavailable")
    assert response.headers["Retry-After"]
    assert client.get(f"/scans/{scan['id']}").status_code == 200


def test_a_delete_whose_files_stay_forgets_row_and_pictures(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{SCANS}/{finished(app)['id']}"
    etag, _ = client.get(f"{path}/mask.png").get_etag()

    def away(*_: object) -> None:
        raise StorageUnavailable("The storage cannot be used right now; try again later.")

    monkeypatch.setattr(LocalStorage, "delete", away)
    assert client.delete(path).status_code == 503
    assert client.get(path).status_code == client.get(f"{path}/mask.png").status_code == 404
    assert etag and resources_of(app).images.get(etag, lambda: b"rendered anew") == b"rendered anew"


def test_waiting_clients_never_take_all_threads(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "waiters", Waiters(most=0))
    path = f"{SCANS}/{sent(client)['id']}"
    response = client.get(f"{path}?wait=20")
    assert (response.status_code, response.json["code"]) == (503, "too_many_waiting")
    assert int(response.headers["Retry-After"]) > 0, "answered at once, a client that waits would ask without a pause"
    assert client.get(path).json["segmentation"]["status"] == "queued"


def test_every_code_of_the_domain_is_in_the_table() -> None:
    known = {row["code"]: row["status"] for row in error_table()}
    for kind in PortalError.__subclasses__():
        if "code" in vars(kind):
            assert known[kind.code] == kind.status
    assert all(re.fullmatch(r"[a-z_]+", code) for code in known)

"""Runs over HTTP: again, with another threshold, cancel, retry."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.jobs import claim_segmentation
from tests.webapp.clients import SCANS, finish, finished, resources_of, sent
from webapp.domain.scans.models import Scan

RUNS = "/api/v1/segmentations"


@pytest.mark.parametrize("segmentation_id", ["-1", "1 OR 1=1", "0" * 32, "x" * 32])
@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_an_unknown_run_is_404(client: FlaskClient, segmentation_id: str, action: str) -> None:
    response = client.post(f"{RUNS}/{segmentation_id}/{action}")
    assert (response.status_code, response.json["code"]) == (404, "not_found")


def test_canceled_and_retried_runs_are_answered_with_the_scans_own_warnings(app: Flask, client: FlaskClient) -> None:
    scan = sent(client)
    resources = resources_of(app)
    with resources.database.write() as session:
        session.get_one(Scan, scan["id"]).warnings = ["synthetic"]
    path = f"{RUNS}/{scan['segmentation']['id']}"
    for action in ("cancel", "retry"):
        answer = client.post(f"{path}/{action}")
        assert answer.status_code == 200
        assert [warning["code"] for warning in answer.json["warnings"]] == ["synthetic"], action


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff\xfe", b"[" * 100_000, b'{"threshold": ' + b"1" * 10_000 + b"}", b"nonsense"],
    ids=["cut", "no utf-8", "deep", "long number", "words"],
)
def test_broken_json_is_400(app: Flask, client: FlaskClient, body: bytes) -> None:
    scan = finished(app)
    path = f"{SCANS}/{scan['id']}/segmentations"
    response = client.post(path, data=body, content_type="application/json")
    assert (response.status_code, response.json["code"]) == (400, "bad_request")
    assert len(client.get(path).json["segmentations"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        '{"threshold": NaN}',
        '{"threshold": "NaN"}',
        '{"threshold": 1e999}',
        '{"threshold": 1.01}',
        '{"threshold": {}}',
        '{"threshold": -0.01}',
        '{"model": "none-such"}',
        '{"model": 7}',
        '{"model": "\\u0000"}',
        '{"model": "\\ud800"}',
        '{"tresholt": 0.4}',
        "[]",
        '"0.5"',
        "7",
    ],
)
def test_a_value_that_is_not_allowed_is_422(any_app: Flask, body: str) -> None:
    client, scan = any_app.test_client(), finished(any_app)
    path = f"{SCANS}/{scan['id']}/segmentations"
    response = client.post(path, data=body, content_type="application/json", headers={"Idempotency-Key": "k"})
    assert (response.status_code, response.json["code"]) == (422, "invalid")
    assert len(client.get(path).json["segmentations"]) == 1


def test_a_body_that_is_not_json_starts_no_run(app: Flask, client: FlaskClient) -> None:
    path = f"{SCANS}/{finished(app)['id']}/segmentations"
    response = client.post(path, data='{"threshold": 0.9}')
    assert (response.status_code, response.json["code"]) == (415, "unsupported")
    assert len(client.get(path).json["segmentations"]) == 1


def test_json_of_megabytes_is_413(app: Flask, client: FlaskClient) -> None:
    path = f"{SCANS}/{finished(app)['id']}/segmentations"
    response = client.post(path, json={"model": "m" * 2_000_000})
    assert (response.status_code, response.json["code"]) == (413, "too_large")


def test_another_threshold_uses_the_stored_map(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    response = client.post(f"{SCANS}/{scan['id']}/segmentations", json={"threshold": 0.99})
    assert (response.status_code, response.json["status"], response.json["threshold"]) == (202, "queued", 0.99)
    claimed = claim_segmentation(resources_of(app), response.json["id"])
    assert claimed is not None and claimed[1].map_key is not None


def test_without_a_body_the_same_run_is_done_again(app: Flask, client: FlaskClient) -> None:
    path = f"{SCANS}/{finished(app)['id']}/segmentations"
    assert client.post(path).status_code == 202
    assert len(client.get(path).json["segmentations"]) == 2


def test_the_newest_success_is_shown_and_all_runs_are_listed_newest_first(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    path = f"{SCANS}/{scan['id']}"
    second = client.post(f"{path}/segmentations", json={"threshold": 0.99}).json["id"]
    assert client.get(path).json["segmentation"]["id"] == scan["segmentation"]["id"]
    finish(resources_of(app), second)
    assert client.get(path).json["segmentation"]["verdict"] == "no_tumor"
    runs = client.get(f"{path}/segmentations").json["segmentations"]
    assert [run["id"] for run in runs] == [second, scan["segmentation"]["id"]]


def test_cancel_and_retry_change_the_state_or_say_it(client: FlaskClient) -> None:
    scan = sent(client)
    run, mask = scan["segmentation"]["id"], f"{SCANS}/{scan['id']}/mask.png"
    assert client.post(f"{RUNS}/{run}/retry").json["message"].endswith("this one is queued.")
    assert client.get(mask).json["message"] == "There is no result yet: the segmentation is queued."
    assert client.post(f"{RUNS}/{run}/cancel").json["status"] == "cancelled"
    # "Not yet" would let a client ask for ever.
    assert client.get(mask).json["message"].startswith("There is no result: the segmentation is cancelled; retry it")
    again = client.post(f"{RUNS}/{run}/cancel")
    assert (again.status_code, again.json["code"]) == (409, "wrong_state")
    assert client.post(f"{RUNS}/{run}/retry").json["status"] == "queued"


def test_a_finished_run_is_neither_cancelled_nor_retried(app: Flask, client: FlaskClient) -> None:
    run = finished(app)["segmentation"]["id"]
    for action in ("cancel", "retry"):
        assert client.post(f"{RUNS}/{run}/{action}").status_code == 409

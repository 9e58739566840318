"""The forms: what they do, and where they lead; without JavaScript too."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ml.synthetic.phantoms import PHANTOMS
from tests.support.resources import add_scan, png_bytes
from tests.webapp.clients import NOTHING, finished, resources_of, send, sent, token, traces

# Browsers drop a larger cookie, and with it the session.
LARGEST_COOKIE = 4093


def post(client: FlaskClient, path: str, **data: object):
    return client.post(path, data={"csrf_token": token(client), **data})


def upload(client: FlaskClient, *files: tuple[str, bytes]):
    return send(client, *files, path="/scans", form={"csrf_token": token(client)})


def test_one_good_file_leads_to_its_page(client: FlaskClient) -> None:
    response = upload(client, ("a.png", png_bytes()))
    assert response.status_code == 303
    assert "a.png" in client.get(response.headers["Location"]).text


def test_several_files_lead_home_and_the_refused_ones_are_named(client: FlaskClient) -> None:
    response = upload(client, ("a.png", png_bytes()), ("b.png", b"%PDF-1.7 no picture"))
    assert (response.status_code, response.headers["Location"]) == (303, "/")
    page = client.get("/").text
    assert "b.png: The file is a PDF document" in page and "a.png" in page


def test_a_refused_file_is_a_page_that_says_why(app: Flask, client: FlaskClient) -> None:
    response = upload(client, ("b.png", b"%PDF-1.7 no picture"))
    assert (response.status_code, response.mimetype) == (415, "text/html")
    assert "The file is a PDF document" in response.text
    assert upload(client).status_code == 400
    assert traces(app) == NOTHING


def test_many_refusals_with_long_names_fit_into_the_cookie(client: FlaskClient) -> None:
    names = [f"{index}{'é' * 3000}.png" for index in range(90)]
    response = upload(client, ("good.png", png_bytes()), *((name, b"%PDF-1.7 no picture") for name in names))
    assert response.status_code == 303
    assert len(response.headers["Set-Cookie"]) < LARGEST_COOKIE
    page = client.get("/").text
    assert "The file is a PDF document" in page and "more files were not taken" in page


@pytest.mark.parametrize("name", [phantom.name for phantom in PHANTOMS])
def test_a_phantom_is_taken_like_an_upload_and_labelled(app: Flask, client: FlaskClient, name: str) -> None:
    response = post(client, f"/samples/{name}")
    assert response.status_code == 303
    assert "Synthetic phantom" in client.get(response.headers["Location"]).text
    assert traces(app).scans == 1


@pytest.mark.parametrize(
    ("threshold", "status"),
    [("0.7", 303), ("", 303), ("NaN", 422), ("inf", 422), ("1.5", 422), ("x", 422), ("\0", 422), ("1" * 5000, 422)],
)
def test_a_run_is_asked_for_with_a_threshold(any_app: Flask, threshold: str, status: int) -> None:
    client, scan = any_app.test_client(), finished(any_app)
    response = post(client, f"/scans/{scan['id']}/segmentations", threshold=threshold)
    assert response.status_code == status
    assert traces(any_app).segmentations == (2 if status == 303 else 1)


def test_a_run_with_a_model_that_is_not_there_is_422(any_app: Flask) -> None:
    client, scan = any_app.test_client(), finished(any_app)
    for model in ("none-such", "../x", "a\0b"):
        assert post(client, f"/scans/{scan['id']}/segmentations", model=model).status_code == 422


def test_deleting_asks_once(app: Flask, client: FlaskClient) -> None:
    path = f"/scans/{finished(app)['id']}/delete"
    assert "This is final." in post(client, path).text
    assert traces(app).scans == 1
    assert post(client, path, confirmed="yes").status_code == 303
    assert traces(app) == NOTHING
    assert "1 scan deleted." not in post(client, path, confirmed="yes").text


def test_several_scans_are_deleted_or_run_again(app: Flask, client: FlaskClient) -> None:
    ids = [finished(app, f"{index}.png")["id"] for index in range(3)]
    assert post(client, "/scans/bulk", action="rerun", scan=ids).status_code == 303
    assert traces(app).segmentations == 6
    assert "Delete these 2 scans?" in post(client, "/scans/bulk", action="delete", scan=ids[:2]).text
    post(client, "/scans/bulk", action="delete", scan=[*ids[:2], "0" * 32], confirmed="yes")
    assert "2 scans deleted." in client.get("/scans").text
    assert traces(app).scans == 1


@pytest.mark.parametrize(
    "data",
    [
        {"action": "delete"},
        {"action": "drop", "scan": "0" * 32},
        {"action": "delete", "scan": "1 OR 1=1"},
        {"action": "delete", "scan": "é" * 32, "confirmed": "yes"},
        {"action": "rerun", "scan": ["0" * 32] * 201},
    ],
    ids=["none", "action", "sql", "letters", "too many"],
)
def test_a_selection_that_makes_no_sense_changes_nothing(any_app: Flask, data: dict[str, object]) -> None:
    client = any_app.test_client()
    add_scan(resources_of(any_app))
    assert post(client, "/scans/bulk", **data).status_code == 303
    assert traces(any_app).scans == 1


def test_a_model_that_cannot_be_used_is_said_once_for_all_selected(make_app: Callable[..., Flask]) -> None:
    app = make_app(GLIOSCOPE_MODEL="none-such")
    ids = [add_scan(resources_of(app))[0] for _ in range(50)]
    client = app.test_client()
    response = post(client, "/scans/bulk", action="rerun", scan=ids)
    assert len(response.headers["Set-Cookie"]) < LARGEST_COOKIE
    assert client.get("/scans").text.count("There is no such model") == 1


def test_cancel_and_retry_lead_back_to_the_scan(client: FlaskClient) -> None:
    scan = sent(client)
    for action, heading in (("cancel", "Cancelled"), ("retry", "in line")):
        response = post(client, f"/segmentations/{scan['segmentation']['id']}/{action}")
        assert (response.status_code, response.headers["Location"]) == (303, f"/scans/{scan['id']}")
        assert heading in client.get(f"/scans/{scan['id']}").text
    assert post(client, f"/segmentations/{scan['segmentation']['id']}/retry").status_code == 409


def test_a_run_is_offered_again_with_its_own_threshold(client: FlaskClient, app: Flask) -> None:
    scan = finished(app)
    path = f"/api/v1/scans/{scan['id']}/segmentations"
    run = client.post(path, json={"threshold": 0.305}).json
    page = client.get(f"/scans/{scan['id']}?segmentation={run['id']}").text
    (field,) = re.findall(r'<input[^>]*name="threshold"[^>]*>', page)
    assert 'value="0.305"' in field and 'step="any"' in field


def test_bulk_actions_come_back_to_the_same_list(client: FlaskClient, app: Flask) -> None:
    ids = [finished(app, name="a.png")["id"] for _ in range(2)]
    query = "q=a&sort=name&cursor=x&next=//evil.example"
    again = post(client, "/scans/bulk", action="rerun", scan=ids, query=query)
    assert again.headers["Location"] == "/scans?q=a&sort=name"
    asked = post(client, "/scans/bulk", action="delete", scan=ids, query=query)
    assert 'name="query" value="q=a&amp;sort=name' in asked.text
    done = post(client, "/scans/bulk", action="delete", scan=ids, query=query, confirmed="yes")
    assert done.headers["Location"] == "/scans?q=a&sort=name"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [("from=2026-02-02&to=2026-02-01", "later than the last"), ("from=yesterday", "is not a day"), ("q=a", None)],
)
def test_days_that_cannot_be_meant_are_said(client: FlaskClient, query: str, sentence: str | None) -> None:
    page = client.get(f"/scans?{query}").text
    assert sentence is None or sentence in page

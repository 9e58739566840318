"""Studies over the API: made by a name, renamed, filtered by, gone with their last scan."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.resources import png_bytes
from tests.webapp.clients import SCANS, send, sent

STUDIES = "/api/v1/studies"
HTML = "<img src=x onerror=alert(1)>"
# As it is sent, and as it is kept: control characters, an override, Persian with its joiner, an accent of its own.
NAMES = {
    "  Patient\t7\n": "Patient 7",
    HTML: HTML,
    "\u202efdp.exe\0": "fdp.exe",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "患者 七": "患者 七",
    "x" * 255: "x" * 255,
}


def in_study(client: FlaskClient, study: str, name: str = "scan.png", value: int = 90) -> dict[str, Any]:
    return sent(client, name, png_bytes(value=value), form={"study": study})


def names(client: FlaskClient, **query: str) -> list[str]:
    return [study["name"] for study in client.get(STUDIES, query_string=query).json["studies"]]


@pytest.mark.parametrize("typed", NAMES)
def test_a_study_is_made_by_its_name_whatever_it_says(client: FlaskClient, typed: str) -> None:
    scan = in_study(client, typed)
    study = client.get(f"{STUDIES}/{scan['study']['id']}").json
    assert study["name"] == scan["study"]["name"] == NAMES[typed]
    assert [item["id"] for item in study["scans"]] == [scan["id"]]
    assert (study["scan_count"], study["revision"], study["notes"], study["tags"]) == (1, 1, "", [])
    page = client.get("/scans").text
    assert HTML not in page and "\u202e" not in page


@pytest.mark.parametrize("name", ["x" * 256, "\u202e\u200b"])
def test_a_name_that_cannot_be_kept_is_refused_before_anything_is_stored(client: FlaskClient, name: str) -> None:
    response = send(client, ("a.png", png_bytes()), form={"study": name})
    assert (response.status_code, response.json["code"]) == (422, "invalid")
    assert client.get(SCANS).json["scans"] == []


def test_one_name_is_one_study_in_whatever_case_and_form(client: FlaskClient) -> None:
    first, second = in_study(client, "Mu\u0308ller"), in_study(client, "M\u00dcLLER", value=80)
    assert first["study"] == second["study"]
    listed = client.get(SCANS, query_string={"study": first["study"]["id"]}).json["scans"]
    assert {scan["id"] for scan in listed} == {first["id"], second["id"]}
    assert client.get(SCANS, query_string={"study": "none"}).json["scans"] == []


def test_a_study_is_renamed_and_searched_by_name_tags_and_notes(client: FlaskClient) -> None:
    scan = in_study(client, "Old name", "head.png")
    other = in_study(client, "Other", "tail.png", 80)
    path = f"{STUDIES}/{scan['study']['id']}"
    body = {"name": HTML, "notes": " seen\r\ntwice\0 ", "tags": ["FLAIR", " flair ", "Visit\n2", ""]}
    study = client.patch(path, json=body).json
    assert (study["name"], study["notes"], study["tags"]) == (HTML, "seen\ntwice", ["FLAIR", "Visit 2"])
    assert names(client) == ["Other", HTML]
    assert [names(client, q=text) for text in ("onerror", "VISIT", "twice", "old")] == [[HTML]] * 3 + [[]]
    found = client.get(SCANS, query_string={"q": "visit"}).json["scans"]
    assert [item["id"] for item in found] == [scan["id"]]
    assert client.patch(path, json={"name": "OTHER"}).json["code"] == "conflict"
    assert client.patch(path, json={"name": "old NAME"}).json["name"] == "old NAME"
    for bad in ({"name": " "}, {"tags": ["x"] * 1001}, {"tags": ["x" * 61]}, {"notes": "x" * 10_001}, {"scans": []}):
        assert client.patch(path, json=bad).status_code == 422
    assert client.get(f"{STUDIES}/{other['study']['id']}").json["revision"] == 1


def test_of_two_tabs_that_rename_at_once_the_second_is_told(client: FlaskClient) -> None:
    path = f"{STUDIES}/{in_study(client, 'Patient 7')['study']['id']}"
    revision = client.get(path).json["revision"]
    assert client.patch(path, json={"name": "First tab", "revision": revision}).status_code == 200
    late = client.patch(path, json={"name": "Second tab", "revision": revision})
    assert (late.status_code, late.json["code"]) == (409, "conflict")
    assert client.get(path).json["name"] == "First tab"


def test_a_scan_moves_and_a_study_goes_with_its_last_scan(client: FlaskClient) -> None:
    first, second = in_study(client, "A"), in_study(client, "A", value=80)
    moved = client.patch(f"{SCANS}/{first['id']}", json={"study": "B"}).json
    assert moved["study"]["name"] == "B" and sorted(names(client)) == ["A", "B"]
    assert client.patch(f"{SCANS}/{second['id']}", json={"study": "b"}).json["study"] == moved["study"]
    assert names(client) == ["B"] and client.get(f"{STUDIES}/{first['study']['id']}").status_code == 404
    assert client.patch(f"{SCANS}/{first['id']}", json={"study": None}).json["study"] is None
    assert names(client) == ["B"]
    client.delete(f"{SCANS}/{second['id']}")
    assert names(client) == []
    for body in ({}, {"study": ""}, {"study": 7}, {"filename": "x"}):
        assert client.patch(f"{SCANS}/{first['id']}", json=body).status_code == 422


def test_the_history_in_the_order_of_studies_keeps_each_together(any_app: Flask) -> None:
    client = any_app.test_client()
    for number, study in enumerate(("P10", "P2", "P10", "", "P2")):
        sent(client, f"{number}.png", png_bytes(value=60 + number), **({"form": {"study": study}} if study else {}))
    found, cursor = [], ""
    while cursor is not None:
        page = client.get(SCANS, query_string={"sort": "study", "limit": 2, "cursor": cursor}).json
        found += [(scan["study"]["name"], scan["filename"]) for scan in page["scans"]]
        cursor = page["next_cursor"]
    assert found == [("P2", "1.png"), ("P2", "4.png"), ("P10", "0.png"), ("P10", "2.png")]


def test_the_same_file_again_names_the_earlier_scan(any_app: Flask) -> None:
    client = any_app.test_client()
    first = sent(client, "a.png")
    again = sent(client, "b.png")
    assert first["same_as"] is None
    assert again["same_as"] == {key: first[key] for key in ("id", "filename", "created_at")}
    assert again["segmentation"]["status"] == "queued"
    assert sent(client, "a.png", png_bytes(value=70))["same_as"] is None
    client.delete(f"{SCANS}/{first['id']}")
    assert client.get(f"{SCANS}/{again['id']}").json["same_as"] is None


def test_a_key_sent_again_with_another_study_is_another_request(client: FlaskClient) -> None:
    headers = {"Idempotency-Key": "k"}
    first = sent(client, form={"study": "A"}, headers=headers)
    assert sent(client, form={"study": "A"}, headers=headers)["id"] == first["id"]
    assert send(client, ("scan.png", png_bytes()), form={"study": "B"}, headers=headers).status_code == 422

"""What a request may be made of, whatever it asks for: its body's coding, the names in its address, empty fields."""

import gzip
import io

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.resources import png_bytes
from tests.webapp.clients import NOTHING, SCANS, finished, send, sent, traces


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
def test_a_packed_body_is_refused_and_not_read_as_it_comes(app: Flask, client: FlaskClient, coding: str) -> None:
    """The parts of a body that gzip only stored are found, with its own bytes in the middle of the files."""
    file = gzip.compress(png_bytes(), 0)
    response = send(client, ("a.png", file), headers={"Content-Encoding": coding})
    assert (response.status_code, response.json["code"]) == (415, "unsupported")
    assert "Content-Encoding" in response.json["message"] and response.headers["Accept-Encoding"] == "identity"
    assert traces(app) == NOTHING
    path = f"{SCANS}/{finished(app)['id']}"
    packed = {"Content-Encoding": coding, "Content-Type": "application/json"}
    assert client.patch(path, data=gzip.compress(b'{"study": "S"}'), headers=packed).status_code == 415


def test_a_body_that_says_it_is_not_packed_is_taken(client: FlaskClient) -> None:
    sent(client, headers={"Content-Encoding": "identity"})


def test_json_under_another_name_is_told_which(app: Flask, client: FlaskClient) -> None:
    path = f"{SCANS}/{finished(app)['id']}/segmentations"
    response = client.post(path, data='{"threshold": 0.9}', content_type="application/x-www-form-urlencoded")
    assert response.status_code == 415
    assert "Content-Type: application/json" in response.json["message"]


@pytest.mark.parametrize("body", [b'\xef\xbb\xbf{"study": "S"}', '{"study": "Müller"}'.encode("latin-1"), b"{"])
def test_json_in_other_bytes_is_told_which(app: Flask, client: FlaskClient, body: bytes) -> None:
    path = f"{SCANS}/{finished(app)['id']}"
    response = client.patch(path, data=body, content_type="application/json")
    assert (response.status_code, response.json["code"]) == (400, "bad_request")
    assert "UTF-8" in response.json["message"] and "byte order mark" in response.json["message"]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("verdict=tumor_detected&verdict=no_tumor", "verdict"),
        ("status=failed&limit=1&status=succeeded", "status"),
        ("limit=1&limit=2", "limit"),
    ],
)
def test_a_second_value_behind_the_address_is_not_left_out(client: FlaskClient, query: str, name: str) -> None:
    """Of two verdicts, as a list is sent by many clients, the first one's scans were all that was listed."""
    response = client.get(f"{SCANS}?{query}")
    assert (response.status_code, response.json["code"]) == (422, "invalid")
    assert response.json["message"].startswith(f"{name}: several values, and it takes one")


def test_values_that_may_be_several_are_and_a_doubled_one_is_one(client: FlaskClient) -> None:
    assert client.get(f"{SCANS}?warning=constant&warning=oblique&limit=2&limit=2").status_code == 200


def test_a_second_study_of_an_upload_is_not_left_out(app: Flask, client: FlaskClient) -> None:
    """`study` behind each file: all scans went to the first one's."""
    before = traces(app)
    files = [(io.BytesIO(png_bytes()), "a.png"), (io.BytesIO(png_bytes()), "b.png")]
    response = client.post(SCANS, data={"file": files, "study": ["A", "B"]})
    assert (response.status_code, response.json["code"]) == (422, "invalid")
    assert response.json["message"].startswith("study: several values")
    assert traces(app) == before


@pytest.mark.parametrize("body", ["null", '["0123"]', '"0.5"'])
def test_json_that_is_no_object_is_told_so(client: FlaskClient, body: str) -> None:
    """It was told: `_schema: Invalid input type.`"""
    response = client.post(f"{SCANS}/stack", data=body, content_type="application/json")
    assert (response.status_code, response.json["code"]) == (422, "invalid")
    assert response.json["message"].startswith("The body must be one object of JSON")


def test_a_refusal_of_the_whole_body_is_its_sentence_alone(app: Flask, client: FlaskClient) -> None:
    response = client.patch(f"{SCANS}/{finished(app)['id']}", json={})
    assert response.json["message"] == "Give `study` or `spacing_mm`, one at a time."


def test_a_range_behind_the_end_is_told_the_length(app: Flask, client: FlaskClient) -> None:
    path = f"{SCANS}/{finished(app)['id']}/original"
    length = len(client.get(path, buffered=True).data)
    response = client.get(path, headers={"Range": f"bytes={length}-"}, buffered=True)
    assert (response.status_code, response.json["code"]) == (416, "range")
    assert response.headers["Content-Range"] == f"bytes */{length}"
    assert "Range" in response.json["message"]


@pytest.mark.parametrize(
    ("method", "path", "name", "words"),
    [
        ("POST", "{scan}/segmentations?threshold=0.9", "threshold", "body"),
        ("POST", SCANS + "?threshold=0.9", "threshold", "body"),
        ("DELETE", "{scan}?force=1", "force", "takes none"),
        ("GET", "{scan}/mask.png?threshold=0.9", "threshold", "segmentation, slice"),
        ("GET", "{scan}?waits=3", "waits", "segmentation, wait"),
        ("GET", SCANS + "?verdct=tumor_detected&limit=3", "verdct", "verdict"),
        ("GET", "{scan}/original?raw=1", "raw", "takes none"),
        ("HEAD", "{scan}?waits=3", "waits", ""),
    ],
)
def test_a_name_in_the_address_that_means_nothing_is_refused(
    app: Flask, client: FlaskClient, method: str, path: str, name: str, words: str
) -> None:
    """What was asked would else be answered as if it had been done."""
    scan = finished(app)
    before = traces(app)
    response = client.open(path.format(scan=f"{SCANS}/{scan['id']}"), method=method)
    assert response.status_code == 422
    if method != "HEAD":
        assert response.json["code"] == "invalid"
        assert name in response.json["message"] and words in response.json["message"]
    assert traces(app) == before


def test_every_call_names_what_its_address_takes(app: Flask, client: FlaskClient) -> None:
    """What the description lists is taken, by every call."""
    described = client.get("/api/v1/openapi.json").json["paths"]
    for path, calls in described.items():
        for method, call in calls.items():
            if method == "parameters" or not isinstance(call, dict):
                continue
            for parameter in call.get("parameters", []):
                if parameter.get("in") != "query":
                    continue
                filled = path.replace("{", "").replace("}", "")
                for word in [part for part in path.split("/") if part.startswith("{") and part.endswith("_id}")]:
                    filled = filled.replace(word[1:-1], "0" * 32)
                answer = client.open(f"{filled}?{parameter['name']}=", method=method)
                said = (answer.json or {}).get("message", "") if answer.is_json else ""
                assert "not a name that is taken" not in said, (method, path, parameter["name"])


@pytest.mark.parametrize("name", ["threshold", "volume", "model", "study", "group"])
def test_an_empty_field_of_an_upload_is_none(client: FlaskClient, name: str) -> None:
    """As a form sends what nobody filled in."""
    plain, other = sent(client), sent(client, form={name: ""})
    for answer in (plain, other):
        assert answer["study"] is None
    assert other["segmentation"]["threshold"] == plain["segmentation"]["threshold"]
    assert other["segmentation"]["model"] == plain["segmentation"]["model"]


def test_a_value_of_a_list_that_is_not_allowed_is_named_by_its_list(client: FlaskClient) -> None:
    message = client.get(f"{SCANS}?warning=constant&warning=nope").json["message"]
    assert message.startswith("warning: Must be one of")

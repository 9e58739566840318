"""Studies on the pages, by their forms alone: made, renamed, moved, and what is said where that cannot be."""

import html
import io
import re
import zipfile
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support import dicom_files
from tests.support.resources import png_bytes
from tests.webapp.api.series.drawn_head import AFFINE, VOXELS
from tests.webapp.clients import SCANS, finished, send, sent, token

HTML = "<script>alert(1)</script>"


def study_of(client: FlaskClient, scan_id: str) -> dict[str, str] | None:
    return client.get(f"{SCANS}/{scan_id}").json["study"]


def test_a_study_is_renamed_on_its_page_and_the_second_tab_keeps_what_it_typed(client: FlaskClient) -> None:
    study = sent(client, form={"study": "Patient 7"})["study"]
    path = f"/studies/{study['id']}"
    page = client.get(f"/scans?study={study['id']}").text
    revision = re.search(r'name="revision" value="(\d+)"', page)[1]
    form = {"csrf_token": token(client), "revision": revision, "name": HTML, "tags": "a, b,,A", "notes": f"{HTML}\nx"}
    assert client.post(path, data=form).status_code == 303
    page = client.get(f"/scans?study={study['id']}").text
    assert HTML not in page and page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 3
    assert re.findall(r'title="Scans with this tag">(\w)<', page) == ["a", "b"]

    late = client.post(path, data=form | {"name": "Second tab", "csrf_token": token(client)})
    assert late.status_code == 409
    assert 'value="Second tab"' in late.text and "changed elsewhere in the meantime" in late.text
    again = re.search(r'name="revision" value="(\d+)"', late.text)[1]
    form |= {"name": "Second tab", "revision": again, "csrf_token": token(client)}
    assert client.post(path, data=form).status_code == 303
    empty = client.post(path, data=form | {"name": " ", "csrf_token": token(client)})
    assert empty.status_code == 422 and "A study has a name" in empty.text


def test_a_tab_writes_what_was_changed_in_it_and_leaves_the_rest_to_the_other(client: FlaskClient) -> None:
    study = sent(client, form={"study": "Patient 7"})["study"]
    path, address = f"/studies/{study['id']}", f"/api/v1/studies/{study['id']}"

    def fields(page: str) -> dict[str, str]:
        found = re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page[page.index('id="study-edit"') :])
        notes = re.search(r'<textarea[^>]* name="notes"[^>]*>([^<]*)<', page)[1]
        return {**{name: html.unescape(value) for name, value in found}, "notes": html.unescape(notes)}

    first = fields(client.get(f"/scans?study={study['id']}").text)
    second = dict(first)
    assert client.post(path, data=first | {"tags": "flair, review", "notes": "one\r\ntwo"}).status_code == 303
    late = client.post(path, data=second | {"patient": "P7", "csrf_token": token(client)})
    assert late.status_code == 409
    again = fields(late.text)
    assert (again["tags"], again["notes"], again["patient"]) == ("flair, review", "one\ntwo", "P7")
    assert client.post(path, data=again).status_code == 303
    stored = client.get(address).json
    assert (stored["tags"], stored["notes"], stored["patient"]) == (["flair", "review"], "one\ntwo", "P7")


def test_saving_a_study_as_it_is_shown_keeps_its_tags(client: FlaskClient) -> None:
    """A tag that the API has set may have a comma, or quotes."""
    study = sent(client, form={"study": "Patient 7"})["study"]
    tags = ["left, frontal", '5" coil', '"seen"', "glioma"]
    address = f"/api/v1/studies/{study['id']}"
    assert client.patch(address, json={"tags": tags}).json["tags"] == tags

    page = client.get(f"/scans?study={study['id']}").text
    shown = re.findall(r'name="(name|tags|revision)" value="([^"]*)"', page)
    form = {**{name: html.unescape(value) for name, value in shown}, "csrf_token": token(client), "notes": "seen"}
    assert client.post(f"/studies/{study['id']}", data=form).status_code == 303

    saved = client.get(address).json
    assert (saved["tags"], saved["notes"]) == (tags, "seen")


def test_selected_scans_move_to_a_study_and_out_of_it(client: FlaskClient) -> None:
    scans = [sent(client, f"{number}.png", png_bytes(value=60 + number))["id"] for number in range(3)]
    form = {"csrf_token": token(client), "action": "study", "scan": scans[:2], "study": " Müller "}
    assert client.post("/scans/bulk", data=form).status_code == 303
    assert "2 scans are in the study “Müller” now." in client.get("/scans").text
    found = [study_of(client, scan_id) for scan_id in scans]
    assert found[0] == found[1] and found[0]["name"] == "Müller" and found[2] is None
    client.post("/scans/bulk", data=form | {"csrf_token": token(client), "study": "x" * 256})
    assert "at most 255 characters" in client.get("/scans").text
    client.post(f"/scans/{scans[0]}/study", data={"csrf_token": token(client), "study": ""})
    client.post("/scans/bulk", data=form | {"csrf_token": token(client), "study": ""})
    assert [study_of(client, scan_id) for scan_id in scans] == [None] * 3


def test_selected_scans_are_downloaded_or_it_is_said_why_not(app: Flask, client: FlaskClient) -> None:
    scan = finished(app, "done.png")
    form = {"csrf_token": token(client), "content": "masks", "scan": [scan["id"]]}
    with zipfile.ZipFile(io.BytesIO(client.post("/scans/download", data=form).data)) as file:
        assert "done-mask.tif" in file.namelist()
    queued = sent(client, "waits.png", png_bytes(value=70))["id"]
    assert client.post("/scans/download", data=form | {"scan": [queued]}).status_code == 303
    assert "None of these scans has a result yet" in client.get("/scans").text


def test_the_history_says_how_many_match_and_groups_by_study(client: FlaskClient) -> None:
    assert 'id="filters"' not in client.get("/scans").text, "no filters above an empty list"
    for number in range(3):
        study = {"form": {"study": f"P{number % 2}"}} if number else {}
        sent(client, f"{number}.png", png_bytes(value=60 + number), **study)
    text = client.get("/scans?q=1.png").text
    assert re.sub(r"<[^>]+>", "", re.search(r'id="match-count">(.*?)</p>', text)[1]) == "1 scan matches"
    assert "<strong>3</strong> scans" in client.get("/scans").text
    grouped = client.get("/scans?sort=study").text
    assert re.findall(r'scope="rowgroup"><a [^>]+>(.*?)<', grouped) == ["P0", "P1"]
    assert "<strong>2</strong> scans in studies" in grouped
    assert 'id="filters"' in client.get("/scans?q=nothing").text
    gone = client.get(f"/scans?study={'0' * 32}").text
    assert "There is no such study any more" in gone


def test_the_form_without_scripts_takes_a_study_and_the_result_names_the_same_file(client: FlaskClient) -> None:
    first = sent(client, "first.png")
    form = {"csrf_token": token(client), "study": "Typed"}
    response = send(client, ("again.png", png_bytes()), path="/scans", form=form)
    page = client.get(response.headers["Location"]).text
    assert "(Typed)" in page
    assert f'The same file as <a href="/scans/{first["id"]}">first.png</a>' in page
    assert 'id="same-as"' not in client.get(f"/scans/{first['id']}").text


def test_a_filter_of_warnings_is_told_to_the_table(client: FlaskClient) -> None:
    sent(client)
    page = client.get("/scans?warning=any&verdict=tumor_detected&from=nonsense").text
    assert "No scan matches" in page and "as it is written" not in page
    assert "“first again” is looked for as it is written" in client.get("/scans?q=first+again").text
    table = re.search(r'href="([^"]+history\.csv[^"]*)"', client.get("/scans?from=nonsense&sort=name").text)[1]
    assert client.get(table.replace("&amp;", "&")).status_code == 200


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"PatientID": "A1"}, {"PatientID": "B1"}, "of 2 patients"),
        ({"PatientBirthDate": "19500312"}, {"PatientBirthDate": "19800505"}, "of persons with 2 birth dates"),
    ],
)
def test_a_study_of_two_patients_says_so_on_its_page(
    client: FlaskClient, one: dict[str, str], other: dict[str, str], said: str
) -> None:
    def series_of(elements: dict[str, str]) -> dict[str, Any]:
        files = dicom_files.series(VOXELS, AFFINE, **elements)
        form = {"study": "Board"}
        return send(client, *[(f"{k}.dcm", data) for k, data in enumerate(files)], form=form).json["scans"][0]

    first = series_of(one)
    path = f"/scans?study={first['study']['id']}"
    assert "move them apart" not in client.get(path).text
    second = series_of(other)
    assert f"By their headers its series are {said}; move them apart." in client.get(path).text
    refused = client.put(f"{SCANS}/{first['id']}/sequences", json={"flair": first["id"], "t1": second["id"]})
    assert refused.status_code == 422
    assert refused.json["message"] == "By their headers the sequences are of several patients; choose series of one."


def test_scans_are_found_by_their_patient(client: FlaskClient) -> None:
    files = dicom_files.series(VOXELS, AFFINE, PatientID="C3")
    [scan] = send(client, *[(f"{k}.dcm", data) for k, data in enumerate(files)]).json["scans"]
    study = sent(client, form={"study": "Visit"})["study"]
    client.patch(f"/api/v1/studies/{study['id']}", json={"patient": "Pat-017"})

    def found(query: str) -> list[str]:
        return [item["id"] for item in client.get(f"{SCANS}?q={query}").json["scans"]]

    assert found(scan["series"]["patient"].lower()) == [scan["id"]]
    assert len(found("pat-01")) == 1 and scan["id"] not in found("pat-01")
    assert [item["id"] for item in client.get("/api/v1/studies?q=Pat-017").json["studies"]] == [study["id"]]

"""POST /api/v1/scans/{id}/split: the files of a stack become scans of their own."""

import io

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from tests.webapp.api.test_stacks import numbered, slice_png
from tests.webapp.api.test_zips import mask_png
from tests.webapp.clients import SCANS, resources_of, send, sent, token, traces
from webapp.domain.errors import StorageFull
from webapp.domain.scans import admission, lookup
from webapp.schemas.scans import AdmittedSchema


def stack(client: FlaskClient, **form: str) -> dict:
    files = [*numbered(1, 2, 3), ("head_2_mask.png", mask_png())]
    [scan] = send(client, *files, form={"group": "auto", **form}).json["scans"]
    return scan


def test_each_file_is_a_scan_with_its_mask_and_study_and_the_stack_is_gone(app: Flask, client: FlaskClient) -> None:
    scan = stack(client, study="Anna", threshold="0.7")
    response = client.post(f"{SCANS}/{scan['id']}/split")
    assert response.status_code == 202
    made = response.json["scans"]
    assert [item["filename"] for item in made] == ["head_1.png", "head_2.png", "head_3.png"]
    assert [item["slice_count"] for item in made] == [1, 1, 1]
    assert {item["study"]["name"] for item in made} == {"Anna"}
    assert {item["segmentation"]["threshold"] for item in made} == {0.7}
    assert [item["truth"] is not None for item in made] == [False, True, False]
    assert client.get(f"{SCANS}/{made[2]['id']}/original", buffered=True).data == slice_png(30)
    truths = client.get(f"{SCANS}/{made[1]['id']}").json["truth"]
    assert truths["slices"] == [0] and truths["filename"] == "head_2_mask.png"
    assert client.get(f"{SCANS}/{scan['id']}").status_code == 404
    assert not any(scan["id"] in name for name in traces(app).files)
    assert client.post(f"{SCANS}/{scan['id']}/split").status_code == 404


def test_entered_distances_of_pixels_stay_with_the_slices(client: FlaskClient) -> None:
    scan = stack(client)
    entered = client.patch(f"{SCANS}/{scan['id']}", json={"spacing_mm": [5, 0.9, 0.8]})
    assert entered.status_code == 200
    made = client.post(f"{SCANS}/{scan['id']}/split").json["scans"]
    assert [(item["spacing_mm"], item["spacing_source"]) for item in made] == [([None, 0.9, 0.8], "entered")] * 3
    shown = client.get(f"{SCANS}/{made[0]['id']}").json["segmentation"]["warnings"]
    assert "spacing_entered" in {one["code"] for one in shown}


def test_a_split_whose_answer_was_lost_is_answered_again(app: Flask, client: FlaskClient) -> None:
    """Sent again under its key it was 404, and which scans there were by then was not to be learned."""
    scan = stack(client)
    keyed = {"Idempotency-Key": "split-1"}
    first = client.post(f"{SCANS}/{scan['id']}/split", headers=keyed)
    assert first.status_code == 202 and AdmittedSchema().validate(first.json) == {}, "as generated clients read it"
    client.delete(f"{SCANS}/{first.json['scans'][0]['id']}")
    before = traces(app)
    again = client.post(f"{SCANS}/{scan['id']}/split", headers=keyed)
    assert again.status_code == 202
    assert [item["id"] for item in again.json["scans"]] == [item["id"] for item in first.json["scans"][1:]]
    assert traces(app) == before
    assert client.post(f"{SCANS}/{scan['id']}/split").status_code == 404


def test_one_file_is_kept_as_it_is(client: FlaskClient) -> None:
    scan = sent(client)
    response = client.post(f"{SCANS}/{scan['id']}/split")
    assert (response.status_code, response.json["code"]) == (409, "wrong_state")
    assert "Make single scans of it" not in client.get(f"/scans/{scan['id']}").text


def test_where_one_cannot_be_stored_the_stack_stays_and_the_others_go(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = stack(client)
    before, admit, calls = traces(app), admission.admit, []

    def full(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise StorageFull("The disk is full.")
        return admit(*arguments, **options)

    monkeypatch.setattr(admission, "admit", full)
    assert client.post(f"{SCANS}/{scan['id']}/split").status_code == 507
    assert traces(app) == before
    assert client.get(f"{SCANS}/{scan['id']}").json["truth"]["slices"] == [1]


def test_where_the_stack_stays_one_that_was_deleted_meanwhile_keeps_no_other(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = stack(client)
    before, admit, made = traces(app), admission.admit, []

    def full(*arguments, **options):
        if len(made) == 2:
            lookup.delete(resources_of(app), made[0])  # somebody found it in the history already
            raise StorageFull("The disk is full.")
        accepted = admit(*arguments, **options)
        made.append(accepted.scan_id)
        return accepted

    monkeypatch.setattr(admission, "admit", full)
    response = client.post(f"{SCANS}/{scan['id']}/split")
    assert (response.status_code, response.json["code"]) == (507, "storage_full")
    assert traces(app) == before


def turned(pixels: np.ndarray, tag: int, kind: str = "png") -> bytes:
    """A picture whose orientation tag (EXIF 274) turns it."""
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(pixels).save(file, kind, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize(
    ("mask_tag", "kind", "codes"),
    [(6, "png", []), (6, "jpeg", ["lossy_mask"]), (8, "png", ["mask_orientation"])],
)
def test_what_is_doubtful_about_a_mask_is_what_its_own_file_showed(
    client: FlaskClient, mask_tag: int, kind: str, codes: list[str]
) -> None:
    """Whatever became of its slice since: split, put into a stack, and split again."""
    head, mask = np.zeros((48, 64), np.uint8), np.zeros((48, 64), np.uint8)
    head[8:40, 8:56] = np.arange(48, dtype=np.uint8) + 90
    mask[20:30, 20:40] = 255
    mask[22:26, 40:44] = 255
    files = [(f"head_{number}.png", turned(head + number, 6)) for number in (1, 2)]
    scan = send(client, *files, (f"head_2_mask.{kind}", turned(mask, mask_tag, kind)), form={"group": "auto"})
    [scan] = scan.json["scans"]

    def found() -> list[tuple[str, list[int]]]:
        return [(finding["code"], finding["slices"]) for finding in scan["truth"]["findings"]]

    assert found() == [(code, [1]) for code in codes]
    apart = client.post(f"{SCANS}/{scan['id']}/split").json["scans"]
    assert apart[0]["truth"] is None
    scan = apart[1]
    assert found() == [(code, [0]) for code in codes]
    scan = client.post(f"{SCANS}/stack", json={"scans": [one["id"] for one in apart]}).json
    assert found() == [(code, [1]) for code in codes]


def test_files_of_one_name_are_told_apart_whatever_the_others_are_called(client: FlaskClient) -> None:
    names = ("head.png", "0003_head.png", "head.png")
    files = [(name, slice_png(10 * number)) for number, name in enumerate(names, 1)]
    [scan] = send(client, *files, form={"group": "stack"}).json["scans"]
    made = client.post(f"{SCANS}/{scan['id']}/split").json["scans"]
    sent_back = [client.get(f"{SCANS}/{item['id']}/original", buffered=True).data for item in made]
    assert sorted(sent_back) == sorted(content for _, content in files)


def test_originals_that_are_gone_are_said(app: Flask, client: FlaskClient) -> None:
    scan = stack(client)
    resources_of(app).storage.delete(f"scans/{scan['id'][:2]}/{scan['id']}/original")
    response = client.post(f"{SCANS}/{scan['id']}/split")
    assert (response.status_code, response.json["code"]) == (503, "storage_unavailable")
    assert client.get(f"{SCANS}/{scan['id']}").status_code == 200


def test_the_page_asks_first(client: FlaskClient) -> None:
    scan = stack(client)
    assert "Make single scans of it" in client.get(f"/scans/{scan['id']}").text
    path, form = f"/scans/{scan['id']}/split", {"csrf_token": token(client)}
    asked = client.post(path, data=form)
    assert asked.status_code == 200 and "is removed" in asked.text
    done = client.post(path, data={**form, "confirmed": "yes"})
    assert done.status_code == 303
    assert "3 scans have taken the place of the stack." in client.get(done.headers["Location"]).text

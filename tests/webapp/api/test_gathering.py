"""POST /api/v1/scans/stack: single slices become one stack afterwards."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.resources import png_bytes
from tests.webapp.api.test_stacks import numbered, slice_png
from tests.webapp.api.test_zips import mask_png
from tests.webapp.clients import SCANS, resources_of, send, sent, token, traces
from webapp.domain.errors import StorageFull
from webapp.domain.scans import admission, lookup, regrouping

STACK = f"{SCANS}/stack"


def singles(client: FlaskClient, *numbers: int, **form: str) -> list[dict]:
    files = [*numbered(*numbers), ("head_10_mask.png", mask_png())]
    scans: list[dict] = send(client, *files, form={"group": "none", **form}).json["scans"]
    return scans


def test_slices_become_a_stack_in_natural_order_with_their_masks_and_are_gone(app: Flask, client: FlaskClient) -> None:
    made = singles(client, 10, 2, 1, study="Anna", threshold="0.7")
    response = client.post(STACK, json={"scans": [scan["id"] for scan in made]})
    assert response.status_code == 202
    stack = response.json
    assert (stack["slice_count"], stack["filename"], stack["study"]["name"]) == (3, "head", "Anna")
    assert stack["slice_names"] == ["head_1.png", "head_2.png", "head_10.png"]
    assert stack["segmentation"]["threshold"] == 0.7 and stack["truth"]["slices"] == [2]
    for scan in made:
        assert client.get(f"{SCANS}/{scan['id']}").status_code == 404
        assert not any(scan["id"] in name for name in traces(app).files)
    # And apart again.
    apart = client.post(f"{SCANS}/{stack['id']}/split").json["scans"]
    assert client.get(f"{SCANS}/{apart[0]['id']}/original", buffered=True).data == slice_png(10)
    assert [scan["truth"] is not None for scan in apart] == [False, False, True]


def test_a_stack_whose_answer_was_lost_is_answered_again(app: Flask, client: FlaskClient) -> None:
    """Sent again under its key it was 404: "There is no such scan.", of the slices."""
    ids = [scan["id"] for scan in singles(client, 1, 2, 10)]
    keyed = {"Idempotency-Key": "stack-1"}
    first = client.post(STACK, json={"scans": ids}, headers=keyed)
    before = traces(app)
    again = client.post(STACK, json={"scans": ids}, headers=keyed)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json["id"] == first.json["id"] and traces(app) == before
    other = client.post(STACK, json={"scans": ids[:2]}, headers=keyed)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert client.post(STACK, json={"scans": ids}).status_code == 404


def test_a_stack_that_could_not_be_made_frees_its_key(client: FlaskClient) -> None:
    keyed = {"Idempotency-Key": "stack-2"}
    ids = [scan["id"] for scan in singles(client, 1, 2)]
    assert client.post(STACK, json={"scans": ids[:1]}, headers=keyed).status_code == 422
    assert client.post(STACK, json={"scans": ids}, headers=keyed).status_code == 202


def test_what_is_no_slice_of_one_size_is_named_and_nothing_changes(app: Flask, client: FlaskClient) -> None:
    first, second = sent(client, "a_1.png", png_bytes(64, 48)), sent(client, "a_2.png", png_bytes(48, 48))
    [stack] = send(client, *numbered(1, 2), form={"group": "auto"}).json["scans"]
    before = traces(app)
    for ids, words in (
        ([first["id"], second["id"]], "a_2.png has 48 x 48 pixels and a_1.png 64 x 48"),
        ([first["id"], stack["id"]], "head is no single picture"),
    ):
        response = client.post(STACK, json={"scans": ids})
        assert (response.status_code, response.json["code"]) == (409, "wrong_state") and words in response.json[
            "message"
        ]
    assert client.post(STACK, json={"scans": [first["id"], first["id"]]}).status_code == 422
    assert client.post(STACK, json={"scans": [first["id"]]}).status_code == 422
    assert client.post(STACK, json={"scans": [first["id"], "0" * 32]}).status_code == 404
    assert traces(app) == before


@pytest.mark.parametrize("where", ["storing", "mask"])
def test_where_the_stack_cannot_be_made_the_slices_stay(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    made = singles(client, 10, 11)
    before = traces(app)

    def full(*_arguments: object, **_options: object) -> None:
        raise StorageFull("The disk is full.")

    if where == "storing":
        monkeypatch.setattr(admission, "store", full)
    else:
        monkeypatch.setattr(regrouping.truth, "attach", full)
    assert client.post(STACK, json={"scans": [scan["id"] for scan in made]}).status_code == 507
    assert traces(app).files == before.files
    assert all(client.get(f"{SCANS}/{scan['id']}").status_code == 200 for scan in made)


def test_originals_that_are_gone_are_said(app: Flask, client: FlaskClient) -> None:
    made = singles(client, 10, 11)
    resources_of(app).storage.delete(f"scans/{made[0]['id'][:2]}/{made[0]['id']}/original")
    response = client.post(STACK, json={"scans": [scan["id"] for scan in made]})
    assert (response.status_code, response.json["code"]) == (503, "storage_unavailable")
    assert "original files are missing" in response.json["message"]


def test_the_history_asks_first(client: FlaskClient) -> None:
    made = singles(client, 1, 10, 2)
    form = {"csrf_token": token(client), "action": "stack", "scan": [scan["id"] for scan in made]}
    asked = client.post("/scans/bulk", data=form)
    assert re.findall(r"<li>(.*?)</li>", asked.text) == ["head_1.png", "head_2.png", "head_10.png"]
    assert asked.status_code == 200 and "single scans, with their runs and entered distances, are removed" in asked.text
    done = client.post("/scans/bulk", data={**form, "confirmed": "yes"})
    assert done.status_code == 303
    assert "head_1.png" in client.get(done.headers["Location"]).text
    one = sent(client)
    refused = client.post("/scans/bulk", data={**form, "scan": [one["id"]]}, follow_redirects=True)
    assert "A stack is made of two scans or more" in refused.text


@pytest.mark.parametrize("whose", ["stack", "split"])
def test_where_another_tab_was_quicker_nothing_is_doubled(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    if whose == "stack":
        made = singles(client, 10, 11)
        path, body = STACK, {"scans": [scan["id"] for scan in made]}
    else:
        made = send(client, *numbered(1, 2), form={"group": "auto"}).json["scans"]
        path, body = f"{SCANS}/{made[0]['id']}/split", None
    store, taken = admission.store, made[-1]["id"]

    def store_while_it_goes(*arguments: object, **options: object) -> object:
        nonlocal taken
        accepted = store(*arguments, **options)  # type: ignore[arg-type]
        if taken:
            gone, taken = taken, ""
            lookup.delete(resources_of(app), gone)
        return accepted

    monkeypatch.setattr(admission, "store", store_while_it_goes)
    response = client.post(path, json=body)
    assert (response.status_code, response.json["code"]) == (409, "wrong_state")
    assert "deleted meanwhile" in response.json["message"]
    left = {scan["id"] for scan in client.get(SCANS).json["scans"]}
    assert left == {scan["id"] for scan in made[:-1]}

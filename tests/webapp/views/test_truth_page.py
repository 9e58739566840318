"""The result page beside an expert's mask."""

import re

from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.api.test_truth import drawn, half, head, png, stack_of
from tests.webapp.clients import SCANS, finish, resources_of, send, token


def post(client: FlaskClient, path: str, *files: tuple[str, bytes], **form: str):
    return send(client, *files, path=path, form={"csrf_token": token(client), **form})


def test_the_page_shows_how_far_model_and_expert_agree(app: Flask, client: FlaskClient) -> None:
    done = stack_of(app, client, ("p/s_1_mask.png", png(half())), ("p/s_3_mask.png", png(drawn())))
    page = client.get(f"/scans/{done['id']}?slice=0").text
    assert "2 of 3 slices" in page
    assert '<td class="number" data-metric="dice">0.500</td><td class="number">0.750</td>' in page
    assert "errors.png?slice=0" in page
    other = client.get(f"/scans/{done['id']}?slice=1").text
    assert '<p class="truth-missing muted" id="truth-missing">The slice in view has no expert' in other


def test_a_page_that_shows_another_mask_replaces_and_removes_none(client: FlaskClient) -> None:
    """Two windows: the second one's page says that there is no mask yet, or shows the one before."""
    [scan] = send(client, ("a.png", png(head()))).json["scans"]
    path = f"/scans/{scan['id']}"

    def seen() -> str:
        shown = set(re.findall(r'name="seen" value="(\w*)"', client.get(path).text))
        assert len(shown) == 1, "both forms say the same"
        return shown.pop()

    def name() -> str:
        return client.get(f"{SCANS}/{scan['id']}").json["truth"]["filename"]

    nothing = seen()
    assert nothing == ""
    post(client, f"{path}/truth", ("first.png", png(half())), seen=nothing)
    first = seen()
    assert post(client, f"{path}/truth", ("second.png", png(drawn())), seen=nothing).status_code == 303
    assert "changed elsewhere in the meantime" in client.get(path).text
    assert (name(), seen()) == ("first.png", first)
    post(client, f"{path}/truth", ("second.png", png(drawn())), seen=first)
    assert name() == "second.png"

    asked = post(client, f"{path}/truth/delete", seen=first).text
    assert f'name="seen" value="{first}"' in asked
    assert post(client, f"{path}/truth/delete", seen=first, confirmed="yes").status_code == 303
    assert name() == "second.png"
    post(client, f"{path}/truth/delete", seen=seen(), confirmed="yes")
    assert client.get(f"{SCANS}/{scan['id']}").json["truth"] is None


def test_without_scripts_a_form_sets_exchanges_and_takes_away(app: Flask, client: FlaskClient) -> None:
    [scan] = send(client, ("a.png", png(head()))).json["scans"]
    path = f"/scans/{scan['id']}"
    assert "Add an expert" in client.get(path).text
    assert post(client, f"{path}/truth", ("m.png", png(half()))).status_code == 303
    assert "as soon as there is a result" in client.get(path).text
    finish(resources_of(app), scan["segmentation"]["id"])
    assert "Dice with the expert" in client.get(path).text

    response = post(client, f"{path}/truth", ("m.png", b"no image at all"))
    assert response.status_code == 303
    assert "m.png: " in client.get(path).text
    assert client.get(f"{SCANS}/{scan['id']}").json["truth"]["filename"] == "m.png"

    assert "Take the expert" in post(client, f"{path}/truth/delete").text
    assert post(client, f"{path}/truth/delete", confirmed="yes").status_code == 303
    assert client.get(f"{SCANS}/{scan['id']}").json["truth"] is None

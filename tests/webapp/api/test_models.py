"""/api/v1/models: the cards, and models that cannot be used."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.resources import png_bytes
from tests.webapp.clients import NOTHING, send, traces

MODELS = "/api/v1/models"


def test_the_shipped_model_is_listed_and_has_its_card(client: FlaskClient) -> None:
    listed = client.get(MODELS).json["models"]
    card = client.get(f"{MODELS}/unet-vgg16-lgg").json
    assert card in listed
    assert (card["name"], card["usable"], card["problem"]) == ("unet-vgg16-lgg", True, None)
    assert {"version", "architecture", "input", "threshold", "min_tumor_pixels", "files", "limits"} <= set(card)


@pytest.mark.parametrize("name", ["none-such", "..", "..%2f..%2fsecret_key", "%00", "x" * 3000, "1 OR 1=1", "é"])
@pytest.mark.parametrize("prefix", [MODELS, "/models"])
def test_an_unknown_model_is_404(client: FlaskClient, prefix: str, name: str) -> None:
    assert client.get(f"{prefix}/{name}").status_code == 404


def test_without_its_model_the_portal_serves_and_refuses_uploads_by_name(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    app = make_app(GLIOSCOPE_MODELS=str(tmp_path / "none"))
    client = app.test_client()
    for path in ("/", "/scans", "/models", MODELS):
        assert client.get(path).status_code == 200
    response = send(client, ("x.png", png_bytes()))
    assert (response.status_code, response.json["code"]) == (422, "invalid")
    assert "unet-vgg16-lgg is missing" in client.get("/readyz").json["model"]
    assert traces(app) == NOTHING


def test_a_card_that_cannot_be_read_is_listed_with_its_problem(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    (tmp_path / "models" / "broken").mkdir(parents=True)
    (tmp_path / "models" / "broken" / "card.json").write_text("{")
    client = make_app(GLIOSCOPE_MODELS=str(tmp_path / "models")).test_client()
    listed = client.get(MODELS).json["models"]
    assert [(item["name"], item["usable"]) for item in listed] == [("broken", False)] and listed[0]["problem"]
    for path in ("/models", "/models/broken", f"{MODELS}/broken"):
        assert client.get(path).status_code == 200
    assert str(tmp_path) not in client.get("/models/broken").text

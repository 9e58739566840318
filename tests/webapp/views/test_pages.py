"""Every page serves in every state of a scan, without a broker and without a worker."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from tests.support import scan_files
from tests.support.jobs import claim_segmentation
from tests.support.resources import MODEL, MODELS
from tests.webapp.clients import SCANS, finished, resources_of, sent
from webapp.domain.jobs import lifecycle, workers
from webapp.domain.scans import segmentations
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.settings import PROJECT_ROOT
from webapp.schemas.models import group_metrics
from webapp.views import scans

PAGES = ("/", "/scans", "/models", "/models/unet-vgg16-lgg", "/api/v1/docs")


def failed(app: Flask, name: str) -> str:
    """A scan whose job has failed; its id."""
    resources, scan = resources_of(app), sent(app.test_client(), name)
    claim, _ = claim_segmentation(resources, scan["segmentation"]["id"])
    with resources.database.write() as session:
        lifecycle.fail(session, claim, code="timeout", message="Processing took longer than 300 seconds.")
    return scan["id"]


@pytest.fixture
def states(app: Flask) -> dict[str, str]:
    """A scan in each state: queued, running, succeeded with and without tumor, failed, cancelled, a stack."""
    resources, client = resources_of(app), app.test_client()
    running, cancelled = sent(client, "running.png"), sent(client, "cancelled.png")
    claim_segmentation(resources, running["segmentation"]["id"])
    segmentations.cancel(resources, cancelled["segmentation"]["id"])
    return {
        "queued": sent(client, "queued.png")["id"],
        "running": running["id"],
        "cancelled": cancelled["id"],
        "failed": failed(app, "failed.png"),
        "tumor": finished(app, "tumor.png")["id"],
        "clear": finished(app, "clear.png", scan_files.picture(scan_files.noise() // 4, "png"))["id"],
        "stack": finished(app, "stack.tif", scan_files.every_format()["tiff stack"])["id"],
    }


@pytest.mark.parametrize("path", PAGES)
def test_a_page_of_an_empty_portal_serves(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert "Not for diagnosis." in response.text
    assert "No worker is running" in response.text


@pytest.mark.parametrize("path", PAGES)
def test_a_page_serves_with_scans_in_every_state(client: FlaskClient, states: dict[str, str], path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    if path in ("/", "/scans"):
        assert all(scan_id in response.text for scan_id in states.values())


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("queued", "in line</h2>"),
        ("running", "The model is reading the scan"),
        ("cancelled", "This segmentation was stopped before it finished."),
        ("failed", "Processing took longer"),
        ("tumor", "Tumor detected"),
        ("clear", "No tumor found"),
        ("stack", "Slices with tumor"),
    ],
)
def test_a_result_page_says_its_state(client: FlaskClient, states: dict[str, str], state: str, sentence: str) -> None:
    response = client.get(f"/scans/{states[state]}")
    assert response.status_code == 200
    assert sentence in response.text
    assert client.get(f"/scans/{states[state]}?slice=99").status_code == 404


def test_only_a_model_whose_card_has_no_temperature_is_called_not_calibrated(
    client: FlaskClient, states: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/api/v1/models/unet-vgg16-lgg").json["temperature"]
    assert "not calibrated" not in client.get(f"/scans/{states['tumor']}").text
    described = scans.dump_model
    monkeypatch.setattr(scans, "dump_model", lambda entry: {**described(entry), "temperature": None})
    assert client.get(f"/scans/{states['tumor']}").text.count("not calibrated") == 2


def test_where_scans_go_by_themselves_the_pages_say_when(make_app: Callable[..., Flask]) -> None:
    """They said that scans stay until somebody deletes them."""
    client = make_app(GLIOSCOPE_RETENTION_DAYS="30").test_client()
    for path in ("/", "/scans", "/evaluations"):
        assert "30 days" in client.get(path).text, path


def test_a_worker_that_lives_is_said(make_app: Callable[..., Flask]) -> None:
    app = make_app(is_new=True)  # an older one may still know that there was none
    client = app.test_client()
    workers.register_worker(resources_of(app), "w", engine="test", model="m")
    assert "Worker ready" in client.get("/").text


def test_a_model_that_is_gone_does_not_break_the_pages_of_its_results(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    with resources_of(app).database.write() as session:
        session.execute(update(Segmentation).values(model="gone-model"))
    for path in ("/", "/scans", f"/scans/{scan['id']}"):
        response = client.get(path)
        assert response.status_code == 200
        assert ("gone-model" in response.text) == (path != "/"), "a card names no model"


def test_a_scan_unlike_the_training_data_says_so_beside_its_verdict_on_every_page(
    app: Flask, client: FlaskClient, states: dict[str, str]
) -> None:
    shown = {path: client.get(path).text.count("Unlike the training data") for path in ("/", "/scans")}
    with resources_of(app).database.write() as session:
        wanted = Segmentation.scan_id == states["tumor"]
        session.execute(update(Segmentation).where(wanted).values(warnings=["unlike_training_data"]))
    finding = client.get(f"/scans/{states['tumor']}").text.split('id="finding"')[1].split("</section>")[0]
    assert finding.index("may mean nothing here") < finding.index("Tumor detected") < finding.index("Coverage")
    assert "may mean nothing here" not in client.get(f"/scans/{states['clear']}").text
    row = client.get("/scans").text.split(f'data-scan="{states["tumor"]}"')[1].split("</tr>")[0]
    assert row.index("Unlike the training data") < row.index("Tumor detected")
    assert client.get("/scans").text.count("Unlike the training data") == shown["/scans"] + 1
    card = client.get("/").text.split(f'data-scan="{states["tumor"]}"')[1].split("</li>")[0]
    assert "may mean nothing here" in card


def test_a_models_page_shows_what_its_card_says_of_confidence_input_check_and_served_files(
    client: FlaskClient,
) -> None:
    card = client.get("/api/v1/models/unet-vgg16-lgg").json
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>|&nbsp;", " ", client.get("/models/unet-vgg16-lgg").text))
    check, scaling = card["familiarity"], card["temperature"]
    shares = [check["warned_share"], check["warned_others"], *check["warned_by_kind"].values()]
    shares += [share for half in ("gray", "color") for share in card["sequences"][half]["stacks_warned"].values()]
    # Null where the checks were fitted anew and torch was not asked again.
    equal = card["parity"]["int8"]["warnings_equal"]
    said = [f"{100 * share:.4g} %" for share in [*shares, *([] if equal is None else [equal])]]
    said += [
        f"{check['auroc']:.3f}",
        f"{check['limit']:.3f}",
        f"{check['other_images']} images",
        *check["warned_by_kind"],
    ]
    said += [f"{scaling['temperature']:.3f}", f"{scaling['ece_foreground_before']:.3f} before"]
    assert [words for words in said if words not in text] == []


def test_a_models_figures_stand_by_set_and_rule_and_none_is_lost(client: FlaskClient) -> None:
    metrics = client.get("/api/v1/models/unet-vgg16-lgg").json["metrics"]
    groups = group_metrics(metrics)
    assert sum(len(group.metrics) for group in groups) == len(metrics)
    assert all(len({figure["name"] for figure in group.metrics}) == len(group.metrics) for group in groups)
    assert len(groups) == len({(metric["set"], metric["patients"], metric["rule"]) for metric in metrics})


def test_a_card_that_states_little_still_has_a_page(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    shipped = json.loads((MODELS / MODEL / "card.json").read_text())
    metric = {"name": "patient_dice_mean", "value": 0.5}
    card = {key: shipped[key] for key in ("architecture", "input", "threshold", "min_tumor_pixels", "files")}
    folder = tmp_path / "models" / "bare"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps({"name": "bare", "version": None, **card, "metrics": [metric]}))
    page = make_app(GLIOSCOPE_MODELS=str(folder.parent)).test_client().get("/models/bare")
    assert page.status_code == 200
    assert "states no input check" in page.text and "states no calibration" in page.text
    assert "Set not stated" in page.text


def test_a_models_page_says_what_its_encoder_started_from(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    shipped = json.loads((MODELS / MODEL / "card.json").read_text())
    start = {
        "encoder": "vgg16",
        "source": "weights.onnx",
        "source_sha256": "c" * 64,
        "licence": "CC BY 4.0",
        "source_input": "BGR, as published",
        "input": "RGB",
        "changes": ["first layer rewritten for the input"],
    }
    folder = tmp_path / "models" / "started"
    folder.mkdir(parents=True)
    card = shipped | {"name": "started", "training": shipped["training"] | {"encoder": start}}
    (folder / "card.json").write_text(json.dumps(card))
    client = make_app(GLIOSCOPE_MODELS=f"{folder.parent}{os.pathsep}{MODELS}").test_client()
    text = client.get("/models/started").text.split("Encoder start")[1].split("</dd>")[0]
    assert [
        value for key in ("source", "source_sha256", "licence", "source_input") if (value := start[key]) not in text
    ] == []
    assert "first layer rewritten" in text
    assert client.get("/api/v1/models/started").json["training"]["encoder"] == start
    older = client.get("/models/unet-vgg16-lgg").text.split("Encoder start")[1].split("</dd>")[0]
    assert "random weights" in older


def test_pages_load_nothing_from_elsewhere_and_have_no_inline_code(client: FlaskClient, states: dict[str, str]) -> None:
    for path in (*PAGES, f"/scans/{states['tumor']}", f"/scans/{states['failed']}", "/nothing-here"):
        text = client.get(path).text
        loaded = re.findall(r'<(?:script|link|img|iframe|use|form)\b[^>]*?\b(?:src|href|action)="([^"]*)"', text)
        assert loaded and all(address.startswith(("/", "#", "?")) for address in loaded), path
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text), path
        assert "javascript:" not in text


def test_every_asset_that_a_page_names_is_there(client: FlaskClient, states: dict[str, str]) -> None:
    named = set()
    for path in (*PAGES, f"/scans/{states['stack']}", f"/scans/{states['queued']}", "/nothing-here"):
        named |= set(re.findall(r'"(/static/[^"#]+)', client.get(path).text))
    assert len(named) > 10
    for address in named:
        response = client.get(address, buffered=True)
        assert response.status_code == 200, address
        assert "immutable" in response.headers["Cache-Control"]


def test_no_static_file_loads_from_elsewhere() -> None:
    for path in (PROJECT_ROOT / "static").rglob("*"):
        if path.suffix in (".css", ".js"):
            text = re.sub(r'"http://www\.w3\.org/[^"]*"', "", Path(path).read_text())
            assert not re.search(r"""(?:url\(|import|fetch\()\s*["']?(?:https?:)?//""", text), path


def test_a_scan_without_a_row_is_404_as_a_page(client: FlaskClient) -> None:
    response = client.get(f"/scans/{'0' * 32}")
    assert (response.status_code, response.mimetype) == (404, "text/html")
    assert response.headers["X-Request-Id"] in response.text
    assert client.get("/models/none-such").status_code == 404


def test_rows_of_an_older_version_still_show(app: Flask, client: FlaskClient, states: dict[str, str]) -> None:
    with resources_of(app).database.write() as session:
        session.execute(update(Segmentation).values(timings_ms={}, engine=None, model_version=None))
        session.execute(update(Scan).values(warnings=["a_code_of_a_later_version"], spacing_mm=[2.0, 0.5, 0.5]))
    for path in ("/", "/scans", SCANS, *(f"/scans/{scan_id}" for scan_id in states.values())):
        assert client.get(path).status_code == 200, path


def test_a_result_says_which_link_stays_with_it(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    said = "each link above stays with its own"
    page = client.get(f"/scans/{scan['id']}").text
    link = f"/scans/{scan['id']}?segmentation={scan['segmentation']['id']}"
    assert said in page and f'href="{link}"' in page
    assert said not in client.get(link).text


def test_routine_conversions_are_one_quiet_line_and_what_was_dropped_is_a_notice(
    app: Flask, client: FlaskClient
) -> None:
    deep = finished(app, "deep.tif", scan_files.tiff(np.linspace(0, 4000, 64 * 64).reshape(64, 64).astype(np.uint16)))
    page = client.get(f"/scans/{deep['id']}").text
    line = page.split('class="muted small conversions">')[1].split("</p>")[0]
    assert "Intensities were scaled to 8 bits" in line and "one channel" in line
    assert 'data-tone="warn"' not in page.split('class="muted small conversions">')[0].split('class="notices">')[-1]
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    two = finished(app, "two.tif", scan_files.tiff(scan_files.noise(2), **options))
    page = client.get(f"/scans/{two['id']}").text
    notices = page.split('class="notices">')[1].split("</div></div>")[0]
    assert "The file has two channels" in notices

"""A scan's pictures: of which slice and run, their grid, and what a browser may keep."""

import io

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import update

from tests.support import scan_files
from tests.webapp.clients import SCANS, finished, resources_of, sent
from webapp.domain.scans import images, lookup
from webapp.domain.scans.images import KINDS, OF_RESULT
from webapp.domain.scans.models import Segmentation, Verdict


def test_before_there_is_a_result_only_the_scan_and_its_thumbnail_can_be_seen(client: FlaskClient) -> None:
    scan = sent(client)
    for kind in KINDS:
        response = client.get(f"{SCANS}/{scan['id']}/{kind}.png")
        if kind in OF_RESULT and kind != "thumbnail":
            assert (response.status_code, response.json["code"]) == (409, "not_ready")
        else:
            assert response.status_code == 200
    assert client.get(f"{SCANS}/{scan['id']}/download.zip").status_code == 409


def test_mask_and_probability_are_in_the_scans_own_grid(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)

    def pixels(kind: str) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(client.get(f"{SCANS}/{scan['id']}/{kind}.png").data)))

    assert pixels("mask").shape == pixels("probability").shape == (48, 64)
    assert set(np.unique(pixels("mask"))) == {0, 255}
    assert np.array_equal(pixels("mask") == 255, pixels("probability") >= 128)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("slice=0", 200),
        ("slice=4", 200),
        ("slice=5", 404),
        ("slice=-1", 422),
        ("slice=1e9", 422),
        ("slice=x", 422),
        ("segmentation=" + "0" * 32, 404),
        ("segmentation=1%20OR%201=1", 404),
        ("segmentation=%00", 404),
    ],
)
def test_a_picture_is_of_a_slice_and_a_run_of_this_scan(any_app: Flask, query: str, status: int) -> None:
    scan = finished(any_app, "stack.tif", scan_files.every_format()["tiff stack"])
    assert any_app.test_client().get(f"{SCANS}/{scan['id']}/mask.png?{query}").status_code == status


@pytest.mark.parametrize(
    ("verdict", "tumor", "doubtful", "said"),
    [
        (Verdict.TUMOR_DETECTED, 30, 0, "30 tumor pixels (0.98 %), "),
        (Verdict.UNCERTAIN, 0, 7, "No tumor, 7 pixels in doubt, "),
        (Verdict.NO_TUMOR, 0, 0, "No tumor, "),
        (Verdict.NOT_ASSESSED, 30, 0, "No verdict, 30 pixels marked (0.98 %), "),
        (Verdict.NOT_ASSESSED, 30, 7, "No verdict, 30 pixels marked (0.98 %), 7 pixels in doubt, "),
        (Verdict.NOT_ASSESSED, 0, 7, "No verdict, 7 pixels in doubt, "),
        (Verdict.NOT_ASSESSED, 0, 0, "No verdict, "),
    ],
)
def test_a_caption_calls_nothing_free_of_tumor_without_a_verdict(
    app: Flask, verdict: Verdict, tumor: int, doubtful: int, said: str
) -> None:
    scan_id = finished(app)["id"]
    figures = {"index": 0, "tumor_pixels": tumor, "doubtful_pixels": doubtful, "max_probability": 0.9}
    with resources_of(app).database.write() as session:
        session.execute(update(Segmentation).values(verdict=verdict, slices=[figures]))
    with resources_of(app).database.read() as session:
        scan = lookup.get(session, scan_id)
        found = images.source(session, scan, kind="panels", slice_index=0, segmentation_id=None)
    assert found.caption.startswith(f"{said}threshold 0.65, ")


def test_scan_and_overlay_show_one_channel_in_gray(app: Flask, client: FlaskClient) -> None:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (48, 48, 3), np.uint8)).save(file, "png")
    scan_id = finished(app, "color.png", file.getvalue())["id"]
    shown = {
        (kind, channel): np.asarray(Image.open(io.BytesIO(client.get(f"{SCANS}/{scan_id}/{kind}.png{channel}").data)))
        for kind in ("scan", "overlay", "probability")
        for channel in ("", "?channel=0", "?channel=1")
    }
    assert np.array_equal(shown["scan", "?channel=1"], np.repeat(shown["scan", ""][..., 1:2], 3, axis=-1))
    assert not np.array_equal(shown["overlay", "?channel=0"], shown["overlay", "?channel=1"])
    assert np.array_equal(shown["probability", "?channel=1"], shown["probability", ""])
    assert client.get(f"{SCANS}/{scan_id}/scan.png?channel=3").status_code == 422


def test_a_known_picture_is_answered_304(app: Flask, client: FlaskClient) -> None:
    path = f"{SCANS}/{finished(app)['id']}/overlay.png"
    first = client.get(path)
    assert first.headers["Cache-Control"] == "private, no-cache"
    second = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (second.status_code, second.data) == (304, b"")


def test_a_lists_thumbnail_is_small_drawn_once_and_kept_for_an_idle_session(
    any_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, scan = any_app.test_client(), finished(any_app)
    path = f"{SCANS}/{scan['id']}/thumbnail.jpg?side=96"
    named = f"{path}&segmentation={scan['segmentation']['id']}"
    first = client.get(named)
    assert (first.status_code, first.mimetype) == (200, "image/jpeg")
    assert max(Image.open(io.BytesIO(first.data)).size) == 96
    assert first.headers["Cache-Control"] == "private, max-age=1800, immutable"
    assert "Cookie" in first.vary
    monkeypatch.setattr(images.panels, "thumbnail_image", lambda *_: pytest.fail("it was drawn again"))
    assert client.get(named).data == client.get(path).data == first.data
    # What the address does not name may change: it is asked about.
    assert client.get(path).headers["Cache-Control"] == "private, no-cache"
    assert client.get(path, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    assert client.get(f"{path}0").status_code == 422
    assert client.delete(f"{SCANS}/{scan['id']}").status_code == 204
    assert client.get(named, headers={"If-None-Match": first.headers["ETag"]}).status_code == 404


def test_lists_ask_for_thumbnails_by_their_run_and_size(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    for page, side in (("/scans", 96), ("/", 192)):
        address = f"{SCANS}/{scan['id']}/thumbnail.jpg?side={side}&amp;segmentation={scan['segmentation']['id']}"
        assert address in client.get(page).text


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", W/{}', "*"])
def test_a_known_picture_is_known_by_a_weak_tag_too(app: Flask, client: FlaskClient, form: str) -> None:
    """A proxy that compresses answers weakens their tags."""
    path = f"{SCANS}/{finished(app)['id']}/overlay.png"
    tag = client.get(path).headers["ETag"]
    assert client.get(path, headers={"If-None-Match": form.format(tag)}).status_code == 304


def test_a_head_draws_nothing(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{SCANS}/{finished(app)['id']}"
    asked = ("overlay.png", "scan.png", "download.zip")
    answers = {part: client.get(f"{path}/{part}", buffered=True).headers for part in asked}
    resources_of(app).images.delete("")
    monkeypatch.setattr(images, "_draw", lambda *_: pytest.fail("it was drawn"))
    monkeypatch.setattr(images, "_render", lambda *_: pytest.fail("it was drawn"))
    for part in asked:
        response = client.head(f"{path}/{part}")
        assert (response.status_code, response.data) == (200, b"")
        for name in ("Content-Type", "Content-Disposition", "Cache-Control", "ETag"):
            assert response.headers.get(name) == answers[part].get(name)
        assert "Content-Length" not in response.headers, "nobody knows it"

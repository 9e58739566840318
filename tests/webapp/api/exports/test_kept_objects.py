"""A DICOM object is made once, kept while it is what it was, and gone with its scan."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from ml.exports import making
from ml.exports.facts import Kind
from tests.webapp.api.exports.exported import add_series, sent_bytes
from tests.webapp.clients import SCANS, resources_of
from webapp.domain.exports import dicom_objects
from webapp.domain.scans.models import Segmentation, Verdict


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The children that exports started."""
    started: list[object] = []
    real = making.SANDBOX.run
    monkeypatch.setattr(making.SANDBOX, "run", lambda *args: started.append(args) or real(*args))
    return started


def test_an_object_is_made_once_and_kept(app: Flask, client: FlaskClient, started: list[object]) -> None:
    scan, _ = add_series(app)
    for kind in Kind:
        first = sent_bytes(client, scan, kind)
        assert sent_bytes(client, scan, kind) == first
    assert len(started) == len(Kind), "one child a kind"


def test_what_an_object_says_makes_another_one(
    app: Flask, client: FlaskClient, started: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, _ = add_series(app)
    sent_bytes(client, scan, "segmentation")
    with resources_of(app).database.write() as session:
        session.execute(update(Segmentation).values(verdict=Verdict.NOT_ASSESSED))
    voided = sent_bytes(client, scan, "segmentation", "?unassessed=true")
    assert len(started) == 2 and b"Not assessed" in voided
    monkeypatch.setattr(dicom_objects, "VERSION", "9.9.9")
    assert b"9.9.9" in sent_bytes(client, scan, "segmentation", "?unassessed=true")
    assert len(started) == 3


def test_a_kept_object_goes_with_its_scan(app: Flask, client: FlaskClient) -> None:
    scan, _ = add_series(app)
    sent_bytes(client, scan, "segmentation")
    kept = resources_of(app).images._images
    assert [key for key in kept if key.startswith(f"{scan['id']}.segmentation.")]
    assert client.delete(f"{SCANS}/{scan['id']}").status_code == 204
    assert not [key for key in kept if key.startswith(scan["id"])]


def test_an_object_whose_scan_is_deleted_while_it_is_made_is_not_kept(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, _ = add_series(app)
    real = dicom_objects.make_exports

    def make(*arguments: Any) -> None:
        real(*arguments)
        assert app.test_client().delete(f"{SCANS}/{scan['id']}").status_code == 204

    monkeypatch.setattr(dicom_objects, "make_exports", make)
    sent_bytes(client, scan, "segmentation")
    assert not [key for key in resources_of(app).images._images if key.startswith(scan["id"])]

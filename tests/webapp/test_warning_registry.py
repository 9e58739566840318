"""A new warning is one entry in the registry: the API and every page have it then. And every entry is documented."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from ml.ood.detector import UNLIKE
from tests.webapp.clients import SCANS, finished, resources_of
from tests.webapp.test_documents import DOCS, table_rows
from webapp.domain.scans.models import Scan, Segmentation
from webapp.schemas.warnings import WARNINGS, Warning, described

DOUBT = Warning("made_up_doubt", "Whether this is so is made up.", tone="warn", chip="Made-up doubt")
CHIP = Warning("made_up_chip", "The file is made up.", chip="Made-up file")
NOTE = Warning("made_up_note", "Something was made up on the way.")


@pytest.fixture
def scan_id(app: Flask, monkeypatch: pytest.MonkeyPatch) -> str:
    """A finished scan with three warnings that the registry has since a moment ago."""
    for warning in (DOUBT, CHIP, NOTE):
        monkeypatch.setitem(WARNINGS, warning.code, warning)
    scan_id: str = finished(app)["id"]
    with resources_of(app).database.write() as session:
        session.execute(update(Scan).values(warnings=[CHIP.code, NOTE.code]))
        session.execute(update(Segmentation).values(warnings=[DOUBT.code]))
    return scan_id


def test_the_api_has_all_of_it(client: FlaskClient, scan_id: str) -> None:
    assert client.get(f"{SCANS}/{scan_id}").json["segmentation"]["warnings"] == [
        {
            "code": "made_up_chip",
            "message": "The file is made up.",
            "detail": None,
            "tone": "info",
            "chip": "Made-up file",
            "is_routine": False,
            "voids_all_clear": False,
            "voids_finding": False,
        },
        {
            "code": "made_up_note",
            "message": "Something was made up on the way.",
            "detail": None,
            "tone": "info",
            "chip": None,
            "is_routine": False,
            "voids_all_clear": False,
            "voids_finding": False,
        },
        {
            "code": "made_up_doubt",
            "message": "Whether this is so is made up.",
            "detail": None,
            "tone": "warn",
            "chip": "Made-up doubt",
            "is_routine": False,
            "voids_all_clear": False,
            "voids_finding": False,
        },
    ]


def test_lists_have_the_chips(client: FlaskClient, scan_id: str) -> None:
    for page in (client.get("/").text, client.get("/scans").text):
        assert page.count("<span>Made-up doubt</span>") == page.count("<span>Made-up file</span>") == 1
        assert NOTE.message not in page


def test_the_result_says_each_once_in_its_place(client: FlaskClient, scan_id: str) -> None:
    page = client.get(f"/scans/{scan_id}").text
    finding = page.split('id="finding"')[1].split("</section>")[0]
    assert DOUBT.message in finding
    assert f"<span>{CHIP.chip}</span>" in page.split("</h1>")[1].split("</div>")[0]
    assert page.count(f"<div>{NOTE.message}</div>") == 1
    assert page.count(DOUBT.message) == 1


@pytest.mark.parametrize("code", ["not_flair", "mixed_sequences", "channel_order"])
def test_a_picture_that_may_be_no_brain_is_not_said_to_look_like_one(
    client: FlaskClient, app: Flask, code: str
) -> None:
    scan_id = finished(app)["id"]

    def sentences(*codes: str) -> list[str]:
        """Of the run's warnings with these codes, in the API; each is on the page, too."""
        with resources_of(app).database.write() as session:
            session.execute(update(Segmentation).values(warnings=list(codes)))
        warnings = client.get(f"{SCANS}/{scan_id}").json["segmentation"]["warnings"]
        found = [item["message"] for item in warnings if item["tone"] == "warn"]
        page = client.get(f"/scans/{scan_id}").text
        assert all(message in page for message in found)
        return found

    assert sentences(code) == [WARNINGS[code].message]
    unlike, beside = sentences("unlike_training_data", code)
    assert unlike == WARNINGS["unlike_training_data"].message
    assert beside == WARNINGS[code].beside[UNLIKE] and beside.startswith("If it shows a brain at all")
    assert described([code])[0].message == WARNINGS[code].message, "the registry is as it was"


def test_every_warning_is_documented_as_it_is_shown() -> None:
    text = (DOCS / "api.md").read_text().split("## Warnings")[1].split("\n## ")[0]
    documented = [tuple(row) for row in table_rows(text) if row[0].startswith("`")]
    assert documented == [(f"`{w.code}`", w.tone, w.chip or "", w.message) for w in WARNINGS.values()]
    assert all(sentence in text for warning in WARNINGS.values() for sentence in warning.beside.values())


def test_where_there_is_no_verdict_the_first_sentence_does_not_speak_of_one() -> None:
    unlike, bright = described(["unlike_training_data", "bright_background"])
    assert "verdict" not in unlike.message and unlike.message.endswith("trained on.")
    assert "crop the picture to it" in bright.message
    (alone,) = described(["unlike_training_data"])
    assert alone.message.endswith("its verdict and confidence may mean nothing here.")

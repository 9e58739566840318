"""The form that reads sequences of a study together: what it proposes, and what it does without scripts."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from tests.support import volume_files
from tests.webapp.clients import SCANS, finish, resources_of, sent, token
from webapp.domain.scans.models import Segmentation

SHAPE = (28, 32, 24)
AFFINE = volume_files.affine_of("LPS", (5.0, 5.5, 6.0), SHAPE)
HEAD = volume_files.nifti(volume_files.head(AFFINE, SHAPE), AFFINE)


def proposed(page: str) -> dict[str, str]:
    """The name of what each select proposes."""
    found = {}
    for name, options in re.findall(
        r'<select[^>]* name="(\w+)">(.*?)</select>', page.split('id="sequences"')[1].split("</form>")[0], re.S
    ):
        chosen = re.search(r"selected>([^<]*)<", options) or re.search(r"<option[^>]*>([^<]*)<", options)
        found[name] = chosen.group(1) if chosen else ""
    return found


def study_of(client: FlaskClient, *names: str) -> list[dict[str, Any]]:
    return [sent(client, name, HEAD, form={"study": "A head"}) for name in names]


POST = "t1ce.nii.gz (T1 with contrast)"


@pytest.mark.parametrize(
    ("names", "proposals"),
    [
        ("t1ce.nii.gz flair.nii.gz t1.nii.gz", ("flair.nii.gz (FLAIR)", "t1.nii.gz (T1)", POST)),
        ("t1ce.nii.gz P-t2f.nii.gz P-t2w.nii.gz", ("P-t2f.nii.gz (FLAIR)", "none", POST)),
        ("a.nii.gz b.nii.gz", ("choose", "none", "none")),
    ],
)
def test_names_propose_which_is_which(client: FlaskClient, names: str, proposals: tuple[str, ...]) -> None:
    scans = study_of(client, *names.split())
    for page in (f"/scans/{scans[0]['id']}", f"/scans?study={scans[0]['study']['id']}"):
        assert proposed(client.get(page).text) == dict(zip(("flair", "t1", "t1_post"), proposals, strict=True))


def test_the_sequence_check_proposes_what_nothing_else_tells(app: Flask, client: FlaskClient) -> None:
    scans = study_of(client, "a.nii.gz", "b.nii.gz")
    for scan in scans:
        finish(resources_of(app), scan["segmentation"]["id"])
    with resources_of(app).database.write() as session:
        told = update(Segmentation).where(Segmentation.scan_id == scans[0]["id"])
        session.execute(told.values(warnings=["not_flair"]))
    assert proposed(client.get(f"/scans/{scans[0]['id']}").text)["flair"] == "b.nii.gz"


def test_a_study_of_one_volume_and_no_study_have_no_form(client: FlaskClient) -> None:
    [scan] = study_of(client, "flair.nii.gz")
    alone = sent(client, "t1.nii.gz", HEAD)
    for page in (f"/scans/{scan['id']}", f"/scans?study={scan['study']['id']}", f"/scans/{alone['id']}", "/scans"):
        assert 'id="sequences"' not in client.get(page).text


def test_the_form_makes_a_scan_or_says_why_not(client: FlaskClient) -> None:
    flair, t1 = study_of(client, "flair.nii.gz", "t1.nii.gz")
    form = {"csrf_token": token(client), "flair": flair["id"], "t1": t1["id"], "t1_post": "", "scan": t1["id"]}
    response = client.post("/sequences", data=form)
    assert response.status_code == 303
    made = client.get(f"/api/v1{response.location}").json
    assert [part["sequence"] for part in made["parts"]] == ["flair", "t1"]
    assert 'id="sequences"' not in client.get(response.location).text, "it is made of them already"
    known = len(client.get(SCANS).json["scans"])
    for chosen, words in (
        ({"flair": flair["id"]}, "FLAIR alone"),
        ({"t1": t1["id"]}, "Choose the FLAIR"),
        ({"flair": "a\0b", "t1": t1["id"]}, "no such scan"),
    ):
        for back in ({"scan": t1["id"]}, {"study": flair["study"]["id"]}, {"scan": "//evil.example"}):
            response = client.post("/sequences", data={**chosen, **back, "csrf_token": token(client)})
            assert response.status_code == 303 and response.location.startswith("/scans")
            assert words in client.get(response.location).text
    assert len(client.get(SCANS).json["scans"]) == known


def test_a_scan_that_is_certainly_not_flair_has_figures_of_marks_and_no_finding(
    app: Flask, client: FlaskClient
) -> None:
    scan = sent(client, "t1.nii.gz", HEAD, form={"threshold": "0.3"})
    finish(resources_of(app), scan["segmentation"]["id"])
    with resources_of(app).database.write() as session:
        told = update(Segmentation).where(Segmentation.scan_id == scan["id"])
        session.execute(told.values(warnings=["not_flair", "plainly_not_flair"], verdict="not_assessed"))
    page = client.get(f"/scans/{scan['id']}").text
    finding = page.split('id="finding"')[1].split("</section>")[0]
    assert finding.count('class="doubt" data-warning') == 1 and finding.count("another") == 0
    assert "Marked pixels" in finding and "Tumor pixels" not in finding and "No finding" in finding
    measured = page.split('id="measurements"')[1].split("</section>")[0]
    assert "No finding: 1 marked region" in measured and "<details><summary>Sizes of the marked region" in measured
    pictures = page.split('id="viewer"')[1].split("</section>")[0]
    assert "</i>marked<" in pictures and "marked area per slice" in pictures and "</i>tumor" not in pictures
    channels = page.split('id="channel"')[1].split("</select>")[0]
    assert "T1</option>" in channels and "FLAIR" not in channels

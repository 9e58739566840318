"""GET /api/v1/scans/{id}/report.pdf: the result on paper."""

import csv
import io
import re

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from ml.reports.scan_pdf import KeyPicture, ScanReport, scan_pdf
from ml.scans import formats
from tests.ml.reports.test_pdf import words_of
from tests.support import volume_files
from tests.support.resources import png_bytes
from tests.webapp.api.exports.exported import AFFINE, SHAPE, add_series, judged
from tests.webapp.clients import SCANS, finished, resources_of, send
from webapp.domain.scans.models import Segmentation, Verdict
from webapp.schemas.labels import FORMATS


def test_a_series_report_says_what_its_page_does(app: Flask, client: FlaskClient) -> None:
    scan, _ = add_series(app)
    measured = client.get(f"{SCANS}/{scan['id']}/measurements.json").json

    response = client.get(scan["links"]["report"])

    assert (response.status_code, response.mimetype) == (200, "application/pdf")
    assert "head-report.pdf" in response.headers["Content-Disposition"]
    said = " ".join(words_of(response.data).split())
    wanted = [
        "Research use only. Not for diagnosis.",
        "Tumor detected",
        f"{measured['volume_ml']:.2f} mL",
        f"{measured['lesions'][0]['diameter_mm']:.1f} mm",
        scan["series"]["patient"],
        scan["segmentation"]["model"],
        "Trained on",
    ]
    assert [words for words in wanted if words not in said] == []
    assert pages_of(response.data) <= 2
    assert said.count(f"of {scan['slice_count']}") >= 3, "three slices"


def test_a_picture_without_spacing_has_pixels_and_no_millimeters(app: Flask, client: FlaskClient) -> None:
    scan = finished(app, "Größe \u4e2d.png", png_bytes())
    response = client.get(f"{SCANS}/{scan['id']}/report.pdf")
    said = words_of(response.data)
    assert response.status_code == 200
    assert " mL" not in said and " mm" not in said and "not known" in said
    assert scan["id"] in said, "the name on paper may be nothing but question marks"
    assert "Größe \u4e2d.png".encode("utf-16-be").hex().encode() in response.data, "its own title has every letter"
    assert pages_of(response.data) <= 2


def test_lesions_of_a_single_slice_have_areas_as_on_the_page(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    assert client.patch(f"{SCANS}/{scan['id']}", json={"spacing_mm": [None, 0.5, 0.5]}).status_code == 200
    [lesion, *_] = client.get(f"{SCANS}/{scan['id']}/measurements.json").json["lesions"]
    said = words_of(client.get(f"{SCANS}/{scan['id']}/report.pdf").data)
    assert re.search(r"\d voxels", said) is None
    assert said.count(f"{lesion['area_mm2']:.1f} mm²") == 2, "of the scan and of its one lesion"


def test_without_a_verdict_nothing_is_called_tumor(app: Flask, client: FlaskClient) -> None:
    scan, _ = add_series(app)
    judged(app, Verdict.NOT_ASSESSED, "not_flair", "plainly_not_flair")
    said = words_of(client.get(scan["links"]["report"]).data)
    assert "No verdict" in said and "Marked regions" in said and "no finding" in said
    assert "Tumor pixels" not in said and "Lesions" not in said


@pytest.mark.parametrize(
    ("verdict", "drawn", "sentence"),
    [
        (Verdict.TUMOR_DETECTED, 0, "The expert's mask of this scan marks no tumor: all figures here are the model's."),
        (Verdict.NO_TUMOR, 1, "The expert's mask of this scan marks tumor, which the model does not"),
        (Verdict.TUMOR_DETECTED, 1, None),
    ],
)
def test_an_experts_mask_stands_beside_the_models_figures(
    app: Flask, client: FlaskClient, verdict: Verdict, drawn: int, sentence: str | None
) -> None:
    scan, _ = add_series(app)
    mask = np.zeros(SHAPE, np.uint8)
    mask[10:20, 10:20, 3] = drawn
    data = {"file": (io.BytesIO(volume_files.nifti(mask, AFFINE)), "corrected.nii.gz")}
    assert client.put(f"{SCANS}/{scan['id']}/truth", data=data).status_code == 200
    judged(app, verdict)

    said = " ".join(words_of(client.get(scan["links"]["report"]).data).split())

    count = f"{scan['slice_count']} of {scan['slice_count']} slices"
    assert f"corrected.nii.gz, {count}: {'100 px' if drawn else 'no tumor'}" in said
    assert ("marks tumor" in said or "marks no tumor" in said) == bool(sentence)
    assert (sentence or "Dice with it") in said


DOUBT = {"slice": 1, "pixels": 113, "max_probability": 0.96, "regions": 2}


@pytest.mark.parametrize(
    ("verdict", "codes", "sentence"),
    [
        (
            Verdict.TUMOR_DETECTED,
            (),
            "In doubt, and counted by no figure: 2 regions, with a probability of up to 96 % on slice 2.",
        ),
        (Verdict.UNCERTAIN, (), "is below what the model calls a tumor: 39 px above"),
        (Verdict.NOT_ASSESSED, ("not_flair", "plainly_not_flair"), None),
    ],
)
def test_what_is_in_doubt_is_told_by_the_verdict(
    app: Flask, client: FlaskClient, verdict: Verdict, codes: tuple[str, ...], sentence: str | None
) -> None:
    """What the rule for stacks dropped may be as probable as the tumor: it is not below the model's threshold."""
    scan, _ = add_series(app)
    judged(app, verdict, *codes)
    with resources_of(app).database.write() as session:
        session.execute(update(Segmentation).values(doubt=DOUBT, min_tumor_pixels=39))

    said = " ".join(words_of(client.get(scan["links"]["report"]).data).split())

    if sentence:
        assert sentence in said
    else:
        assert "in doubt" not in said.lower() and "calls a tumor" not in said
    assert "(DICOM)" in said and "%" not in re.sub(r" %", "", said)


def test_what_was_seen_and_not_counted_is_no_all_clear_on_paper_either(app: Flask, client: FlaskClient) -> None:
    scan = finished(app)
    figures = {"index": 0, "tumor_pixels": 0, "max_probability": 0.999, "uncounted_pixels": 1234}
    values = {"verdict": Verdict.NO_TUMOR, "tumor_pixels": 0, "min_tumor_pixels": 1500, "threshold": 0.995}
    with resources_of(app).database.write() as session:
        session.execute(update(Segmentation).values(slices=[figures], **values))

    said = " ".join(words_of(client.get(f"{SCANS}/{scan['id']}/report.pdf").data).split())

    assert "No tumor counted" in said and "No tumor found" not in said
    assert "1,234 px above 0.995 are not counted: in areas smaller than the smallest that counts, 1,500 px." in said
    page = client.get(f"/scans/{scan['id']}").text
    assert "<strong>No tumor counted</strong>" in page and "1,234&nbsp;px above 0.995 not counted" in page


def test_every_format_has_its_name() -> None:
    assert {entry.name for entry in formats.FORMATS} <= set(FORMATS)


def test_what_is_too_much_for_two_pages_is_counted() -> None:
    words = "as many words as a sentence of a model's card has, and more of them than anybody reads " * 2
    picture = KeyPicture("Slice 1", png_bytes(), png_bytes(value=10))
    report = ScanReport(
        name="long " * 30,
        verdict="Uncertain",
        doubts=[words] * 2,
        facts=[("fact", "value")] * 8,
        figures=[("figure", "value")] * 6,
        figures_head="Figures",
        pictures=[picture] * 3,
        lesion_count=50,
        lesion_heads=["lesion", "volume"],
        lesions=[["1", "2 ml"]] * 50,
        notes=[words] * 30,
        model=[("row", words)] * 6,
        metrics=[["dice", "0.8", "13", words]] * 30,
        limits=[words] * 20,
    )
    data = scan_pdf(report)
    assert pages_of(data) == 2
    assert "The largest 8 of 50 lesions" in words_of(data)


def pages_of(data: bytes) -> int:
    [count] = re.findall(rb"/Count (\d+)\n/Kids", data)
    return int(count)


def test_there_is_no_report_before_there_is_a_result(client: FlaskClient) -> None:
    [scan] = send(client, ("a.png", png_bytes())).json["scans"]
    response = client.get(f"{SCANS}/{scan['id']}/report.pdf")
    assert (response.status_code, response.json["code"]) == (409, "not_ready")


def test_a_run_of_another_package_of_the_name_has_not_the_card_of_the_installed_one(
    app: Flask, client: FlaskClient
) -> None:
    scan = finished(app)
    with resources_of(app).database.write() as session:
        session.execute(update(Segmentation).values(model_version="files-0badcafe"))
    installed = client.get(f"/api/v1/models/{scan['segmentation']['model']}").json
    assert installed["release"] == installed["version"] == scan["segmentation"]["model_version"]

    said = " ".join(words_of(client.get(f"{SCANS}/{scan['id']}/report.pdf").data).split())

    assert "files-0badcafe" in said and f"By now {installed['release']} is installed" in said
    assert "Trained on" not in said
    assert f"installed by now: {installed['release']}" in client.get(f"/scans/{scan['id']}").text


def test_a_report_and_the_table_say_who_and_which_day_were_entered(app: Flask, client: FlaskClient) -> None:
    """A NIfTI file has neither."""
    voxels = np.random.default_rng(1).integers(0, 900, SHAPE).astype(np.int16)
    scan = finished(app, "head.nii", volume_files.nifti(voxels, AFFINE))
    study = client.patch(f"{SCANS}/{scan['id']}", json={"study": "Second visit"}).json["study"]
    entered = {"patient": "Pat-017", "date": "2024-07-12"}
    assert client.patch(f"/api/v1/studies/{study['id']}", json=entered).status_code == 200

    said = " ".join(words_of(client.get(f"{SCANS}/{scan['id']}/report.pdf").data).split())
    assert "Second visit" in said and "Pat-017" in said and "2024-07-12, as entered" in said
    [row] = csv.DictReader(client.get(f"{SCANS}/history.csv").text.splitlines())
    assert (row["patient"], row["exam_date"]) == ("Pat-017", "2024-07-12")
    assert client.get(f"{SCANS}/{scan['id']}").json["study"] == study | entered

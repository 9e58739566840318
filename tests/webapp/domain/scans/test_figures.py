"""Figures in words are those of the page."""

from flask import Flask
from flask.testing import FlaskClient

from tests.ml.reports.test_pdf import words_of
from tests.webapp.api.exports.exported import add_series
from tests.webapp.clients import resources_of
from webapp.domain.scans import images, lookup


def test_little_is_not_said_to_be_nothing(app: Flask, client: FlaskClient) -> None:
    """Neither on paper nor under the picture, as on the page."""
    scan, _ = add_series(app)
    little = {"tumor_pixels": 1, "coverage_percent": 0.0004, "volume_mm3": 1.5}
    with resources_of(app).database.write() as session:
        row = lookup.get(session, scan["id"])
        run = row.displayed
        for name, value in little.items():
            setattr(run, name, value)
        run.slices = [{**item, "tumor_pixels": int(not item["index"]), "mean_confidence": 0.9} for item in run.slices]
    with resources_of(app).database.read() as session:
        row = lookup.get(session, scan["id"])
        row.width = row.height = 512  # of a large picture: not stored
        found = images.source(session, row, kind="panels", slice_index=0, segmentation_id=None)
        session.rollback()

    page = " ".join(client.get(f"/scans/{scan['id']}").text.split())
    paper = " ".join(words_of(client.get(scan["links"]["report"]).data).split())

    assert "&lt; 0.01&nbsp;%" in page and "1.5&nbsp;mm³" in page
    assert "(< 0.01 %)" in found.caption
    assert "(< 0.01 %)" in paper and "1.5 mm³" in paper and "0.00 mL" not in paper

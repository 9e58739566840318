"""The result page of a run that waits."""

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from tests.webapp.clients import SCANS, resources_of, sent
from webapp.domain.scans.models import Segmentation


def test_a_run_that_went_back_into_the_line_says_why(app: Flask, client: FlaskClient) -> None:
    scan = sent(client)
    assert 'id="released"' not in client.get(f"/scans/{scan['id']}").text
    with resources_of(app).database.write() as session:
        session.execute(update(Segmentation).values(releases=2))
    assert client.get(f"{SCANS}/{scan['id']}").json["segmentation"]["releases"] == 2
    assert "put back into the line 2 times: this machine" in client.get(f"/scans/{scan['id']}").text

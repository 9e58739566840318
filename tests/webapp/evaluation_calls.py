"""Calls of the API of evaluations, and what they leave in the storage."""

from pathlib import Path

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.webapp.clients import send
from webapp.domain.resources import Resources

PATH = "/api/v1/evaluations"


def send_zip(client: FlaskClient, data: bytes, name: str = "set.zip", **form: str) -> TestResponse:
    return send(client, (name, data), path=PATH, field="archive", form=form)


def started(client: FlaskClient, data: Path, **options: object) -> str:
    response = client.post(PATH, json={"path": str(data), **options})
    assert response.status_code == 202, response.json
    return response.json["id"]


def left_over(resources: Resources) -> list[str]:
    root = Path(resources.settings.storage)
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]

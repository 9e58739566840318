"""Calls on a portal over Flask's test client, a job done without a worker, and what is left behind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from ml.masks import MaskRule, apply_rule
from ml.measurements import measure
from tests.support.jobs import claim_segmentation
from tests.support.resources import png_bytes, row
from webapp.context import EXTENSION, cookie_name
from webapp.domain.resources import Resources
from webapp.domain.scans import segmentations
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.scans.segmentations import RunFacts
from webapp.domain.storage.arrays import read_array, write_array
from webapp.domain.storage.keys import map_key, stack_key
from webapp.domain.uploads.models import IdempotencyKey

SCANS = "/api/v1/scans"
BOUNDARY = "0f3f9d5c1f"
# Of the test's own model: areas smaller than this are dropped.
MIN_TUMOR_PIXELS = 4


def own_cookie(app: Flask, use: str = "glioscope") -> str:
    """What the portal calls a cookie, without TLS."""
    with app.test_request_context():
        return cookie_name(use)


@dataclass(frozen=True)
class Traces:
    """Rows and stored files of a portal."""

    scans: int
    segmentations: int
    keys: int
    files: tuple[str, ...]


NOTHING = Traces(0, 0, 0, ())


def resources_of(app: Flask) -> Resources:
    """The services under an application."""
    return app.extensions[EXTENSION]


def send(client: FlaskClient, *files: tuple[str, bytes], path: str = SCANS, **options: Any) -> TestResponse:
    """POST files (name, bytes) as the field `file`, or `field`; `form` and `headers` as options."""
    body = b"".join(_part(f'name="{name}"', value.encode()) for name, value in options.pop("form", {}).items())
    field = options.pop("field", "file")
    for name, data in files:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        body += _part(f'name="{field}"; filename="{escaped}"', data)
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    return client.post(path, data=body + f"--{BOUNDARY}--\r\n".encode(), content_type=content_type, **options)


def _part(disposition: str, data: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return head.encode() + data + b"\r\n"


def sent(client: FlaskClient, name: str = "scan.png", data: bytes | None = None, **options: Any) -> dict[str, Any]:
    """Upload one good file; the Scan of the answer."""
    response = send(client, (name, data or png_bytes()), **options)
    assert response.status_code == 202, response.json
    return response.json["scans"][0]


def finish(resources: Resources, segmentation_id: str) -> None:
    """Do a queued job as a worker would: its probability map is the scan's brightness."""
    claimed = claim_segmentation(resources, segmentation_id)
    assert claimed is not None
    claim, work = claimed
    key = work.map_key or map_key(work.scan_id, claim.id, claim.attempt)
    if work.map_key is None:
        write_array(resources.storage, key, np.asarray(read_array(resources.storage, stack_key(work.scan_id)))[..., 0])
    q = np.asarray(read_array(resources.storage, key))  # (N, H, W)
    measures = measure(q, apply_rule(q, MaskRule(work.threshold, MIN_TUMOR_PIXELS), is_stack=True), None)
    timings = {"queued": 1.0, "infer": 2.0, "total": 3.0}
    version = row(resources, segmentation_id).model_version
    facts = RunFacts(key, "test", version, MIN_TUMOR_PIXELS, None, timings)
    assert segmentations.complete(resources, claim, measures, facts)


def finished(app: Flask, name: str = "scan.png", data: bytes | None = None) -> dict[str, Any]:
    """Upload one good file and do its job; the Scan with its result."""
    client = app.test_client()
    scan = sent(client, name, data)
    finish(resources_of(app), scan["segmentation"]["id"])
    return client.get(f"{SCANS}/{scan['id']}").json


def token(client: FlaskClient, site: str = "http://localhost") -> str:
    """A form's CSRF token, read from a page of that site as a browser has it."""
    page = client.get("/", base_url=site).text
    return page.split('name="csrf-token" content="', 1)[1].split('"', 1)[0]


def traces(app: Flask) -> Traces:
    """What the portal holds now: rows, and every file below its storage."""
    resources = resources_of(app)
    with resources.database.read() as session:
        counts = [session.scalar(select(func.count()).select_from(table)) for table in (Scan, Segmentation)]
        keys = session.scalar(select(func.count()).select_from(IdempotencyKey))
    root = Path(resources.settings.storage)
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return Traces(counts[0], counts[1], keys, tuple(files))

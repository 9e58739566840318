"""A client that `openapi-python-client` makes of the API's description: it uploads, waits, reads, and deletes."""

import importlib
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.evaluations import write_data_set
from tests.support.resources import png_bytes
from tests.webapp.clients import SCANS, finish, finished, resources_of
from tests.webapp.evaluation_calls import started

PACKAGE = "generated_client"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the package; it is made once, of the description that is served."""
    from tests.support.resources import make_settings
    from webapp.factory import create_app

    folder = tmp_path_factory.mktemp("client")
    app = create_app(make_settings(folder / "portal"))
    (folder / "openapi.json").write_bytes(app.test_client().get("/api/v1/openapi.json").data)
    (folder / "config.json").write_text('{"post_hooks": []}')  # its code is run, not read
    subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate", "--path", folder / "openapi.json"),
            *("--meta", "none", "--output-path", folder / PACKAGE, "--config", folder / "config.json"),
            "--fail-on-warning",
        ],
        check=True,
    )
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture
def api(generated: Path, app: Flask) -> Iterator[Any]:
    """The generated client, over the application itself."""
    made = importlib.import_module(f"{PACKAGE}.client").Client(base_url="http://localhost")
    made.set_httpx_client(httpx.Client(base_url="http://localhost", transport=httpx.WSGITransport(app=app)))
    with made as client:
        yield client


def call(name: str, *args: Any, **options: Any) -> Any:
    """The parsed answer of one call, by the name of its module."""
    return importlib.import_module(f"{PACKAGE}.api.{name}").sync(*args, **options)


def model(name: str) -> Any:
    return getattr(importlib.import_module(f"{PACKAGE}.models"), name)


def uploaded(api: Any, *files: tuple[str, bytes]) -> Any:
    types = importlib.import_module(f"{PACKAGE}.types")
    sent_files = [types.File(payload=io.BytesIO(data), file_name=name, mime_type="image/png") for name, data in files]
    return call("api_scans.upload_scans", client=api, body=model("UploadScansBody")(file=sent_files))


def test_it_uploads_waits_reads_runs_and_deletes(app: Flask, api: Any) -> None:
    scan = uploaded(api, ("scan.png", png_bytes())).scans[0]
    # A queued run has nulls where its figures will be.
    run = scan.segmentation
    assert isinstance(run, model("Segmentation"))
    assert (run.status, run.verdict, run.doubt, run.error, run.area_mm2) == ("queued", None, None, None, None)
    finish(resources_of(app), run.id)
    seen = call("api_scans.get_scan", scan.id, client=api, wait=20)
    assert isinstance(seen.segmentation, model("Segmentation"))
    assert (seen.segmentation.status, seen.segmentation.verdict) == ("succeeded", "tumor_detected")
    assert seen.segmentation.slices[0].tumor_pixels > 0
    listed = call("api_scans.list_scans", client=api)
    assert [row.id for row in listed.scans] == [scan.id] and listed.next_cursor is None
    again = call("api_scans.run_again", scan.id, client=api, body=model("Run")(threshold=0.9))
    runs = call("api_scans.list_segmentations", scan.id, client=api).segmentations
    assert [row.id for row in runs] == [again.id, run.id]
    assert call("api_scans.delete_scan", scan.id, client=api) is None
    gone = call("api_scans.get_scan", scan.id, client=api)
    assert isinstance(gone, model("Error")) and gone.code == "not_found"


def test_it_downloads_what_is_no_json(app: Flask, client: FlaskClient, api: Any) -> None:
    scan_id = finished(app)["id"]
    url = f"{SCANS}/{scan_id}"
    picture = call("api_scans.get_picture", scan_id, "mask", client=api)
    assert picture.payload.read() == client.get(f"{url}/mask.png").data
    table = call("api_measurements.get_measurement_table", scan_id, client=api)
    assert table.encode() == client.get(f"{url}/measurements.csv").data


def test_it_reads_why_no_file_was_taken(api: Any) -> None:
    refused = uploaded(api, ("a.png", b"%PDF"), ("b.png", b""))
    assert isinstance(refused, model("Error"))
    assert [(item.filename, item.code) for item in refused.rejected] == [("a.png", "unreadable"), ("b.png", "empty")]


def test_it_reads_an_evaluation_that_has_not_begun_and_every_model(app: Flask, api: Any) -> None:
    data = write_data_set(resources_of(app).settings.evaluation_roots[0] / "set")
    evaluation_id = started(app.test_client(), data)
    evaluation = call("api_evaluations.get_evaluation", evaluation_id, client=api)
    assert (evaluation.status, evaluation.summary, evaluation.error) == ("queued", None, None)
    assert evaluation.progress.total is None
    assert {entry.name for entry in call("api_models.list_models", client=api).models}

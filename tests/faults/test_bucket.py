"""A whole portal that keeps its files in a bucket: a scan's life, an evaluation's, and a store that is away."""

import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.support.evaluations import write_data_set
from tests.support.portal_process import RunningPortal, running_portal
from tests.support.resources import MODEL, png_bytes
from tests.support.s3_server import BUCKET, S3Server, s3_server
from tests.support.small_model import write_small_model

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def portal(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    folder = tmp_path_factory.mktemp("bucket")
    small = {"GLIOSCOPE_MODELS": str(write_small_model(folder / "models")), "GLIOSCOPE_MODEL": MODEL}
    with running_portal(folder, GLIOSCOPE_STORAGE=f"s3://{BUCKET}/glio", **small, **server.environment) as portal:
        yield portal


def objects() -> list[str]:
    return [item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", ())]


def files_of(portal: RunningPortal) -> list[Path]:
    """What lies on this machine's disk of scans and evaluations."""
    folders = (portal.folder / "instance" / "temporary", portal.folder / "instance" / "storage")
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_a_scan_lives_in_the_bucket_and_leaves_it(portal: RunningPortal) -> None:
    scan = portal.wait(portal.upload(png_bytes(64, 64))["id"])
    assert scan["segmentation"]["status"] == "succeeded", portal.log()
    names = sorted(name.rpartition("/")[2] for name in objects() if scan["id"] in name)
    assert "original" in names and "stack.npy" in names and len(names) == 3
    for link in ("mask", "overlay", "probability", "original"):
        status, data = portal.call("GET", scan["links"][link])
        assert status == 200 and data, link
    assert portal.call("GET", scan["links"]["original"])[1] == png_bytes(64, 64)
    assert portal.call("DELETE", f"/api/v1/scans/{scan['id']}")[0] == 204
    assert [name for name in objects() if scan["id"] in name] == [] and files_of(portal) == []


def test_an_evaluation_lives_in_the_bucket_and_leaves_it(portal: RunningPortal) -> None:
    data = write_data_set(portal.folder / "instance" / "datasets" / "set")
    status, evaluation = portal.json("POST", "/api/v1/evaluations", {"path": str(data)})
    assert status == 202, evaluation
    deadline = time.monotonic() + 120
    while evaluation["status"] in ("queued", "running") and time.monotonic() < deadline:
        _, evaluation = portal.json("GET", f"/api/v1/evaluations/{evaluation['id']}?wait=10")
    assert evaluation["status"] == "succeeded", portal.log()
    status, report = portal.call("GET", f"/api/v1/evaluations/{evaluation['id']}/report.json")
    assert status == 200 and report
    assert any("report." in name for name in objects())
    assert portal.call("DELETE", f"/api/v1/evaluations/{evaluation['id']}")[0] == 204
    assert [name for name in objects() if evaluation["id"] in name] == [] and files_of(portal) == []


def test_a_store_that_is_away_loses_nothing(portal: RunningPortal, server: S3Server) -> None:
    kept = portal.wait(portal.upload(png_bytes(64, 64))["id"])
    before = objects()
    server.is_away = True
    try:
        assert portal.call("GET", "/readyz")[0] == 503
        status, answer = portal.post_file(png_bytes(48, 48))
        assert status == 503 and b"storage_unavailable" in answer
    finally:
        server.is_away = False
    assert objects() == before and files_of(portal) == []
    assert portal.call("GET", kept["links"]["mask"])[0] == 200
    assert portal.wait(portal.upload(png_bytes(48, 48))["id"])["segmentation"]["status"] == "succeeded"

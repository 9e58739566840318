"""/metrics: Prometheus text about jobs and requests, without ids and names, of bounded size."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from tests.support.jobs import claim_segmentation
from tests.webapp.clients import SCANS, finish, finished, resources_of, sent
from webapp.domain.database.clock import database_now
from webapp.domain.jobs import lifecycle, workers
from webapp.domain.jobs.endings import Ending, Endings
from webapp.domain.scans.models import Segmentation
from webapp.domain.stages import Stage


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """Its counters begin at 0."""
    return make_app(is_new=True)


def samples(client: FlaskClient) -> dict[tuple[str, ...], float]:
    """Every sample by its name and label values."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(item.name, *item.labels.values()): item.value for family in families for item in family.samples}


def test_jobs_are_counted_by_state(any_app: Flask) -> None:
    client = any_app.test_client()
    finished(any_app)
    sent(client)
    found = samples(client)
    assert found["glioscope_jobs", "queued"] == found["glioscope_jobs", "succeeded"] == 1
    assert found["glioscope_jobs", "failed"] == 0
    assert found["glioscope_database_up",] == 1 and found["glioscope_live_workers",] == 0
    assert found["glioscope_stage_seconds", "0.5", "infer"] == 0.002
    time.sleep(0.05)
    assert 0 < samples(client)["glioscope_queue_age_seconds",] < 60


def test_workers_of_evaluations_alone_are_none_of_uploads(any_app: Flask) -> None:
    resources, client = resources_of(any_app), any_app.test_client()
    batch = replace(resources, settings=replace(resources.settings, worker_jobs="batch"))
    workers.register_worker(batch, "of evaluations", engine="e", model="m")
    found = samples(client)
    assert found["glioscope_live_workers",] == found["glioscope_queue_workers", "batch"] == 1
    assert found["glioscope_queue_workers", "interactive"] == 0


def test_a_job_far_past_its_lease_is_seen(any_app: Flask) -> None:
    resources, client = resources_of(any_app), any_app.test_client()
    claim_segmentation(resources, sent(client)["segmentation"]["id"])
    assert samples(client)["glioscope_stuck_jobs",] == 0
    with resources.database.write() as session:
        session.execute(update(Segmentation).values(lease_until=database_now(-61)))
    assert samples(client)["glioscope_stuck_jobs",] == 1


def test_a_job_that_waits_after_a_release_is_seen(any_app: Flask) -> None:
    resources, client = resources_of(any_app), any_app.test_client()
    claimed, _ = claim_segmentation(resources, sent(client)["segmentation"]["id"])
    assert samples(client)["glioscope_waiting_jobs",] == 0
    with resources.database.write() as session:
        assert lifecycle.release(session, claimed)
    assert samples(client)["glioscope_waiting_jobs",] == 1


def test_requests_are_timed_by_route_and_nothing_else(app: Flask, client: FlaskClient) -> None:
    scan = finished(app, "Canary^Patient.png")
    client.get(f"{SCANS}/{scan['id']}")
    client.get(f"/scans/{scan['id']}?q=Canary")
    client.get("/Canary")
    text = client.get("/metrics").text
    assert 'route="/scans/<hex_id:scan_id>",status="200"' in text
    assert 'route="none",status="404"' in text
    assert "Canary" not in text and scan["id"] not in text


def test_methods_that_a_client_makes_up_are_one_series(client: FlaskClient) -> None:
    for index in range(50):
        client.open("/", method=f"MADEUP{index}")
    text = client.get("/metrics").text
    assert "MADEUP" not in text and 'method="other"' in text


def test_without_a_database_it_says_so(make_app: Callable[..., Flask]) -> None:
    client = make_app(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none").test_client()
    assert samples(client)["glioscope_database_up",] == 0


def test_every_stage_of_an_upload_is_timed(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client, resources = app.test_client(), resources_of(app)
    scan = sent(client)
    found = samples(client)
    for stage in (Stage.RECEIVE, Stage.DECODE, Stage.ADMIT):
        assert 0 < found["glioscope_stage_seconds", "0.5", stage] < 60
    assert ("glioscope_stage_seconds", "0.5", Stage.WAKE) not in found
    listen = Endings.of

    def end_then_listen(endings: Endings, subject: str) -> AbstractContextManager[Ending]:
        finish(resources, scan["segmentation"]["id"])
        return listen(endings, subject)

    monkeypatch.setattr(Endings, "of", end_then_listen)
    assert client.get(f"{SCANS}/{scan['id']}?wait=20").json["segmentation"]["status"] == "succeeded"
    assert 0 <= samples(client)["glioscope_stage_seconds", "0.5", Stage.WAKE] < 20

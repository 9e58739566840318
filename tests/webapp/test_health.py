"""/healthz asks nobody; /readyz says by name what is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from tests.support.servers import redis_server
from tests.webapp.clients import resources_of
from webapp.domain.database.clock import database_now
from webapp.domain.jobs import workers
from webapp.domain.jobs.models import WorkerPresence


def test_healthz_answers_whatever_is_missing(make_app: Callable[..., Flask]) -> None:
    app = make_app(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", GLIOSCOPE_STORAGE="/dev/null/x")
    response = app.test_client().get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_readyz_is_200_where_all_is_there(make_app: Callable[..., Flask]) -> None:
    with redis_server() as url:
        app = make_app(REDIS_URL=url)
        workers.register_worker(resources_of(app), "w", engine="test", model="m")
        response = app.test_client().get("/readyz")
        assert (response.status_code, set(response.json.values())) == (200, {"ok"})
        assert set(response.json) == {"status", "database", "broker", "storage", "model", "worker"}
        resources_of(app).queue.close()


@pytest.mark.parametrize(
    ("part", "environ"),
    [
        ("database", {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}),
        ("broker", {}),
        ("storage", {"GLIOSCOPE_STORAGE": "/dev/null/x"}),
        ("model", {"GLIOSCOPE_MODEL": "none-such"}),
        ("worker", {}),
    ],
)
def test_readyz_is_503_and_names_what_is_missing(
    make_app: Callable[..., Flask], part: str, environ: dict[str, str]
) -> None:
    response = make_app(**environ).test_client().get("/readyz")
    assert (response.status_code, response.json["status"]) == (503, "unavailable")
    assert response.json[part] != "ok" and response.json[part].endswith(".")
    missing = {name for name, said in response.json.items() if said != "ok"} - {"status"}
    assert missing == {"broker", "worker", part} | ({"worker"} if part == "database" else set())


def test_a_damaged_model_is_named(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    folder = tmp_path / "models" / "unet-vgg16-lgg"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{")
    said = make_app(GLIOSCOPE_MODELS=str(tmp_path / "models")).test_client().get("/readyz").json["model"]
    assert "card.json" in said


def test_a_worker_that_was_not_seen_for_a_lease_is_gone(app: Flask, client: FlaskClient) -> None:
    workers.register_worker(resources_of(app), "w", engine="test", model="m")
    assert client.get("/readyz").json["worker"] == "ok"
    with resources_of(app).database.write() as session:
        session.execute(update(WorkerPresence).values(seen_at=database_now(-resources_of(app).settings.lease_s - 1)))
    assert client.get("/readyz").json["worker"] == "No worker is running; queued jobs wait."

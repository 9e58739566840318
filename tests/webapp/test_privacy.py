"""A canary patient: after a delete 0 traces of the name anywhere, and none in a log at any time."""

import io
import logging
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import redis
import tifffile
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image, PngImagePlugin
from sqlalchemy import select

from ml.engines import Inference
from ml.engines.context import Context
from tests.support import scan_files
from tests.support.evaluations import run_all, write_data_set, zip_of
from tests.support.jobs import claim_segmentation, run_segmentation
from tests.support.resources import add_scan
from tests.support.servers import redis_server
from tests.webapp.clients import SCANS, finish, resources_of, send, sent, token
from tests.worker.conftest import BrightnessEngine
from webapp.domain.database.engine import Database
from webapp.domain.jobs import lifecycle
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup
from webapp.domain.scans.models import Scan
from webapp.domain.settings import PROJECT_ROOT
from worker.process.runtime import Runtime
from worker.recovery.orphans import delete_orphans
from worker.recovery.sweeper import Sweeper

NAME, INSIDE = "Canary^Jane_1931", "CanaryInsideTheFile"


def png() -> bytes:
    """A picture whose metadata names the patient."""
    text = PngImagePlugin.PngInfo()
    text.add_text("PatientName", INSIDE)
    file = io.BytesIO()
    Image.fromarray(scan_files.noise()).save(file, "PNG", pnginfo=text)
    return file.getvalue()


def tiff() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, scan_files.noise(), description=INSIDE)
    return file.getvalue()


@pytest.fixture
def broker() -> Iterator[str]:
    with redis_server() as url:
        yield url


def hits(resources: Resources, log: str = "") -> dict[str, int]:
    """How often the canaries stand in each place; places without a hit are left out."""
    found: dict[str, int] = {"log": sum(log.count(word) for word in (NAME, INSIDE))}
    for path in Path(resources.settings.instance_dir).rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found[path.name] = sum(data.count(word.encode()) for word in (NAME, INSIDE)) + (NAME in path.name)
    client = redis.Redis.from_url(resources.settings.redis_url)
    for key in client.scan_iter():
        kind = client.type(key)
        data = client.dump(key) if kind != b"list" else b"".join(client.lrange(key, 0, -1))
        found[f"redis {key!r}"] = sum((key + data).count(word.encode()) for word in (NAME, INSIDE))
    client.close()
    return {place: count for place, count in found.items() if count}


def use_everything(client: FlaskClient, scan_id: str) -> None:
    """Read, run again, search, fail: whatever may write the name somewhere."""
    path = f"{SCANS}/{scan_id}"
    for address in (path, f"{path}/panels.png", f"{path}/original", f"{path}/download.zip", f"/scans/{scan_id}"):
        assert client.get(address, buffered=True).status_code == 200
    for address in ("/", f"/scans?q={NAME}", f"{SCANS}?q={NAME}", f"{SCANS}?cursor={NAME}", f"/{NAME}", "/metrics"):
        client.get(address)
    client.post(f"{path}/segmentations", json={"threshold": 0.7, "model": NAME})
    client.post(f"{path}/segmentations", json={"threshold": 0.7}, headers={"Idempotency-Key": NAME})
    send(client, (f"{NAME}.pdf", b"%PDF-1.7 " + INSIDE.encode()), headers={"Idempotency-Key": "refused"})
    send(client, (f"{NAME}.png", png()[:-300]))
    client.patch(path, json={"study": f"{NAME} 2"})
    study_id = client.get(path).json["study"]["id"]
    client.patch(f"/api/v1/studies/{study_id}", json={"notes": NAME, "tags": [NAME]})
    files = (f"{NAME}.png", png()), (f"{NAME}.txt", b"no picture, but " + INSIDE.encode())
    send(client, *files, path="/scans", form={"csrf_token": token(client)})


@pytest.mark.parametrize("data", [png(), tiff()], ids=["png", "tiff"])
def test_after_a_delete_the_canary_is_nowhere(
    make_app: Callable[..., Flask], broker: str, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    app = make_app(REDIS_URL=broker)
    resources, client = resources_of(app), app.test_client()
    scan = sent(client, f"{NAME}.png", data, headers={"Idempotency-Key": NAME}, form={"study": NAME})
    finish(resources, scan["segmentation"]["id"])
    assert {"original"} <= set(hits(resources)), "the search finds what is there"
    use_everything(client, scan["id"])
    Sweeper(resources).sweep()
    for item in client.get(f"{SCANS}?limit=200").json["scans"]:
        assert client.delete(f"{SCANS}/{item['id']}").status_code == 204
    delete_orphans(resources, older_than_s=0)
    assert hits(resources, caplog.text) == {}
    resources.queue.close()


def test_a_delete_alone_empties_the_write_ahead_log(
    make_app: Callable[..., Flask], broker: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(REDIS_URL=broker)
    resources, client = resources_of(app), app.test_client()
    scan = sent(client, f"{NAME}.png", png())
    assert client.delete(f"{SCANS}/{scan['id']}").status_code == 204
    assert hits(resources, caplog.text) == {}
    resources.queue.close()


def test_deletes_among_many_leave_no_copy_in_free_pages(make_app: Callable[..., Flask], broker: str) -> None:
    """Pages of the tables and of their indexes are split and merged; no cell may stay behind in their free parts."""
    resources = resources_of(make_app(REDIS_URL=broker))
    ids = [add_scan(resources, filename=f"{NAME if index % 3 else 'other'}_{index:04}.png")[0] for index in range(300)]
    canaries = [scan_id for index, scan_id in enumerate(ids) if index % 3]
    random.Random(7).shuffle(canaries)
    assert hits(resources)
    for scan_id in canaries:
        lookup.delete(resources, scan_id)
    assert hits(resources) == {}


def test_after_a_delete_an_evaluations_canary_is_nowhere(
    make_app: Callable[..., Flask], broker: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    app = make_app(REDIS_URL=broker)
    resources, client = resources_of(app), app.test_client()
    runtime = Runtime(resources)
    monkeypatch.setattr(runtime, "engine", lambda _model: BrightnessEngine())
    data = write_data_set(tmp_path / "set", patients=1)
    (data / "patient_0").rename(data / NAME)
    (data / NAME / f"{NAME}.png").write_bytes(png())
    (data / NAME / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + INSIDE.encode())
    (data / NAME / "broken_mask.png").write_bytes((data / NAME / "p0_000_mask.png").read_bytes())
    started = send(client, (f"{NAME}.zip", zip_of(data)), path="/api/v1/evaluations", field="archive")
    evaluation_id = started.json["id"]
    run_all(runtime, evaluation_id)
    runtime.case_reader.close()
    assert len(hits(resources)) > 3, "the search finds what is there"
    page = client.get(f"/evaluations/{evaluation_id}").text
    assert NAME in page and "cannot be read" in page
    client.get(f"/api/v1/evaluations/{evaluation_id}/cases?q={NAME}&patient={NAME}")
    client.get(f"/api/v1/evaluations/{evaluation_id}/cases/0/errors.png")
    client.post("/api/v1/evaluations", json={"path": f"/{NAME}"})
    assert client.delete(f"/api/v1/evaluations/{evaluation_id}").status_code == 204
    assert hits(resources, caplog.text) == {}
    resources.queue.close()


@pytest.mark.parametrize("failure", [None, RuntimeError("inner"), MemoryError()], ids=["success", "fault", "memory"])
def test_a_workers_log_holds_no_name(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: Exception | None
) -> None:
    caplog.set_level(logging.DEBUG)
    scan = sent(app.test_client(), f"{NAME}.png", png())
    runtime = Runtime(resources_of(app))
    engine = SimpleNamespace(name="test", card=resources_of(app).catalog.card(None))

    def infer(pixels: np.ndarray, _context: Context) -> Inference:
        if failure is not None:
            raise failure
        return Inference(pixels[..., 0].copy())

    engine.infer = infer
    monkeypatch.setattr(runtime, "engine", lambda _name: engine)
    run_segmentation(runtime, scan["segmentation"]["id"])
    assert scan["segmentation"]["id"] in caplog.text
    assert NAME not in caplog.text and INSIDE not in caplog.text


def test_a_run_of_a_deleted_scan_brings_nothing_back(make_app: Callable[..., Flask], broker: str) -> None:
    app = make_app(REDIS_URL=broker)
    resources, client = resources_of(app), app.test_client()
    scan = sent(client, f"{NAME}.png", png())
    claim, _ = claim_segmentation(resources, scan["segmentation"]["id"])
    client.delete(f"{SCANS}/{scan['id']}")
    with resources.database.write() as session:
        assert not lifecycle.fail(session, claim, code="internal", message="x")
    assert hits(resources) == {}
    resources.queue.close()


def test_on_postgresql_no_row_of_any_table_holds_the_canary(
    postgres_url: str, make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    app = make_app(DATABASE_URL=postgres_url)
    resources, client = resources_of(app), app.test_client()
    scan = sent(client, f"{NAME}.png", png(), headers={"Idempotency-Key": NAME})
    finish(resources, scan["segmentation"]["id"])
    use_everything(client, scan["id"])
    for item in client.get(f"{SCANS}?limit=200").json["scans"]:
        client.delete(f"{SCANS}/{item['id']}")
    assert rows_with_canary(resources.database) == [] and NAME not in caplog.text and INSIDE not in caplog.text


def test_on_postgresql_the_documented_lines_remove_the_canary_from_every_file(
    postgres_url: str, make_app: Callable[..., Flask], figure: Callable[[str], None]
) -> None:
    app = make_app(DATABASE_URL=postgres_url)
    resources, client = resources_of(app), app.test_client()
    scan = sent(client, f"{NAME}.png", png(), headers={"Idempotency-Key": NAME})
    finish(resources, scan["segmentation"]["id"])
    use_everything(client, scan["id"])
    # Rows that stay, on the same pages, and statistics that have the name.
    for index in range(100):
        add_scan(resources, filename=f"{'other' if index % 2 else NAME}_{index}.png")
    execute(resources.database, "ANALYZE", "CHECKPOINT")
    found = {"there": postgres_hits(resources.database)}
    with resources.database.read() as session:
        ids = list(session.scalars(select(Scan.id).where(Scan.filename.contains(NAME))))
    lookup.delete_all(resources, ids)
    assert rows_with_canary(resources.database) == []
    execute(resources.database, "CHECKPOINT")
    found["deleted"] = postgres_hits(resources.database)
    text = (PROJECT_ROOT / "docs" / "security.md").read_text()
    (lines,) = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    execute(resources.database, *filter(None, lines.split(";\n")))
    found["after the documented lines"] = postgres_hits(resources.database)
    execute(resources.database, "ALTER SYSTEM RESET wal_recycle", "SELECT pg_reload_conf()")
    assert found["there"].keys() == found["deleted"].keys() == {"base", "pg_wal"}, "the search finds what is there"
    assert found["after the documented lines"] == {}
    figure(f"a deleted name in the files of PostgreSQL: {found}")


def execute(database: Database, *statements: str) -> None:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def postgres_hits(database: Database) -> dict[str, int]:
    """How often the canaries stand in the server's files, by their folder."""
    with database.engine.connect() as connection:
        folder = Path(str(connection.exec_driver_sql("SHOW data_directory").scalar()))
    found: Counter[str] = Counter()
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found[path.relative_to(folder).parts[0]] += sum(data.count(word.encode()) for word in (NAME, INSIDE))
    return {name: count for name, count in found.items() if count}


def rows_with_canary(database: Database) -> list[str]:
    from webapp.domain.database.orm import Base

    with database.engine.connect() as connection:
        rows = [str(row) for table in Base.metadata.sorted_tables for row in connection.execute(table.select())]
    return [row for row in rows if NAME in row or INSIDE in row]

"""Two web and two worker processes with folders of their own over one PostgreSQL, Redis and S3 server: one machine's
report, and no job lost when a node vanishes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.test_evaluations import of_command_line, without_times
from tests.support.evaluations import write_data_set
from tests.support.portal_process import RunningPortal, free_port
from tests.support.resources import MODEL, png_bytes
from tests.support.s3_server import BUCKET, s3_server
from tests.support.servers import redis_server
from tests.support.small_model import write_small_model
from webapp.domain.settings import PROJECT_ROOT

pytestmark = [pytest.mark.long, pytest.mark.postgres]

PATH = "/api/v1/evaluations"
WORKER = "celery --quiet --app worker.app worker --pool prefork --without-gossip --without-mingle --without-heartbeat"
CASES = 240
END_S = 240.0


@dataclass
class Installation:
    """webs: each on its own port; workers: by GLIOSCOPE_WORKER_JOBS; data: of every node under the same path."""

    webs: list[RunningPortal]
    workers: list[subprocess.Popen[bytes]]
    data: Path
    models: Path
    folder: Path
    shared: dict[str, str]
    postgres: str

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*/portal.log")))


@pytest.fixture(scope="module")
def installation(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    from tests.support.servers import create_database, drop_database

    folder = tmp_path_factory.mktemp("machines")
    models = write_small_model(folder / "models")
    create_database(postgres, "machines", template="empty")
    with ExitStack() as stack:
        stack.callback(drop_database, postgres, "machines")
        broker, store = stack.enter_context(redis_server()), stack.enter_context(s3_server())
        shared = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"postgresql:///machines?{postgres}",
            "REDIS_URL": broker,
            "GLIOSCOPE_STORAGE": f"s3://{BUCKET}/glioscope",
            "GLIOSCOPE_FOLDERS": str(folder / "folders"),
            "GLIOSCOPE_SECRET_KEY": "the same on every machine, which is long",
            "GLIOSCOPE_MODELS": str(models),
            "GLIOSCOPE_MODEL": MODEL,
            "GLIOSCOPE_EVALUATION_ROOTS": str(folder / "data"),
            "GLIOSCOPE_EVALUATION_CHUNK": "16",
            "GLIOSCOPE_LEASE_S": "3",
            "GLIOSCOPE_HEARTBEAT_S": "1",
            "GLIOSCOPE_SWEEP_S": "1",
            **store.environment,
        }

        def start(name: str, command: str, **environ: str) -> subprocess.Popen[bytes]:
            own = folder / name
            own.mkdir()
            log = stack.enter_context((own / "portal.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", *command.split()],
                cwd=PROJECT_ROOT,
                env={**shared, "GLIOSCOPE_INSTANCE": str(own / "instance"), **environ},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            stack.callback(end, process)
            return process

        webs = []
        for name in ("web-1", "web-2"):
            port = free_port()
            process = start(name, "gunicorn wsgi:app", GLIOSCOPE_BIND=f"127.0.0.1:{port}")
            webs.append(RunningPortal(port, folder / name, process))
        workers = [start(f"worker-{number}", WORKER) for number in (1, 2)]
        start("sweeper", "worker.recovery.sweeper")
        for web in webs:
            web.wait_until_ready()
        deadline = time.monotonic() + END_S
        while "glioscope_live_workers 2.0" not in webs[0].call("GET", "/metrics")[1].decode():
            assert time.monotonic() < deadline
            time.sleep(0.2)
        data = write_data_set(folder / "data" / "set", patients=8, slices=CASES // 8)
        yield Installation(webs, workers, data, models, folder, shared, postgres)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a node with all its processes."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def finish(installation: Installation, evaluation_id: str) -> dict:
    """Wait on the second web process for what the first one took."""
    deadline = time.monotonic() + END_S
    while (found := installation.webs[1].json("GET", f"{PATH}/{evaluation_id}?wait=5")[1])["status"] in (
        "queued",
        "running",
    ):
        assert time.monotonic() < deadline, installation.log()
    return found


def test_the_report_is_one_machines_and_a_node_that_vanishes_costs_nothing(
    installation: Installation, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    first, second = installation.webs
    expected = without_times(of_command_line(installation.models / MODEL, installation.data, tmp_path / "out"))

    def evaluate() -> str:
        status, answer = first.json("POST", PATH, {"path": str(installation.data)})
        assert status == 202, answer
        return str(answer["id"])

    def check(evaluation: dict) -> None:
        assert evaluation["status"] == "succeeded", (evaluation, installation.log())
        found = json.loads(second.call("GET", evaluation["links"]["report.json"])[1])
        assert without_times(found) == expected

    began = time.monotonic()
    evaluation_id = evaluate()
    scan = first.upload(png_bytes(64, 64))
    assert second.wait(scan["id"])["segmentation"]["status"] == "succeeded", installation.log()
    assert second.call("GET", scan["links"]["overlay"])[0] == 200
    check(finish(installation, evaluation_id))
    both_s = time.monotonic() - began

    again = evaluate()
    deadline = time.monotonic() + END_S
    while second.json("GET", f"{PATH}/{again}")[1]["progress"]["done"] < CASES // 4:
        assert time.monotonic() < deadline, installation.log()
        time.sleep(0.1)
    os.killpg(installation.workers[0].pid, signal.SIGKILL)  # the whole node at once, in the middle of a chunk
    check(finish(installation, again))
    figure(
        f"two web and two worker processes over PostgreSQL, Redis and S3: {CASES} cases in {both_s:.0f} s, report.json"
        " equal to the command line's; equal again after a worker's node vanished in the middle"
    )


def test_its_backup_is_restored_into_a_database_and_a_prefix_of_its_own(
    installation: Installation, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """As docs/operations.md says, while it runs."""
    import boto3
    import psycopg

    from tests.support.servers import create_database, drop_database

    first, _ = installation.webs
    scan = first.wait(first.upload(png_bytes(64, 64))["id"])
    backup = tmp_path / "backup"
    trial = {
        "DATABASE_URL": f"postgresql:///trial?{installation.postgres}",
        "GLIOSCOPE_STORAGE": f"s3://{BUCKET}/trial",
        "GLIOSCOPE_FOLDERS": str(tmp_path / "folders"),
    }

    def flask(*words: str, **environ: str) -> None:
        environment = {**installation.shared, "GLIOSCOPE_INSTANCE": str(tmp_path / "instance"), **environ}
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "backups", *words, str(backup)]
        done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def keys(prefix: str) -> set[str]:
        found = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", ())
        return {item["Key"].removeprefix(f"{prefix}/") for item in found}

    flask("make")
    flask("verify")
    create_database(installation.postgres, "trial", template="template1")
    try:
        flask("restore", **trial)
        with psycopg.connect(f"postgresql:///trial?{installation.postgres}") as connection:
            rows = connection.execute("SELECT count(*) FROM scans WHERE id = %s", (scan["id"],)).fetchone()
    finally:
        drop_database(installation.postgres, "trial")
    assert rows == (1,)
    assert keys("trial") == keys("glioscope") and any(scan["id"] in key for key in keys("trial"))
    figure(f"backup of a running installation: {len(keys('trial'))} objects and the database restored into empty ones")

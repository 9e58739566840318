"""`kill -9` of workers in the middle of an evaluation, on both databases: every case ends exactly once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ml.datasets import list_cases
from ml.evaluation.report import Settings as ReportSettings
from ml.evaluation.report import make_report, summary_of
from ml.evaluation.run import evaluate_cases
from ml.metrics.intervals import DEFAULT_SEED
from tests.support.evaluations import begin, case_rows, evaluation_row, write_data_set
from tests.support.repetitions import repeated
from tests.support.resources import make_settings
from tests.worker.conftest import BrightnessEngine
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.settings import PROJECT_ROOT
from webapp.domain.storage.keys import report_key
from worker.recovery.orphans import delete_orphans
from worker.recovery.sweeper import Sweeper

pytestmark = pytest.mark.long

# A worker is killed once so many of the 120 cases are done, and a random moment later.
KILL_AT = (4, 20, 36, 52, 68, 84)[: repeated(3, promised=6)]
WORKERS = 2


@pytest.fixture
def resources(database_url: str, tmp_path: Path) -> Iterator[Resources]:
    resources = Resources.open(make_settings(tmp_path, **environment(database_url)))
    yield resources
    resources.close()


def environment(url: str) -> dict[str, str]:
    return {
        "DATABASE_URL": url,
        "GLIOSCOPE_EVALUATION_CHUNK": "12",
        "GLIOSCOPE_LEASE_S": "1",
        "GLIOSCOPE_HEARTBEAT_S": "0.2",
        "GLIOSCOPE_SWEEP_S": "0.1",
        "GLIOSCOPE_MAX_ATTEMPTS": "50",
    }


def start(resources: Resources, evaluation_id: str) -> subprocess.Popen[bytes]:
    settings = resources.settings
    variables = {
        "PATH": os.environ["PATH"],
        "GLIOSCOPE_INSTANCE": str(settings.instance_dir),
        **environment(settings.database_url),
    }
    command = [sys.executable, "-m", "tests.worker.slow_worker", evaluation_id]
    return subprocess.Popen(command, cwd=PROJECT_ROOT, env=variables)


def test_killed_workers_lose_and_double_no_case(resources: Resources, figure: Callable[[str], None]) -> None:
    data = write_data_set(resources.settings.evaluation_roots[0] / "set", patients=8, slices=15)
    evaluation_id = begin(resources, data)
    sweeper, pauses, killed = Sweeper(resources), random.Random(4), 0
    workers: list[subprocess.Popen[bytes]] = []
    deadline, done_at_kill = time.monotonic() + 120, []
    try:
        while evaluation_row(resources, evaluation_id).status in (Status.QUEUED, Status.RUNNING):
            assert time.monotonic() < deadline
            workers = [worker for worker in workers if worker.poll() is None]
            while len(workers) < WORKERS:
                workers.append(start(resources, evaluation_id))
            if killed < len(KILL_AT) and len(case_rows(resources, evaluation_id)) >= KILL_AT[killed]:
                time.sleep(pauses.uniform(0, 0.3))
                done_at_kill.append(len(case_rows(resources, evaluation_id)))
                # The older one: the other may still be starting.
                workers[0].send_signal(signal.SIGKILL)
                killed += 1
            sweeper.sweep()
            time.sleep(0.1)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    done, cases = evaluation_row(resources, evaluation_id), case_rows(resources, evaluation_id)
    assert done.status is Status.SUCCEEDED, done.error_message
    assert [case.position for case in cases] == list(range(120))
    assert Counter(case.image for case in cases).most_common(1)[0][1] == 1
    assert all(case.error_code is None for case in cases)
    engine = BrightnessEngine()
    outcome = evaluate_cases(engine, list_cases(data), engine.card.threshold)
    expected = summary_of(make_report(engine, outcome, ReportSettings(engine.card.threshold, False, DEFAULT_SEED)))
    with resources.storage.open(report_key(evaluation_id, done.report_attempt, "report.json")) as file:
        found = json.load(file)["summary"]
    assert found | {"slices_per_second": 0} == json.loads(json.dumps(expected)) | {"slices_per_second": 0}
    delete_orphans(resources, older_than_s=0)
    assert {case.map_key for case in cases} == {
        key for key in resources.storage.keys(older_than_s=0) if "/cases/" in key
    }
    backend = "SQLite" if resources.database.is_sqlite else "PostgreSQL"
    figure(
        f"evaluation on {backend}: {killed} kills of one of {WORKERS} workers after {done_at_kill} of 120 cases; each"
        " case once, figures equal to the command line's"
    )
    assert killed == len(KILL_AT)

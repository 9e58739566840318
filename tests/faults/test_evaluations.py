"""`kill -9` of a real portal's worker in the middle of an evaluation: the report has the command line's numbers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.test_kills import worker_processes
from tests.support.evaluations import write_data_set
from tests.support.portal_process import RunningPortal
from tests.support.resources import MODEL
from tests.support.small_model import write_small_model
from webapp.domain.settings import PROJECT_ROOT

pytestmark = pytest.mark.long

PATH = "/api/v1/evaluations"
CASES = 240
# Of all cases done, at which the child and then the parent is killed.
KILL_AT = ((0.15, "child"), (0.55, "parent"))


def without_times(report: dict) -> dict:
    report["summary"].pop("slices_per_second")
    report.pop("title")
    return report


def of_command_line(model: Path, data: Path, out: Path) -> dict:
    """report.json of `python -m ml evaluate`."""
    command = [sys.executable, "-m", "ml", "evaluate", str(data), "--model", str(model), "--out", str(out)]
    subprocess.run(command, cwd=PROJECT_ROOT, env={"PATH": os.environ["PATH"]}, check=True, capture_output=True)
    return json.loads((out / "report.json").read_text())


def test_an_evaluation_survives_kills_of_its_worker(
    portal: RunningPortal, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    data = write_data_set(portal.folder / "instance" / "datasets" / "set", patients=8, slices=CASES // 8)
    portal.wait_until_ready()
    evaluation_id = portal.json("POST", PATH, {"path": str(data)})[1]["id"]
    kills, done_at, deadline = list(KILL_AT), [], time.monotonic() + 240
    while (evaluation := portal.json("GET", f"{PATH}/{evaluation_id}")[1])["status"] in ("queued", "running"):
        assert time.monotonic() < deadline, portal.log()
        done = evaluation["progress"]["done"]
        if kills and done >= kills[0][0] * CASES:
            parent, child = worker_processes(portal)
            (child if kills.pop(0)[1] == "child" else parent).send_signal(signal.SIGKILL)
            done_at.append(done)
        time.sleep(0.2)
    assert evaluation["status"] == "succeeded", (evaluation, portal.log())
    assert len(done_at) == 2
    ours = json.loads(portal.call("GET", evaluation["links"]["report.json"])[1])
    assert without_times(ours) == without_times(
        of_command_line(write_small_model(tmp_path / "models") / MODEL, data, tmp_path / "out")
    )
    positions, cursor = [], ""
    while cursor is not None:
        page = portal.json("GET", f"{PATH}/{evaluation_id}/cases?limit=100&cursor={cursor}")[1]
        positions += [case["position"] for case in page["cases"]]
        cursor = page["next_cursor"]
    assert positions == list(range(CASES))
    figure(f"evaluation: worker killed after {done_at} of {CASES} cases; report.json equal to the command line's")

"""`kill -9` of the worker in the middle of jobs: every job ends with exactly one result."""

import io
import random
import signal
import sqlite3
import time
from collections.abc import Callable

import numpy as np
import psutil
import pytest
import tifffile

from tests.support.portal_process import RunningPortal
from tests.support.repetitions import repeated

pytestmark = pytest.mark.long

KILLS = repeated(5, promised=20)
SLICES = 200


def stack() -> bytes:
    """A stack that takes seconds to segment."""
    pixels = np.random.default_rng(1).integers(0, 90, (SLICES, 64, 64), dtype=np.uint8)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="minisblack", compression="zlib")
    return buffer.getvalue()


def worker_processes(portal: RunningPortal) -> tuple[psutil.Process, psutil.Process]:
    """The worker's parent and its child that runs the jobs."""
    found = portal.processes("celery", "worker.app")
    child = next(process for process in found if process.ppid() in {other.pid for other in found})
    return psutil.Process(child.ppid()), child


def wait_for(portal: RunningPortal, scan_id: str, status: str) -> None:
    deadline = time.monotonic() + 60
    while portal.json("GET", f"/api/v1/scans/{scan_id}")[1]["segmentation"]["status"] != status:
        assert time.monotonic() < deadline, portal.log()
        time.sleep(0.02)


@pytest.mark.parametrize("victim", ["child", "parent"])
def test_a_killed_worker_loses_and_doubles_no_job(
    portal: RunningPortal, victim: str, figure: Callable[[str], None]
) -> None:
    data, seconds, attempts, random_pause = stack(), [], [], random.Random(3)
    for _ in range(KILLS):
        portal.wait_until_ready()
        scan_id = portal.upload(data, "stack.tif")["id"]
        wait_for(portal, scan_id, "running")
        time.sleep(random_pause.uniform(0, 0.5))
        parent, child = worker_processes(portal)
        killed_at = time.monotonic()
        (child if victim == "child" else parent).send_signal(signal.SIGKILL)
        segmentation = portal.wait(scan_id)["segmentation"]
        seconds.append(time.monotonic() - killed_at)
        attempts.append(segmentation["attempt"])
        assert segmentation["status"] == "succeeded", (segmentation, portal.log())
        assert len(segmentation["slices"]) == SLICES
        folder = portal.folder / "instance" / "storage" / "objects" / "scans" / scan_id[:2] / scan_id
        rows = portal.json("GET", f"/api/v1/scans/{scan_id}/segmentations")[1]["segmentations"]
        assert len(rows) == 1
        assert (folder / f"{segmentation['id']}.{segmentation['attempt']}.npy").is_file()
    figure(
        f"kill -9 of the {victim}, {KILLS} times: {len(seconds)} results, none doubled; "
        f"seconds to the result {min(seconds):.1f} to {max(seconds):.1f}; attempts {attempts}"
    )
    assert max(seconds) < 60
    database = sqlite3.connect(portal.folder / "instance" / "glioscope.sqlite3")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_an_input_that_kills_its_worker_stops_after_three_attempts(
    portal: RunningPortal, figure: Callable[[str], None]
) -> None:
    portal.wait_until_ready()
    scan_id = portal.upload(stack(), "stack.tif")["id"]
    deadline, killed = time.monotonic() + 120, set()
    while (segmentation := portal.json("GET", f"/api/v1/scans/{scan_id}")[1]["segmentation"])["status"] != "failed":
        assert segmentation["status"] != "succeeded" and time.monotonic() < deadline, portal.log()
        if segmentation["status"] == "running" and segmentation["attempt"] not in killed:
            killed.add(segmentation["attempt"])
            worker_processes(portal)[1].send_signal(signal.SIGKILL)
        time.sleep(0.02)
    assert (segmentation["error"]["code"], segmentation["attempt"]) == ("poison", 3)
    next_scan = portal.upload(stack(), "stack.tif")["id"]
    began = time.monotonic()
    assert portal.wait(next_scan)["segmentation"]["status"] == "succeeded"
    figure(f"poison: failed after 3 attempts; the next job was done in {time.monotonic() - began:.1f} s")

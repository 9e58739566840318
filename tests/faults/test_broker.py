"""The broker dies at random moments while scans come in: every job reaches its result."""

import random
import signal
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from tests.support.portal_process import RunningPortal
from tests.support.resources import png_bytes

pytestmark = pytest.mark.long

SUBMISSIONS = 200
LONGEST_PAUSE_S = 1.5


def broker(portal: RunningPortal) -> psutil.Process | None:
    return next(iter(portal.processes("redis-server")), None)


def test_no_job_is_lost_while_the_broker_is_killed(portal: RunningPortal, figure: Callable[[str], None]) -> None:
    stopped, kills, pauses = threading.Event(), [], random.Random(5)

    def kill_at_random() -> None:
        while not stopped.wait(pauses.uniform(0.2, LONGEST_PAUSE_S)):
            process = broker(portal)
            if process is not None:
                process.send_signal(signal.SIGKILL)
                kills.append(time.monotonic())

    killer = threading.Thread(target=kill_at_random)
    killer.start()
    try:
        ids = [portal.upload(png_bytes(64, 64))["id"] for _ in range(SUBMISSIONS)]
    finally:
        stopped.set()
        killer.join()
    began = time.monotonic()
    statuses = [portal.wait(scan_id, 120)["segmentation"]["status"] for scan_id in ids]
    figure(
        f"broker killed {len(kills)} times during {SUBMISSIONS} submissions: {statuses.count('succeeded')} reached "
        f"their result, the last {time.monotonic() - began:.0f} s after the last submission"
    )
    assert kills
    assert statuses == ["succeeded"] * SUBMISSIONS, portal.log()

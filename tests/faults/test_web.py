"""`kill -9` of the web process during uploads: the database is whole, and no row is without its file."""

import contextlib
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

import psutil
import pytest

from tests.support.portal_process import START_S, RunningPortal, suspended
from tests.support.repetitions import repeated
from tests.support.resources import png_bytes
from webapp.domain.resources import Resources
from webapp.domain.settings import Settings
from worker.recovery.orphans import delete_orphans

pytestmark = pytest.mark.long

KILLS = repeated(10, promised=100)
CLIENTS = 3


def web_worker(portal: RunningPortal) -> psutil.Process | None:
    """The process that serves, a child of gunicorn's own."""
    found = portal.processes("gunicorn", "wsgi:app")
    parents = {process.pid for process in found}
    return next((process for process in found if process.ppid() in parents), None)


def test_uploads_survive_kills_of_the_web_process(portal: RunningPortal, figure: Callable[[str], None]) -> None:
    stopped, accepted = threading.Event(), []

    def upload_until_stopped() -> None:
        while not stopped.is_set():
            try:
                accepted.append(portal.upload(png_bytes(64, 64))["id"])
            except (OSError, HTTPException):
                time.sleep(0.02)  # the process was killed, or is just starting

    clients = [threading.Thread(target=upload_until_stopped) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    killed, pauses = 0, random.Random(7)
    try:
        while killed < KILLS:
            seen, deadline = len(accepted), time.monotonic() + START_S
            while len(accepted) == seen:
                assert time.monotonic() < deadline, portal.log()
                time.sleep(0.01)  # it serves again
            time.sleep(pauses.uniform(0, 0.2))
            process = web_worker(portal)
            if process is not None:
                process.send_signal(signal.SIGKILL)
                killed += 1
    finally:
        stopped.set()
        for client in clients:
            client.join()
    portal.wait_until_ready()
    statuses = {portal.wait(scan_id)["segmentation"]["status"] for scan_id in accepted}
    assert statuses == {"succeeded"}

    rows, orphans = check_files(portal.folder / "instance")
    figure(
        f"web killed {killed} times during uploads: all {len(accepted)} answered ones have their result; {rows} rows, "
        f"none without its files; {orphans} files without a row were swept"
    )


def test_a_scan_whose_message_was_never_sent_is_done_all_the_same(portal: RunningPortal) -> None:
    portal.wait_until_ready()
    database = sqlite3.connect(portal.folder / "instance" / "glioscope.sqlite3")
    (before,) = database.execute("SELECT count(*) FROM scans").fetchone()
    answered = []

    def upload() -> None:
        with contextlib.suppress(OSError, HTTPException):  # the process is killed
            answered.append(portal.upload(png_bytes(64, 64)))

    # The web waits for Redis after its commit, and for nothing else: there it is killed.
    with suspended(portal.processes("redis-server")), suspended(portal.processes("recovery.sweeper")):
        client = threading.Thread(target=upload)
        client.start()
        deadline = time.monotonic() + 30
        while database.execute("SELECT count(*) FROM scans").fetchone() == (before,):
            assert time.monotonic() < deadline, portal.log()
            time.sleep(0.005)
        process = web_worker(portal)
        assert process is not None
        process.send_signal(signal.SIGKILL)
        client.join()
        (status,) = database.execute("SELECT status FROM segmentations ORDER BY created_at DESC LIMIT 1").fetchone()
        assert (answered, status) == ([], "queued")
    (scan_id,) = database.execute("SELECT id FROM scans ORDER BY created_at DESC LIMIT 1").fetchone()
    database.close()
    portal.wait_until_ready()
    assert portal.wait(scan_id)["segmentation"]["status"] == "succeeded", portal.log()


def check_files(instance: Path) -> tuple[int, int]:
    """The rows, all with their files, and how many files had none and are gone after a sweep."""
    database = sqlite3.connect(instance / "glioscope.sqlite3")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    ids = {row[0] for row in database.execute("SELECT id FROM scans")}
    database.close()
    own = Resources.open(Settings.from_environment({"GLIOSCOPE_INSTANCE": str(instance)}))
    orphans = delete_orphans(own, older_than_s=0)
    keys = list(own.storage.keys(older_than_s=0))
    own.close()
    for name in ("original", "stack.npy"):
        assert {key.split("/")[-2] for key in keys if key.endswith(f"/{name}")} == ids
    return len(ids), orphans

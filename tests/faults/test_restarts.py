"""PostgreSQL, web and workers are restarted under a whole portal at work: what was promised is kept, by itself.

The portal has a worker for uploads and one for evaluations (GLIOSCOPE_BATCH_WORKER), over a PostgreSQL of its own.
"""

import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPResponse

import psutil
import pytest

from tests.faults.conftest import FAST
from tests.faults.test_kills import SLICES, stack, wait_for
from tests.support.evaluations import write_data_set
from tests.support.portal_process import RunningPortal, running_portal, suspended
from tests.support.repetitions import repeated
from tests.support.resources import MODEL, png_bytes
from tests.support.servers import PostgresServer, create_database, postgres_programs, restartable_postgres
from tests.support.small_model import write_small_model
from worker.process.runtime import BATCH_NICENESS, NICENESS

pytestmark = [pytest.mark.long, pytest.mark.postgres]

PATH = "/api/v1/evaluations"
CASES = 240
RESTARTS = repeated(2, promised=6)
# How PostgreSQL ends: its clients' connections are ended, or it crashes.
WAYS = (signal.SIGINT, signal.SIGQUIT)
END_S = 300.0
CLIENTS = 3


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server programs: install the package postgresql")
    with restartable_postgres(programs) as server:
        create_database(server.where, "portal", template="template1")
        yield server


@pytest.fixture(scope="module")
def both(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """A portal with a worker for uploads and one for evaluations."""
    environ = {
        "DATABASE_URL": f"postgresql:///portal?{server.where}",
        "GLIOSCOPE_MODELS": str(write_small_model(tmp_path_factory.mktemp("models"))),
        "GLIOSCOPE_MODEL": MODEL,
        "GLIOSCOPE_BATCH_WORKER": "on",
        "GLIOSCOPE_EVALUATION_CHUNK": "16",
    }
    with running_portal(tmp_path_factory.mktemp("restarts"), **environ, **FAST) as portal:
        deadline = time.monotonic() + END_S
        while "glioscope_live_workers 2.0" not in portal.call("GET", "/metrics")[1].decode():
            assert time.monotonic() < deadline, portal.log()
            time.sleep(0.2)
        yield portal


def workers(portal: RunningPortal, jobs: str) -> list[psutil.Process]:
    """The processes of the worker that does such jobs, its parent first."""
    found = [
        process
        for process in portal.processes("celery", "worker.app")
        if process.environ().get("GLIOSCOPE_WORKER_JOBS") == jobs
    ]
    pids = {process.pid for process in found}
    return sorted(found, key=lambda process: process.ppid() in pids)


def begin(portal: RunningPortal, name: str, cases: int) -> str:
    """Start an evaluation of so many cases; its id."""
    data = write_data_set(portal.folder / "instance" / "datasets" / name, patients=4, slices=cases // 4)
    status, answer = portal.json("POST", PATH, {"path": str(data)})
    assert status == 202, answer
    return str(answer["id"])


def finish(portal: RunningPortal, evaluation_id: str) -> dict:
    """Wait for an evaluation's end."""
    deadline = time.monotonic() + END_S
    while True:
        status, found = portal.json("GET", f"{PATH}/{evaluation_id}?wait=5")
        if status == 200 and found["status"] not in ("queued", "running"):
            return found
        assert time.monotonic() < deadline, portal.log()


def positions(portal: RunningPortal, evaluation_id: str) -> list[int]:
    """Of all its cases that did not fail."""
    found, cursor = [], ""
    while cursor is not None:
        page = portal.json("GET", f"{PATH}/{evaluation_id}/cases?limit=100&cursor={cursor}")[1]
        found += [case["position"] for case in page["cases"] if case["error"] is None]
        cursor = page["next_cursor"]
    return sorted(found)


def test_uploads_and_evaluations_have_a_worker_each(both: RunningPortal) -> None:
    with suspended(workers(both, "batch")):
        evaluation_id = begin(both, "few", 8)
        scan = both.upload(png_bytes(64, 64))
        assert both.wait(scan["id"])["segmentation"]["status"] == "succeeded", both.log()
        assert both.json("GET", f"{PATH}/{evaluation_id}")[1]["progress"]["done"] == 0
    with suspended(workers(both, "interactive")):
        scan = both.upload(png_bytes(64, 64))
        assert finish(both, evaluation_id)["status"] == "succeeded", both.log()
        assert both.json("GET", f"/api/v1/scans/{scan['id']}")[1]["segmentation"]["status"] == "queued"
    assert both.wait(scan["id"])["segmentation"]["status"] == "succeeded", both.log()
    # Each pool's process, and the web's: pages first, then uploads, then evaluations.
    nices = [workers(both, jobs)[-1].nice() for jobs in ("interactive", "batch")]
    own = psutil.Process().nice()  # the suite may run under `nice`
    assert 0 < NICENESS < BATCH_NICENESS
    assert both.processes("gunicorn")[-1].nice() == own
    assert nices == [max(own, NICENESS), max(own, BATCH_NICENESS)]


@dataclass
class Clients:
    """What clients met who uploaded and read until they were stopped."""

    portal: RunningPortal
    accepted: list[str] = field(default_factory=list)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    stopped: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """One client."""
        while not self.stopped.wait(0.05):
            status, answer = self.portal.post_file(png_bytes(64, 64))
            self.answers["upload", status] += 1
            if status == 202:
                self.accepted += [scan["id"] for scan in json.loads(answer)["scans"]]
            if self.accepted:
                status, _ = self.portal.call("GET", f"/api/v1/scans/{self.accepted[-1]}")
                self.answers["read", status] += 1


def test_postgresql_is_restarted_under_uploads_and_an_evaluation(
    both: RunningPortal, server: PostgresServer, figure: Callable[[str], None]
) -> None:
    before = {process.pid for process in both.processes()}
    evaluation_id, clients = begin(both, "many", CASES), Clients(both)
    threads = [threading.Thread(target=clients.work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    recovered = []
    try:
        for number in range(RESTARTS):
            seen, deadline = len(clients.accepted), time.monotonic() + END_S
            while len(clients.accepted) < seen + 5:
                assert time.monotonic() < deadline, both.log()
                time.sleep(0.05)
            server.stop(WAYS[number % len(WAYS)])
            time.sleep(2)
            assert both.call("GET", "/readyz")[0] == 503
            server.start()
            began = time.monotonic()
            both.wait_until_ready()
            recovered.append(time.monotonic() - began)
    finally:
        clients.stopped.set()
        for thread in threads:
            thread.join()
    ends = Counter(both.wait(scan_id, END_S)["segmentation"]["status"] for scan_id in clients.accepted)
    evaluation = finish(both, evaluation_id)
    restarted = before - {process.pid for process in both.processes()}
    figure(
        f"PostgreSQL restarted {RESTARTS} times (clients' connections ended, crash) under {CLIENTS} clients and an"
        f" evaluation: {len(clients.accepted)} uploads accepted, {ends['succeeded']} results; answers"
        f" {dict(sorted(clients.answers.items()))}; ready again {max(recovered):.1f} s after it, by itself"
    )
    assert ends == {"succeeded": len(clients.accepted)}, both.log()
    assert {status for _, status in clients.answers} <= {200, 202, 503}
    assert (evaluation["status"], positions(both, evaluation_id)) == ("succeeded", list(range(CASES))), both.log()
    assert not {process.pid for process in both.processes("gunicorn")} & restarted


def begun_upload(portal: RunningPortal) -> tuple[socket.socket, bytes]:
    """A connection over which half of an upload was sent, and the other half."""
    data, boundary = png_bytes(64, 64), "b0undary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="late.png"\r\n\r\n'
    body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
    request = (
        f"POST /api/v1/scans HTTP/1.1\r\nHost: 127.0.0.1:{portal.port}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", portal.port), 60)
    connection.sendall(request.encode() + body[: len(body) // 2])
    return connection, body[len(body) // 2 :]


def test_a_web_process_that_is_told_to_end_answers_what_it_has_begun(
    both: RunningPortal, figure: Callable[[str], None]
) -> None:
    both.wait_until_ready()
    waited = both.upload(stack(), "stack.tif")["id"]
    connection, rest = begun_upload(both)
    answers: list[int] = []
    waiter = threading.Thread(target=lambda: answers.append(both.call("GET", f"/api/v1/scans/{waited}?wait=20")[0]))
    waiter.start()
    time.sleep(0.5)  # both are in the hands of a thread
    (parent, *_), began = both.processes("gunicorn", "wsgi:app"), time.monotonic()
    parent.send_signal(signal.SIGTERM)
    time.sleep(1)
    connection.sendall(rest)
    answer = HTTPResponse(connection)
    answer.begin()
    scan = json.loads(answer.read())
    connection.close()
    waiter.join()
    parent.wait(60)
    ended = time.monotonic() - began
    both.wait_until_ready()
    assert (answer.status, answers) == (202, [200])
    assert both.wait(scan["scans"][0]["id"])["segmentation"]["status"] == "succeeded"
    figure(
        f"SIGTERM of web: half an upload and a waiting client were answered, it ended after {ended:.1f} s; ready again"
        f" after {time.monotonic() - began:.1f} s"
    )


@pytest.mark.parametrize(("is_patient", "attempt"), [(True, 1), (False, 2)], ids=["drains", "past the grace time"])
def test_a_worker_that_is_told_to_end_finishes_its_job_or_leaves_it_to_the_next(
    both: RunningPortal, figure: Callable[[str], None], is_patient: bool, attempt: int
) -> None:
    both.wait_until_ready()
    scan_id = both.upload(stack(), "stack.tif")["id"]
    wait_for(both, scan_id, "running")
    processes, began = workers(both, "interactive"), time.monotonic()
    processes[0].send_signal(signal.SIGTERM)
    if not is_patient:
        time.sleep(0.2)
        for process in processes:  # as a supervisor does once its patience is over
            process.kill()
    run = both.wait(scan_id, END_S)["segmentation"]
    seconds = time.monotonic() - began
    assert (run["status"], run["attempt"], len(run["slices"])) == ("succeeded", attempt, SLICES), both.log()
    psutil.wait_procs(processes, 60)
    both.wait_until_ready()
    assert workers(both, "interactive")[0].pid != processes[0].pid
    how = "its job ended" if is_patient else "and SIGKILL: the next worker's attempt ended"
    figure(f"SIGTERM of a worker in a job of {SLICES} slices, {how} {seconds:.1f} s later")

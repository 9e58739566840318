"""HTTP clients that send one slice at a time, and the plain view's server."""

import http.client
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.support.portal_process import RunningPortal
from webapp.domain.settings import PROJECT_ROOT

START_S = 120.0

Slice = tuple[str, bytes]


def finish_scan(portal: RunningPortal, item: Slice) -> None:
    """Upload to finished result, as a client of the API waits for it."""
    name, data = item
    scan = portal.wait(portal.upload(data, name)["id"])
    assert scan["segmentation"]["status"] == "succeeded", scan


def ask_plain(port: int, item: Slice) -> None:
    """The same job of the plain view: its answer is the finished result."""
    name, data = item
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
        connection.request("POST", "/predict", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        response.read()
    finally:
        connection.close()


def timed(job: Callable[[Slice], None], items: Sequence[Slice], clients: int) -> tuple[list[float], float]:
    """Seconds of each slice, and of all together, with so many clients that each send one slice after the other."""

    def time_one(item: Slice) -> float:
        started = time.perf_counter()
        job(item)
        return time.perf_counter() - started

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        seconds = list(pool.map(time_one, items))
    return seconds, time.perf_counter() - began


@contextmanager
def plain_server(checkpoint: Path, port: int) -> Iterator[None]:
    """bench.plain under gunicorn's sync worker, ready."""
    options = f"--bind 127.0.0.1:{port} --workers 1 --worker-class sync --timeout 120 --log-level warning"
    # In a folder of its own: in the project's, gunicorn would read the portal's settings.
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *options.split(), "bench.plain:app"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "BENCH_CHECKPOINT": str(checkpoint)},
        )
        try:
            _wait_until_ready(process, port)
            yield
        finally:
            process.terminate()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise RuntimeError("the plain view did not start")

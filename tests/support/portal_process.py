"""A whole portal as `make run` starts it: Redis, worker, sweeper and web under their supervisor."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from webapp.domain.settings import PROJECT_ROOT

START_S = 120.0
STOP_S = 60.0


@dataclass
class RunningPortal:
    """A started portal: its address, its processes, and a small client."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, value: Any = None) -> tuple[int, Any]:
        body = None if value is None else json.dumps(value).encode()
        status, data = self.call(method, path, body, **{"Content-Type": "application/json"})
        return status, json.loads(data) if data else None

    def upload(self, data: bytes, filename: str = "scan.png") -> dict[str, Any]:
        """Send one file; gives the Scan."""
        status, answer = self.post_file(data, filename)
        assert status == 202, answer
        return json.loads(answer)["scans"][0]

    def post_file(self, data: bytes, filename: str = "scan.png") -> tuple[int, bytes]:
        """Send one file; gives status and body of the answer."""
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
        body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
        return self.call("POST", "/api/v1/scans", body, **{"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def wait(self, scan_id: str, seconds: float = 60) -> dict[str, Any]:
        """Wait for the scan's job to end; gives the Scan."""
        deadline = time.monotonic() + seconds
        while True:
            _, scan = self.json("GET", f"/api/v1/scans/{scan_id}?wait=10")
            if scan["segmentation"]["status"] not in ("queued", "running") or time.monotonic() > deadline:
                return scan

    def wait_until_ready(self, seconds: float = START_S) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                status, answer = self.call("GET", "/readyz")
                if status == 200:
                    return
            except OSError as error:
                answer = repr(error).encode()
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, f"{answer!r}\n{self.log()}"
            time.sleep(0.1)

    def wait_for_words(self, words: str, seconds: float = START_S) -> None:
        """Wait until the portal has said so."""
        deadline = time.monotonic() + seconds
        while words not in self.log():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def processes(self, *words: str) -> list[psutil.Process]:
        """The supervisor's descendants whose command line has every word."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if all(word in line for word in words):
                found.append(process)
        return found

    def log(self) -> str:
        return (self.folder / "portal.log").read_text(errors="replace")


@contextmanager
def suspended(processes: Sequence[psutil.Process]) -> Iterator[None]:
    """Processes that stand still, as on a machine that sleeps."""
    suspend(processes)
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def suspend(processes: Sequence[psutil.Process]) -> None:
    """Stop processes, and wait until they are: on a busy machine a thread may still begin a transaction after the
    signal was sent."""
    for process in processes:
        process.suspend()
    while not all(_stands_still(process.pid) for process in processes):
        time.sleep(0.01)


def _stands_still(pid: int) -> bool:
    """Whether each thread of the process is stopped, or the process is gone."""
    try:
        states = [
            task.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
            for task in Path(f"/proc/{pid}/task").glob("*/stat")
        ]
    except OSError:
        return False  # a thread has just ended
    return all(state in "TtZX" for state in states)


def free_port() -> int:
    """A TCP port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_portal(
    folder: Path, *, python: str = sys.executable, port: int | None = None, is_awaited: bool = True, **environ: str
) -> Iterator[RunningPortal]:
    """Start a portal over the folder's instance, wait until it is ready if that is awaited, stop it as Ctrl-C does."""
    port = port or free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GLIOSCOPE_")}
    environment |= {"GLIOSCOPE_INSTANCE": str(folder / "instance"), "GLIOSCOPE_BIND": f"127.0.0.1:{port}", **environ}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "portal.log").open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", "webapp.process.launch"],
            cwd=PROJECT_ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    portal = RunningPortal(port, folder, process)
    try:
        if is_awaited:
            portal.wait_until_ready()
        yield portal
    finally:
        left = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
        _, alive = psutil.wait_procs(left, timeout=10)
        for orphan in alive:
            orphan.kill()
        assert not alive, f"left behind: {alive}"

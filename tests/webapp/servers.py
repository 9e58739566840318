"""A real gunicorn over a fresh instance, on a free loopback port: what only a server of its own can show."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from webapp.domain.resources import Resources
from webapp.domain.settings import PROJECT_ROOT, Settings

START_S = 60.0


@dataclass(frozen=True)
class WebServer:
    """A running `gunicorn wsgi:app`, its services seen from beside it, and what it logged."""

    port: int
    resources: Resources
    process: subprocess.Popen[bytes]
    log_path: Path

    def connect(self, timeout_s: float = 30.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s)

    def exchange(self, request: bytes) -> bytes:
        """Send raw bytes; everything that comes back until the server closes."""
        with self.connect() as client:
            client.sendall(request)
            return received(client)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stored(self) -> list[str]:
        return [path.name for path in Path(self.resources.settings.storage).rglob("*") if path.is_file()]


def received(client: socket.socket) -> bytes:
    """Everything until the other side closes or resets."""
    data = b""
    try:
        while piece := client.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


@contextmanager
def web_server(folder: Path, **environ: str) -> Iterator[WebServer]:
    """Start gunicorn as the README says, wait for /healthz, stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"GLIOSCOPE_INSTANCE": str(folder / "instance"), "GLIOSCOPE_BIND": f"127.0.0.1:{port}", **environ}
    settings = Settings.from_environment(own)
    log_path = folder / "web.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app"],
            cwd=PROJECT_ROOT,
            env={**os.environ, **own},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    server = WebServer(port, Resources.open(settings), process, log_path)
    try:
        _wait(server)
        yield server
    finally:
        server.resources.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: WebServer) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            if b" 200 " in server.exchange(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n"):
                return
        except OSError:
            pass
        assert server.process.poll() is None, server.log()
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.1)

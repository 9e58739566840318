"""Sandbox servers of the suite's own processes, forked from a process that has imported what they need.

Each test of a data set, a series or an export has servers of its own started, and a start is half a second of imports.
Here one process for each entry imports it once, and forks: each server is still a process of its own that runs
`ml.sandbox.server.main` and is ended by its owner. tests/ml/sandbox, and every portal, have them started anew.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ml.sandbox import server_process


class ForkedServer:
    """What `ml.sandbox.server_process` takes of a Popen."""

    def __init__(self, pid: int, ended: int) -> None:
        """ended: a pipe whose other end the server alone holds."""
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            ready, _, _ = select.select([self._ended], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired("ml.sandbox.server", timeout or 0.0)
            self.returncode = 0
        return self.returncode

    def kill(self) -> None:
        """End it at once."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def __del__(self) -> None:
        os.close(self._ended)


class Nursery:
    """A process that forks servers of one entry, with the environment and the folder that they would be started in."""

    def __init__(self, modules_json: str, cwd: Path, env: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.sandbox_nursery", str(theirs.fileno()), modules_json],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=cwd,
                env=env,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def fork(self, control: int, limits_json: str) -> ForkedServer:
        """A server over this control socket."""
        ended, theirs = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._control, [limits_json.encode()], [control, theirs])
                return ForkedServer(int(self._control.recv(64)), ended)
        finally:
            os.close(theirs)

    def close(self) -> None:
        """End it; its servers end with their owners."""
        self._control.close()
        self._process.wait()


@contextmanager
def forked_servers() -> Iterator[None]:
    """Sandboxes of this process have their servers forked; those of processes that a test forks start them."""
    nurseries: dict[str, Nursery] = {}
    lock, owner = threading.Lock(), os.getpid()

    def start(command: Sequence[str], **options: Any) -> Any:
        if os.getpid() != owner:
            return subprocess.Popen(command, **options)
        control, modules_json, limits_json = command[-3:]
        with lock:
            if modules_json not in nurseries:
                nurseries[modules_json] = Nursery(modules_json, options["cwd"], options["env"])
        return nurseries[modules_json].fork(int(control), limits_json)

    with pytest.MonkeyPatch.context() as patch:
        names = {name: getattr(subprocess, name) for name in ("DEVNULL", "TimeoutExpired")}
        patch.setattr(server_process, "subprocess", SimpleNamespace(Popen=start, **names))
        yield
    for nursery in nurseries.values():
        nursery.close()


@contextmanager
def started_servers() -> Iterator[None]:
    """Sandboxes start their servers as they do outside of the suite."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_process, "subprocess", subprocess)
        yield

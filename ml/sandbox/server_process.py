"""The fork server as a process: its environment, its start and its end."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import weakref
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2]
_STOP_S = 2.0
_SEND_S = 5.0
# Nothing of the owner's environment, which holds secrets. More than one BLAS thread would make fork unsafe and cost
# address space.
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "PYTHONUTF8": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Returns freed pixels to the system instead of one arena a thread.
    "MALLOC_ARENA_MAX": "1",
}


class ServerProcess:
    """A running `ml.sandbox.server`. It ends by itself when this object's side of the control socket is closed."""

    def __init__(self, modules_json: str, limits_json: str) -> None:
        # Whether a child of it has answered: its imports are done then.
        self.has_answered = False
        self._control, theirs = socket.socketpair()
        # A server that takes no connection for so long is broken; its owner must not hang on it.
        self._control.settimeout(_SEND_S)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ml.sandbox.server", str(theirs.fileno()), modules_json, limits_json],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=_PROJECT,
                env=_ENVIRONMENT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        _take_over_niceness(self._process.pid)
        self._finalizer = weakref.finalize(self, _end, self._control, self._process)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def has_ended(self, within_s: float = 0.0) -> bool:
        """Whether it ended, or does so within this time; reaps it then."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def open_connection(self, timeout_s: float, times: int = 1) -> socket.socket:
        """A socket whose other end a new child holds, or soon will. times: as long as usual it may live, 1 to 255.

        Raises OSError where no server takes it.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [bytes([times])], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        ours.settimeout(timeout_s)
        return ours

    def stop(self) -> None:
        """Close the control socket and wait for the end; kill what does not end."""
        self._finalizer()

    def abandon(self) -> None:
        """In a forked process: let go of the parent's server without touching it."""
        self._finalizer.detach()
        self._control.close()
        self._process.returncode = 0  # not our child: keeps Popen from waiting for it and from warning


def _take_over_niceness(pid: int) -> None:
    """Let the server's session have its owner's niceness against other sessions.

    Linux may share the processor among sessions first; what a process of one inherited says nothing to another then
    (autogroup, man 7 sched).
    """
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(os.getpriority(os.PRIO_PROCESS, 0)), encoding="ascii")


def _end(control: socket.socket, process: subprocess.Popen[bytes]) -> None:
    control.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

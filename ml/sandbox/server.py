"""The fork server: a small process that has loaded an entry and forks one child for each connection.

`python -m ml.sandbox.server CONTROL_FD MODULES_JSON LIMITS_JSON`, started by `ml.sandbox.launcher`. The first of the
modules is the entry, with `answer(request) -> (line, bytes)`; importing them loads all that its children need. The
server never looks at a file or a request itself: it gets one byte (how many times as long as usual the child may live)
and one socket a child, and hands the socket to the child. It reaps the child, writes how it ended as the last line of
that socket, and ends with its children when the other side of CONTROL_FD closes.

One thread, no multiprocessing: multiprocessing's forkserver imports the parent's __main__ again, which may be gunicorn.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from types import FrameType

from ml.sandbox.child import Answer, ChildLimits, run_child
from ml.sandbox.confinement import prepare
from ml.sandbox.progress import LOOK_S, Sample, Watch, sample_of


def main(arguments: list[str]) -> None:
    """Serve until the control socket is closed."""
    descriptor, modules, limits = arguments
    # A terminal's Ctrl-C is for the owner, which closes the control socket when it is ready.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(descriptor)) as control:
        entry, *_ = [import_module(name) for name in json.loads(modules)]
        answer: Answer = entry.answer
        prepare()
        # Keeps the pages of all that was imported shared between server and children.
        gc.collect()
        gc.freeze()
        ForkServer(control, answer, ChildLimits(**json.loads(limits))).serve()


@dataclass
class _Child:
    """connection: that its end is written to. deadline: monotonic seconds. watch: None of one that may wait for its
    owner's next request. ended_for: why the server has killed it."""

    connection: socket.socket
    deadline: float
    watch: Watch | None
    ended_for: dict[str, bool] = field(default_factory=dict)

    def is_over(self, now: float, look: Callable[[], Sample | None] | None) -> bool:
        """Whether it is to be ended now, in monotonic seconds; `ended_for` says why. look: at it, where it is time."""
        if self.ended_for:
            return False
        if now >= self.deadline:
            self.ended_for = {"expired": True}
        elif look is not None and self.watch is not None and self.watch.stands_still(look()):
            self.ended_for = {"still": True}
        return bool(self.ended_for)


class ForkServer:
    """Forks children, kills them at their deadlines or where they stand still, reaps them. Single-threaded.

    While it has children it wakes at every look, by which its owner sees that it does not stand still itself.
    """

    def __init__(self, control: socket.socket, answer: Answer, limits: ChildLimits) -> None:
        self._control = control
        self._answer = answer
        self._limits = limits
        self._children: dict[int, _Child] = {}  # by process id
        self._next_look = time.monotonic() + LOOK_S
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)

    def serve(self) -> None:
        """Loop until the control socket ends; then kill and reap what still runs."""
        while True:
            sources: list[socket.socket | int] = [self._control, self._wake_read]
            ready, _, _ = select.select(sources, [], [], self._seconds_to_next_look())
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            self._reap()
            self._kill_expired()
            if self._control in ready and not self._accept():
                break
        for pid in self._children:
            os.killpg(pid, signal.SIGKILL)
        for pid in self._children:
            os.waitpid(pid, 0)

    def _accept(self) -> bool:
        """Take one connection and fork for it; False where the owner is gone."""
        data, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        if not data:
            return False
        if not descriptors:
            return True
        connection = socket.socket(fileno=descriptors[0])
        limits = self._limits.times(max(data[0], 1))
        server_pid = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            _send_line(connection, {"errno": error.errno})
            connection.close()
            return True
        if pid == 0:
            self._become_child(connection, server_pid, limits)
        _lead_a_group(pid)
        life_s, watch = (
            (float("inf"), None) if limits.life_wall_s is None else (limits.life_wall_s, Watch(has_slow_disk=True))
        )
        self._children[pid] = _Child(connection, time.monotonic() + life_s, watch)
        return True

    def _become_child(self, connection: socket.socket, server_pid: int, limits: ChildLimits) -> None:
        """In the child: close the server's descriptors, answer, exit without running its clean-up handlers."""
        status = 1
        try:
            _lead_a_group(os.getpid())
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # A child that held another's socket would keep that one's reader waiting.
            for other in self._children.values():
                other.connection.close()
            self._control.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
            run_child(connection, self._answer, limits, server_pid)
            status = 0
        finally:
            os._exit(status)

    def _reap(self) -> None:
        for pid in list(self._children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            child = self._children.pop(pid)
            _send_line(child.connection, {"exit": os.waitstatus_to_exitcode(status), **child.ended_for})
            child.connection.close()

    def _kill_expired(self) -> None:
        now = time.monotonic()
        is_look = now >= self._next_look
        if is_look:
            self._next_look = now + LOOK_S
        for pid, child in self._children.items():
            if child.is_over(now, partial(sample_of, pid) if is_look else None):
                os.killpg(pid, signal.SIGKILL)

    def _seconds_to_next_look(self) -> float | None:
        """Until the next look at the children, or the next of their deadlines; None without children."""
        if not self._children:
            return None
        moments = [child.deadline for child in self._children.values() if not child.ended_for]
        return max(min([self._next_look, *moments]) - time.monotonic(), 0)


def _lead_a_group(pid: int) -> None:
    """A child's processes, were it to start some, end with it. Asked for on both sides, since either may be first."""
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """SIGCHLD needs a handler, or the wake-up pipe is not written to."""


def _send_line(connection: socket.socket, message: dict[str, object]) -> None:
    # Never waits: where the owner does not read, it loses this line.
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(message).encode() + b"\n", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


if __name__ == "__main__":
    main(sys.argv[1:])

"""The decode server: a small process that has loaded the readers and forks one child for each decode.

`python -m ml.sandbox.server CONTROL_FD OPTIONS_JSON`, started by `ml.sandbox.decoder.Decoder` for single files and by
`ml.datasets.case_reader` for the cases of a data set. It never looks at a file or
a request itself: it gets one byte and one socket a decode, and hands the socket to the child. It reaps the child,
writes how it ended as the last line of that socket, and ends with its children when the other side of CONTROL_FD goes.

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
from importlib import import_module
from types import FrameType

from ml.sandbox.entries.decode import ChildOptions

# What the formats of `ml.scans.formats` need, and the codecs that imagecodecs would load one by one in each child.
_PRELOADED = (
    "numpy",
    "PIL.Image",
    "tifffile",
    "imagecodecs",
    "ml.scans.readers.pillow",
    "ml.scans.readers.tiff.reader",
)
_PRELOADED_CODECS = ("imcd", "shared", "png", "zlib", "deflate", "lzw", "jpeg8")


def main(arguments: list[str]) -> None:
    """Serve until the control socket is closed."""
    options = ChildOptions(**json.loads(arguments[1]))
    # A terminal's Ctrl-C is for the process that owns us; it closes the socket when it is ready.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(arguments[0])) as control:
        _preload()
        module, _, function = options.entry.partition(":")
        DecodeServer(control, options, getattr(import_module(module), function)).serve()


def _preload() -> None:
    for name in _PRELOADED:
        import_module(name)
    for name in _PRELOADED_CODECS:
        with contextlib.suppress(ImportError):  # not in every build of imagecodecs; then the child finds out
            import_module(f"imagecodecs._{name}")
    import PIL.Image

    PIL.Image.preinit()
    import_module("PIL.WebPImagePlugin")
    # Keeps the pages of all that was imported shared between server and children.
    gc.collect()
    gc.freeze()


class DecodeServer:
    """Forks, watches the clock, reaps. At most one thread ever runs in here."""

    def __init__(
        self,
        control: socket.socket,
        options: ChildOptions,
        entry: Callable[[socket.socket, ChildOptions, int], None],
    ) -> None:
        self._control = control
        self._options = options
        self._entry = entry
        # By process id: the socket to answer on, when to kill (monotonic seconds), and whether that was done.
        self._children: dict[int, tuple[socket.socket, float]] = {}
        self._expired: set[int] = set()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)

    def serve(self) -> None:
        """Loop until the control socket ends; then kill and reap what still runs."""
        while True:
            ready, _, _ = select.select([self._control, self._wake_read], [], [], self._seconds_to_next_deadline())
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            self._reap()
            self._kill_expired()
            if self._control in ready and not self._accept():
                break
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        for pid in self._children:
            os.waitpid(pid, 0)

    def _accept(self) -> bool:
        """Take one request and fork for it; False where the other side is gone."""
        data, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        if not data:
            return False
        if not descriptors:
            return True
        connection = socket.socket(fileno=descriptors[0])
        server_pid = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            _say(connection, {"errno": error.errno})
            connection.close()
            return True
        if pid == 0:
            self._become_child(connection, server_pid)
        self._children[pid] = (connection, time.monotonic() + self._options.timeout_s)
        return True

    def _become_child(self, connection: socket.socket, server_pid: int) -> None:
        """In the child: let go of everything of the server's, decode, leave without its clean-up."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # A child that held another's socket would keep that one's reader waiting.
            for other, _ in self._children.values():
                other.close()
            self._control.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._entry(connection, self._options, server_pid)
            status = 0
        finally:
            os._exit(status)

    def _reap(self) -> None:
        for pid in list(self._children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            connection, _ = self._children.pop(pid)
            _say(connection, {"exit": os.waitstatus_to_exitcode(status), "expired": pid in self._expired})
            self._expired.discard(pid)
            connection.close()

    def _kill_expired(self) -> None:
        now = time.monotonic()
        for pid, (_, deadline) in self._children.items():
            if now >= deadline and pid not in self._expired:
                self._expired.add(pid)
                os.kill(pid, signal.SIGKILL)

    def _seconds_to_next_deadline(self) -> float | None:
        waiting = [deadline for pid, (_, deadline) in self._children.items() if pid not in self._expired]
        return max(min(waiting) - time.monotonic(), 0) if waiting else None


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """Being a handler at all makes the wake-up pipe work."""


def _say(connection: socket.socket, message: dict[str, object]) -> None:
    # Never wait for a reader: a full or closed socket is its loss.
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(message).encode() + b"\n", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


if __name__ == "__main__":
    main(sys.argv[1:])

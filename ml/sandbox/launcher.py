"""The sandbox seen from its owner: start the fork server, open children in it, ask them, end them.

Whatever a hostile file does to its child, the owner gets an answer, `ChildDied` or OSError, and soon. Importing this
module loads neither numpy nor a reader.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import socket
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, BinaryIO

from ml.sandbox.child import ChildLimits, wall_limit_s
from ml.sandbox.confinement import Access, missing
from ml.sandbox.progress import LOOK_S, STILL_LOOKS, Watch, sample_of
from ml.sandbox.server_process import ServerProcess

logger = logging.getLogger(__name__)

_MAX_ANSWER_BYTES = 64 * 1024
# Children end at their limits; a server that is silent for so much longer is itself broken (stopped, swapped out).
_GRACE_S = 5.0
_START_S = 30.0  # the first request waits for the imports of the server, on a busy disk too
_ATTEMPTS = 2
# Each of those that wait keeps a thread of its owner: a web server has no more to spare.
_MOST_WAITING = 24
_DYING_S = 2.0  # a server's process may outlive its sockets by this


class SandboxError(OSError):
    """The fork server cannot be started or kept: a fault of the machine or the installation, not of a file."""


class _Silent(SandboxError):
    """The fork server does not answer."""


class ChildDied(Exception):
    """A child gave no answer. exit_code: negative for a signal, None where it is not known. is_expired, is_still: why
    the server has ended it, at its deadline or because it stood still."""

    def __init__(self, exit_code: int | None, *, is_expired: bool = False, is_still: bool = False) -> None:
        super().__init__(f"exit {exit_code}, expired {is_expired}, still {is_still}")
        self.exit_code = exit_code
        self.is_still = is_still
        was_ended = is_expired or is_still
        self.is_out_of_processor_time = not was_ended and exit_code in (-signal.SIGPROF, -signal.SIGXCPU)
        self.is_timeout = self.is_out_of_processor_time or was_ended or exit_code == -signal.SIGALRM
        # Not by us: by the kernel, where the machine is out of memory.
        self.is_out_of_memory = not self.is_timeout and exit_code == -signal.SIGKILL

    def limit_in_words(self, cpu_s: float, wall_s: float | None = None) -> str:
        """The limit of time that it met: of processor time, of standing still, or by the clock."""
        if self.is_still:
            return f"the limit of {STILL_LOOKS * LOOK_S:g} s in which nothing moves"
        if self.is_out_of_processor_time:
            return f"the limit of {cpu_s:g} s of processor time"
        return f"the limit of {wall_limit_s(cpu_s) if wall_s is None else wall_s:g} s"


class Sandbox:
    """Runs one entry (`ml.sandbox.entries`) in child processes. Thread-safe; follows its owner through forks.

    The server starts with the first request, and again where it is gone. children: of `run` at the same time; others
    wait their turn, a few times as many at most. modules: imported beside the entry's own, since a child can read no
    code of the project. idle_s: the server ends when it was not in `use` for so long; None: it stays until `close`.
    """

    def __init__(
        self,
        entry: str,
        limits: ChildLimits,
        children: int = 4,
        *,
        modules: Sequence[str] = (),
        idle_s: float | None = None,
    ) -> None:
        self._idle_s = idle_s
        self._request_s = limits.request_wall_s
        self._arguments = (json.dumps([entry, *modules]), json.dumps(asdict(limits)))
        self._children = children
        self._server: ServerProcess | None = None
        # What ends the server, where nobody asks it; how many ask it now.
        self._timer: threading.Timer | None = None
        self._running = 0
        self._lock = threading.Lock()
        self._is_closed = False
        self._renew()
        _SANDBOXES.add(self)

    def run(self, request: dict[str, Any], access: Access, times: int = 1) -> dict[str, Any]:
        """One request to a child of its own, which has ended when this returns. Raises ChildDied and OSError.

        access: the files that the child may use, which exist. times: as long as usual it may take, 1 to 255.
        SandboxError where too many wait for their turn already.
        """
        places = self._places
        if not places.acquire(blocking=False):
            raise SandboxError("Too many requests wait for a child.")
        try:
            with self.use(), self._turns, contextlib.closing(Conversation(self, access, times)) as conversation:
                answer = conversation.ask(request)
                conversation.finish()
                return answer
        finally:
            places.release()

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """A block that asks children, during which the server does not count as idle."""
        self._begin()
        try:
            yield
        finally:
            self._rest()

    def ensure_server(self) -> ServerProcess:
        """The running server. Raises SandboxError after the final `close`."""
        with self._lock:
            if self._is_closed:
                raise SandboxError("The sandbox is closed; make a new one.")
            if self._server is None or self._server.has_ended():
                if self._server is not None:
                    self._server.stop()
                _say_what_is_missing()
                self._server = ServerProcess(*self._arguments)
            return self._server

    def warm_up(self) -> None:
        """Start the server now, so that the first request does not wait for it (call after a fork, not before)."""
        server = self.ensure_server()
        server.open_connection(self.silence_of(server)).close()

    def silence_of(self, server: ServerProcess, times: int = 1) -> float:
        """Seconds for which this server may be silent; the first request waits for its imports, too."""
        silence_s = self._request_s * times + _GRACE_S
        return silence_s if server.has_answered else silence_s + _START_S

    def replace(self, server: ServerProcess) -> None:
        """End a server that does not answer, unless another one has taken its place already."""
        with self._lock:
            if self._server is server:
                self._server = None
        server.stop()

    def close(self, *, is_final: bool = False) -> None:
        """End the server and its children. Unless it is final, a later request starts the server again."""
        with self._lock:
            self._is_closed |= is_final
            server, self._server = self._server, None
        if server is not None:
            server.stop()

    @property
    def server_pid(self) -> int | None:
        """Process id of the server, None where none runs."""
        server = self._server
        return server.pid if server is not None and not server.has_ended() else None

    def _begin(self) -> None:
        with self._lock:
            self._running += 1
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _rest(self) -> None:
        with self._lock:
            self._running -= 1
            if self._idle_s is not None and not self._running and self._server is not None:
                self._timer = threading.Timer(self._idle_s, self._end_idle)
                self._timer.daemon = True
                self._timer.start()

    def _end_idle(self) -> None:
        with self._lock:
            if self._running:  # it was just called
                return
            server, self._server, self._timer = self._server, None, None
        if server is not None:
            server.stop()

    def _renew(self) -> None:
        """Start without a server: at first, and in a forked process, which must not talk to its parent's."""
        if self._server is not None:
            self._server.abandon()
            self._server = None
        self._running = 0
        self._timer = None
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(self._children)
        self._places = threading.BoundedSemaphore(self._children + _MOST_WAITING)


class Conversation:
    """Requests to one child, one after the other; after its death the next one goes to a new child. Not thread-safe.

    access: the files that its children may use. times: as long as usual they may take.
    """

    def __init__(self, sandbox: Sandbox, access: Access, times: int = 1) -> None:
        self._sandbox = sandbox
        self._times = times
        self._access = json.dumps(asdict(access)).encode() + b"\n"
        self._server: ServerProcess | None = None
        self._socket: socket.socket | None = None
        self._stream: BinaryIO | None = None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The line that the child answers; asked once more where the server went away.

        Raises ChildDied where the child ended instead; OSError where it says so, or no process can be had.
        """
        data = json.dumps(request).encode() + b"\n"
        for _ in range(_ATTEMPTS):
            try:
                return self._exchange(data)
            except _Silent:
                self.close()
                logger.warning("the sandbox server is silent; another one is started")
                continue
            except ChildDied as death:
                server = self._server
                self.close()
                if death.exit_code is not None or server is None or not server.has_ended(_DYING_S):
                    raise  # without an exit code, from a child that closed the server's side of its socket as well
            except BaseException:
                self.close()
                raise
            logger.warning("the sandbox server ended during a request; it is started again")
        raise SandboxError("The sandbox server does not stay alive; see its messages in the log and start again.")

    def receive(self, size: int) -> bytes:
        """The bytes behind the answer. Raises ChildDied where there are fewer."""
        data = b""
        with contextlib.suppress(OSError):
            data = self._stream.read(size) if self._stream is not None else b""
        if len(data) != size:
            self.close()
            raise ChildDied(None)
        return data

    def finish(self) -> None:
        """No further request: wait until the child has ended. The server closes its side only then."""
        if self._socket is not None and self._stream is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
                self._wait(self._socket, select.POLLIN)
                while self._stream.read(_MAX_ANSWER_BYTES):
                    pass
        self.close()

    def close(self) -> None:
        """Let the child end."""
        for item in (self._stream, self._socket):
            if item is not None:
                with contextlib.suppress(OSError):
                    item.close()
        self._stream = self._socket = self._server = None

    def _exchange(self, data: bytes) -> dict[str, Any]:
        try:
            answer = self._send_and_read(data)
        except TimeoutError as error:
            if self._server is not None:
                self._sandbox.replace(self._server)
            raise _Silent("The sandbox server does not answer.") from error
        except (BrokenPipeError, ConnectionResetError, ValueError) as error:  # ValueError: no JSON, or a line cut short
            raise ChildDied(None) from error
        if "exit" in answer:
            code = answer["exit"]
            raise ChildDied(
                code if isinstance(code, int) else None,
                is_expired=bool(answer.get("expired")),
                is_still=bool(answer.get("still")),
            )
        if isinstance(number := answer.get("errno"), int):
            raise OSError(number, os.strerror(number))
        return answer

    def _send_and_read(self, data: bytes) -> dict[str, Any]:
        if self._socket is None or self._stream is None or self._server is None:
            self._server = self._sandbox.ensure_server()
            silence_s = self._sandbox.silence_of(self._server, self._times)
            self._socket = self._server.open_connection(silence_s, self._times)
            self._stream = self._socket.makefile("rb")
            data = self._access + data
        self._socket.settimeout(self._sandbox.silence_of(self._server, self._times))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the last line says how the child ended
            self._send(self._socket, data)
        self._wait(self._socket, select.POLLIN)
        line = self._stream.readline(_MAX_ANSWER_BYTES)
        self._server.has_answered |= bool(line)
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise ValueError("the answer is no object")
        return answer

    def _send(self, connection: socket.socket, data: bytes) -> None:
        """All of it, however long a child takes to read it. Raises as `_wait`."""
        left = memoryview(data)
        while left:
            self._wait(connection, select.POLLOUT)
            left = left[connection.send(left) :]

    def _wait(self, connection: socket.socket, event: int) -> None:
        """Until the socket can be read from, or written to. Raises TimeoutError where the server stands still, or where
        it is silent for the socket's time."""
        poll = select.poll()
        poll.register(connection, event)
        watch = Watch()
        deadline = time.monotonic() + (connection.gettimeout() or 0.0)
        while not poll.poll(1000 * min(LOOK_S, max(deadline - time.monotonic(), 0.0))):
            pid = self._server.pid if self._server is not None else 0
            if time.monotonic() >= deadline or watch.stands_still(sample_of(pid)):
                raise TimeoutError("the sandbox server is silent")


@cache
def _say_what_is_missing() -> None:
    """Once a process: what the machine does not offer to hold children with."""
    if lacks := missing():
        logger.warning(
            "Files of strangers are read by processes that could be held better: this machine does not offer %s.",
            " and ".join(lacks),
        )


_SANDBOXES: weakref.WeakSet[Sandbox] = weakref.WeakSet()


def _renew_sandboxes() -> None:
    for sandbox in list(_SANDBOXES):
        sandbox._renew()


os.register_at_fork(after_in_child=_renew_sandboxes)

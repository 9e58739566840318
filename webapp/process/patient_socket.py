"""A client's connection on which a thread waits only so long, and of which only so many keep a thread waiting.

Every byte that a thread reads or writes goes through here: heads, bodies, answers.
"""

import contextlib
import errno
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

# A client that moves nothing for so long is gone: a radio link's worst pauses are shorter.
LONGEST_PAUSE_S = 30.0
# One that sends or reads ever so slowly has so many seconds for a request, and one more for each of so many bytes
# (Apache's mod_reqtimeout: `body=20,MinRate=500`).
GRACE_S = 20.0
LEAST_BYTES_PER_S = 500


class SlowClient(Exception):
    """A request's bytes let a thread wait for longer than they may, or for so long that another one needs it.

    No OSError: Werkzeug takes those for clients that went away, and this one can be told.
    """


class WaitingClients:
    """The connections on which a thread waits now. Beyond the most, the one that has been waited for longest goes.

    So clients that stall never hold all threads, and one that keeps on moving outlives them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        # A set in the order in which they began.
        self._waiting: dict[PatientSocket, None] = {}

    @contextlib.contextmanager
    def place(self, client: "PatientSocket") -> Iterator[None]:
        """Wait in the block. Where the place is lost meanwhile, the client is cut off."""
        with self._lock:
            self._waiting[client] = None
            if len(self._waiting) > self._most:
                longest = next(iter(self._waiting))
                del self._waiting[longest]
                longest.cut_off()
        try:
            yield
        finally:
            with self._lock:
                self._waiting.pop(client, None)


class PatientSocket(socket.socket):
    """A blocking socket that waits in a place of `WaitingClients`, under the limits above."""

    def __init__(self, connection: socket.socket, waiting: WaitingClients) -> None:
        super().__init__(connection.family, connection.type, connection.proto, fileno=connection.detach())
        self._waiting = waiting
        self.begin_request()

    def begin_request(self) -> None:
        """Count anew: the pauses and bytes of an earlier request are none of this one's."""
        self._moved_bytes = 0
        self._waited_s = 0.0
        self._is_reading = True
        self._is_cut_off = False

    def cut_off(self) -> None:
        """End the wait of the thread that waits on this socket; where it reads, an answer can still be sent."""
        self._is_cut_off = True
        with contextlib.suppress(OSError):  # the client has gone by itself
            self.shutdown(socket.SHUT_RD if self._is_reading else socket.SHUT_RDWR)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As of any socket. Raises SlowClient."""
        if self.gettimeout() is not None:  # the caller has a limit of its own
            return super().recv(size, flags)
        while True:
            try:
                data = super().recv(size, flags | socket.MSG_DONTWAIT)
            except BlockingIOError:
                if not self._wait(is_reading=True):
                    raise SlowClient from None
                continue
            self._moved_bytes += len(data)
            return data

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """As of any socket. Raises ConnectionResetError where the client does not read: it cannot be told."""
        if self.gettimeout() is not None:
            super().sendall(data, flags)
            return
        with memoryview(data) as view, view.cast("B") as left:
            sent = 0
            while sent < len(left):
                try:
                    moved = super().send(left[sent:], flags | socket.MSG_DONTWAIT)
                except BlockingIOError:
                    if not self._wait(is_reading=False):
                        raise ConnectionResetError(errno.ECONNRESET, "the client does not read") from None
                    continue
                sent += moved
                self._moved_bytes += moved

    def _wait(self, *, is_reading: bool) -> bool:
        """Until something can be read or written. False where the client took too long, or was cut off."""
        self._is_reading = is_reading
        allowed_s = GRACE_S + self._moved_bytes / LEAST_BYTES_PER_S - self._waited_s
        poll = select.poll()
        poll.register(self, select.POLLIN if is_reading else select.POLLOUT)
        began = time.monotonic()
        with self._waiting.place(self):
            is_ready = bool(poll.poll(1000 * max(0.0, min(LONGEST_PAUSE_S, allowed_s))))
        self._waited_s += time.monotonic() - began
        return is_ready and not self._is_cut_off

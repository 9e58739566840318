"""A TCP proxy before PostgreSQL that ends a connection at its COMMIT: before the database gets it, or before the client
gets the acknowledgement."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

# A simple query, and its answer (PostgreSQL's manual, "Message Formats").
COMMIT = b"COMMIT"
COMMITTED = b"COMMIT\0"


@dataclass
class CommitProxy:
    """What to lose, and how often it was lost.

    port: where to connect on 127.0.0.1. statement: of transactions that sent this text, `times` lose their connection.
    is_before: the COMMIT itself is lost, not its acknowledgement. stays_away: after that no new connection is served
    until `come_back`.
    """

    port: int
    statement: bytes = b""
    times: int = 0
    is_before: bool = False
    stays_away: bool = False
    is_away: bool = False
    lost: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lose(self, statement: str, *, times: int = 1, is_before: bool = False, stays_away: bool = False) -> None:
        """Lose the connections of the next transactions with that statement in them."""
        self.is_before, self.stays_away = is_before, stays_away
        self.statement, self.times, self.lost = statement.encode(), times, 0

    def come_back(self) -> None:
        """Serve new connections again."""
        self.is_away = False

    def takes_loss(self) -> bool:
        """Whether the connection of the COMMIT that is just being sent is to end."""
        with self._lock:
            if self.times == 0:
                return False
            self.times -= 1
            self.lost += 1
            self.is_away = self.stays_away
            return True


@contextmanager
def commit_proxy(server: Path) -> Iterator[CommitProxy]:
    """Run a proxy before the server of that Unix socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = CommitProxy(listener.getsockname()[1])
        threading.Thread(target=_accept, args=(proxy, listener, server), daemon=True).start()
        yield proxy
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _accept(proxy: CommitProxy, listener: socket.socket, server: Path) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            if proxy.is_away:
                client.close()
                continue
            behind = socket.socket(socket.AF_UNIX)
            behind.connect(str(server))
            is_lost = threading.Event()
            for source, target in ((client, behind), (behind, client)):
                threading.Thread(
                    target=_pass_on, args=(proxy, source, target, is_lost, source is client), daemon=True
                ).start()


def _pass_on(
    proxy: CommitProxy, source: socket.socket, target: socket.socket, is_lost: threading.Event, is_from_client: bool
) -> None:
    """Copy one direction until it ends. The loss is decided where the COMMIT is sent, and done where it is answered."""
    sent = b""
    with source, target, suppress(OSError):
        while data := source.recv(65536):
            if is_from_client:
                sent += data
                if COMMIT in data:
                    if proxy.times and proxy.statement in sent and proxy.takes_loss():
                        is_lost.set()
                        if proxy.is_before:
                            break
                    sent = b""
            elif is_lost.is_set():
                if COMMITTED not in data:  # what was answered before
                    target.sendall(data)
                    continue
                break
            target.sendall(data)
        for end in (source, target):  # the other thread of the connection ends, too
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

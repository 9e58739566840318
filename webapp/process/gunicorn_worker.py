"""gunicorn's threaded worker, with one change: closing a slow client's connection holds up no other client."""

import contextlib
import socket
import struct
import time
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

# How long an answered client may take to read its answer and close; what it sends after that is not read.
LINGER_S = 1.0
DRAINED_AT_ONCE_BYTES = 65_536
# SO_LINGER with a time of zero: closing resets the connection.
RESET = struct.pack("ii", 1, 0)


class LingeringWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no annotations
    """Waits for a client to close in that request's own thread.

    gunicorn 27 waits in its main loop, up to 2 s a connection: a hundred clients that keep an answered connection
    open (measured: uploads refused before their body was read) stop every other request for minutes.
    """

    def handle(self, conn: TConn) -> Any:
        """Answer requests of this connection; where it ends, end it here, so that the main loop finds it ended."""
        result = super().handle(conn)
        if result is False:
            _linger(conn.sock)
        return result


def _linger(client: socket.socket) -> None:
    """Half-close, read what still comes for a moment (RFC 9112, section 9.6), then close the other half.

    A client that is still sending then is reset: with its window shut it would wait for ever to send the rest.
    """
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        if _is_still_sending(client):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RD)


def _is_still_sending(client: socket.socket) -> bool:
    """Read and forget for LINGER_S at most; False where the client closed, or has been quiet."""
    deadline = time.monotonic() + LINGER_S
    while (left := deadline - time.monotonic()) > 0:
        client.settimeout(left)
        try:
            if not client.recv(DRAINED_AT_ONCE_BYTES):
                return False
        except TimeoutError:
            return False
    return True

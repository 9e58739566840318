"""gunicorn's threaded worker, with one change: it lets go of slow clients without holding up the others."""

import contextlib
import socket
import time
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

# What an answered client has to read its answer and close; then what it still sends is not read any more.
LINGER_S = 1.0
MOST_DRAINED_BYTES = 65_536


class PatientWorker(ThreadWorker):
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
    """Half-close, read what still comes for a moment (RFC 9112, section 9.6), then close the other half."""
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        deadline, drained = time.monotonic() + LINGER_S, 0
        while drained < MOST_DRAINED_BYTES and (left := deadline - time.monotonic()) > 0:
            client.settimeout(left)
            data = client.recv(4096)
            if not data:
                break
            drained += len(data)
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RD)

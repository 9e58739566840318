"""gunicorn's threaded worker, with one change: a slow client, or many of them, hold up no other client."""

import contextlib
import json
import secrets
import socket
import struct
import time
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException, UnsupportedTransferCoding
from gunicorn.workers.gthread import TConn, ThreadWorker

from webapp.process.patient_socket import PatientSocket, SlowClient, WaitingClients

# Threads that wait for a client at one time. gunicorn.conf.py says how the threads are shared out.
MOST_WAITING_CLIENTS = 64
# What reading a request raises, the more special before the general.
REFUSALS = {
    SlowClient: 408,
    LimitRequestLine: 414,
    LimitRequestHeaders: 431,
    UnsupportedTransferCoding: 501,
    ParseException: 400,
}
# How long an answered client may take to read its answer and close; what it sends after that is not read.
LINGER_S = 1.0
DRAINED_AT_ONCE_BYTES = 65_536
# SO_LINGER with a time of zero: closing resets the connection.
RESET = struct.pack("ii", 1, 0)


class PatientWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no annotations
    """Waits for clients in few threads, and never in its main loop.

    gunicorn 27 gives a thread to every connection, also to one that says nothing (for 5 s) or stops in the middle of a
    request (for ever): as many stalled uploads as there are threads stop the portal. And it waits for an answered
    client to close in its main loop, up to 2 s a connection: a hundred that keep theirs open (measured: uploads refused
    before their body was read) stop every other request for minutes.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waiting = WaitingClients(MOST_WAITING_CLIENTS)

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to a thread, a new one once its first bytes are there."""
        if conn.initialized or conn.data_ready or self.cfg.is_ssl:
            super().enqueue_req(conn)
            return
        conn.sock = PatientSocket(conn.sock, self._waiting)
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle(self, conn: TConn) -> Any:
        """Answer requests of this connection; where it ends, end it here, so that the main loop finds it ended."""
        if isinstance(conn.sock, PatientSocket):
            conn.sock.begin_request()
        result = super().handle(conn)
        if result is False:
            _linger(conn.sock)
        return result

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer a request that cannot even be read in the API's form of an error; it is not known whose it was.

        What the request said stays out of the log: it may be a name.
        """
        # Here, since the arbiter loads this module, too, and needs no Flask.
        from webapp.error_handlers import refusal

        status = next((status for kind, status in REFUSALS.items() if isinstance(exc, kind)), None)
        if status is None:
            super().handle_error(req, client, addr, exc)
            return
        body = json.dumps(refusal(status, secrets.token_hex(8))).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            client.sendall(head.encode() + body)


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

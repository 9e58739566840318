"""A real gunicorn: bodies without a length, clients that go away, and sockets that stall."""

import http.client
import re
import socket
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from sqlalchemy import func, select

from tests.support.resources import png_bytes
from tests.webapp.servers import WebServer, received, web_server
from webapp.domain.scans.models import Scan

HEAD = (
    "POST /api/v1/scans HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    "Content-Type: multipart/form-data; boundary=b\r\n{}\r\n\r\n"
)
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="Canary^Patient.png"\r\n\r\n'
END = b"\r\n--b--\r\n"
CHUNKED = HEAD.format("Transfer-Encoding: chunked").encode()
ANSWERED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
STALLED = 100
ASKED = 100


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web_server(tmp_path_factory.mktemp("web"), GLIOSCOPE_MAX_UPLOAD_MB="1") as server:
        yield server


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def nothing_is_stored(server: WebServer) -> bool:
    """Also a moment later: a request that was cut off ends in its own time."""
    deadline = time.monotonic() + 5
    while server.stored() and time.monotonic() < deadline:
        time.sleep(0.05)
    with server.resources.database.read() as session:
        return session.scalar(select(func.count()).select_from(Scan)) == 0 and server.stored() == []


def no_fault_is_logged(server: WebServer) -> bool:
    return "Traceback" not in server.log() and "Canary" not in server.log()


def test_a_chunked_upload_over_the_limit_is_413(server: WebServer) -> None:
    with server.connect() as client:
        client.sendall(CHUNKED + chunk(PART))
        try:
            for _ in range(100):
                client.sendall(chunk(bytes(100_000)))
            client.sendall(chunk(END) + chunk(b""))
        except (ConnectionResetError, BrokenPipeError):
            pass  # the server answers and closes before it has read everything
        answer = received(client)
    assert b" 413 " in answer.split(b"\r\n", 1)[0]
    assert b'"code":"too_large"' in answer.replace(b": ", b":")
    assert nothing_is_stored(server) and no_fault_is_logged(server)


@pytest.mark.parametrize("has_length", [True, False])
def test_a_client_that_goes_halfway_leaves_nothing(server: WebServer, has_length: bool) -> None:
    data = PART + png_bytes()
    request = (
        HEAD.format(f"Content-Length: {len(data) + 5000}").encode() + data if has_length else CHUNKED + chunk(data)
    )
    for how in ("shutdown", "reset"):
        client = server.connect()
        client.sendall(request)
        time.sleep(0.2)
        if how == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    time.sleep(0.3)
    assert nothing_is_stored(server) and no_fault_is_logged(server), server.log()


@pytest.mark.parametrize("broken", [b"zz\r\nabc\r\n", b"5\r\nab", b"-1\r\n", b"5\r\nabcdeXX"])
def test_a_broken_chunk_is_the_clients_fault(server: WebServer, broken: bytes) -> None:
    with server.connect() as client:
        client.sendall(CHUNKED + chunk(PART) + broken)
        client.shutdown(socket.SHUT_WR)
        answer = received(client)
    assert answer == b"" or b" 400 " in answer.split(b"\r\n", 1)[0]
    assert nothing_is_stored(server) and no_fault_is_logged(server), server.log()


def test_words_in_an_address_reach_no_log(server: WebServer) -> None:
    for line in ("GET /scans?q=Canary^Patient", "GET /Canary", "GET /scans?q=Canary%ZZ", "CANARY /x?Canary"):
        server.exchange(f"{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert no_fault_is_logged(server), server.log()


def test_an_upload_and_a_refusal_name_nobody_in_the_log(server: WebServer) -> None:
    for data in (png_bytes()[:-200], b"%PDF-1.7 Canary", png_bytes() + b"Canary"):
        body = PART + data + END
        answer = server.exchange(HEAD.format(f"Content-Length: {len(body)}").encode() + body)
        scan_ids = re.findall(rb'"id": ?"([0-9a-f]{32})", ?"filename"', answer)
        assert bool(scan_ids) == data.startswith(png_bytes())
    delete = f"DELETE /api/v1/scans/{scan_ids[0].decode()} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert b" 204 " in server.exchange(delete.encode())
    assert nothing_is_stored(server) and no_fault_is_logged(server), server.log()


@pytest.mark.long
@pytest.mark.parametrize(
    "stall",
    [b"", b"GET / HTTP/1.1\r\nHost: local", CHUNKED + b"7d0\r\n" + PART, CHUNKED + PART, ANSWERED],
    ids=["nothing sent", "half a header", "half a body", "a broken body", "an answer that is not read"],
)
def test_a_hundred_stalled_sockets_do_not_hold_up_healthz(
    server: WebServer, stall: bytes, figure: Callable[[str], None]
) -> None:
    sockets = [server.connect() for _ in range(STALLED)]
    try:
        for client in sockets:
            client.sendall(stall)
        time.sleep(0.5)
        seconds = []
        for _ in range(ASKED):
            started = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            connection.close()
            seconds.append(time.monotonic() - started)
    finally:
        for client in sockets:
            client.close()
    p95 = float(np.quantile(seconds, 0.95))
    figure(f"{STALLED} stalled sockets ({len(stall)} bytes sent): /healthz p95 {1000 * p95:.1f} ms of {ASKED}")
    assert p95 < 1

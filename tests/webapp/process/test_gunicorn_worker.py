"""A real gunicorn: bodies without a length, clients that go away, and sockets that stall."""

import http.client
import io
import json
import re
import runpy
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
import tifffile
from PIL import Image

from ml.rendering.panels import encode_png
from tests.support.resources import png_bytes
from tests.webapp.servers import WebServer, received, web_server
from webapp.domain.evaluations import submission
from webapp.domain.scans import lookup
from webapp.domain.scans.models import Scan
from webapp.domain.settings import PROJECT_ROOT
from webapp.process.gunicorn_worker import MOST_WAITING_CLIENTS

HEAD = (
    "POST /api/v1/scans HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    "Content-Type: multipart/form-data; boundary=b\r\n{}\r\n\r\n"
)
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="Canary^Patient.png"\r\n\r\n'
END = b"\r\n--b--\r\n"
CHUNKED = HEAD.format("Transfer-Encoding: chunked").encode()
STALLED_BODY = CHUNKED + b"7d0\r\n" + PART
BROKEN_BODY = CHUNKED + PART
ANSWERED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
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
        return session.scalar(sa.select(sa.func.count()).select_from(Scan)) == 0 and server.stored() == []


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


@pytest.mark.parametrize(("kind", "status"), [("text/plain", 415), ("application/json", 202)])
def test_a_body_in_chunks_that_is_not_json_is_415(server: WebServer, kind: str, status: int) -> None:
    """Without a length it counted as no body: a run with the default threshold."""
    with uploaded(server, png_bytes()) as path:
        head = (
            f"POST {path}/segmentations HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        answer = server.exchange(head.encode() + chunk(b'{"threshold": 0.9}') + chunk(b""))
        assert int(answer.split()[1]) == status, answer
        assert status != 202 or b'"threshold":0.9' in answer.replace(b": ", b":")


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (f"GET /api/v1/scans?q={'x' * 5000} HTTP/1.1\r\nHost: localhost\r\n", 414, "uri_too_long"),
        ("GET /api/v1/scans HTTP/1.1\r\nHost: localhost\r\n" + "X-A: Canary\r\n" * 60, 431, "headers_too_large"),
        (f"GET /api/v1/scans HTTP/1.1\r\nHost: localhost\r\nCookie: {'x' * 9000}\r\n", 431, "headers_too_large"),
        ("GET /api/v1/scans HTTP/1.1\r\nHost: localhost\r\nCanary\r\n", 400, "bad_request"),
        ("POST /api/v1/scans HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: Canary\r\n", 501, "bad_request"),
    ],
)
def test_what_the_server_itself_refuses_has_the_form_of_every_error(
    server: WebServer, head: str, status: int, code: str
) -> None:
    answer, body = server.exchange(f"{head}\r\n".encode()).split(b"\r\n\r\n", 1)
    assert int(answer.split()[1]) == status and b"Content-Type: application/json" in answer
    assert json.loads(body)["code"] == code and set(json.loads(body)) == {"code", "message", "request_id"}
    assert no_fault_is_logged(server), server.log()


def test_an_upload_that_stalls_is_told_so_when_its_thread_is_needed(server: WebServer) -> None:
    """More of them than may hold a thread: the oldest go, with an answer, and nothing of them is kept."""
    sockets = [server.connect() for _ in range(MOST_WAITING_CLIENTS + 8)]
    try:
        for client in sockets:
            client.sendall(STALLED_BODY)
        ready, _, _ = select.select(sockets, [], [], 10)
        answer = received(ready[0])
        assert b" 408 " in answer.split(b"\r\n", 1)[0] and b"too_slow" in answer
        with uploaded(server, png_bytes()):
            pass
    finally:
        for client in sockets:
            client.close()
    assert nothing_is_stored(server) and no_fault_is_logged(server), server.log()


@contextmanager
def uploaded(server: WebServer, data: bytes) -> Iterator[str]:
    """A scan's address, while the block runs."""
    body = PART + data + END
    answer = server.exchange(HEAD.format(f"Content-Length: {len(body)}").encode() + body)
    scans = json.loads(answer.split(b"\r\n\r\n", 1)[1])["scans"]
    path = f"/api/v1/scans/{scans[0]['id']}"
    try:
        yield path
    finally:
        delete = f"DELETE {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert b" 204 " in server.exchange(delete.encode())


def test_clients_that_go_while_they_wait_leave_their_places(server: WebServer) -> None:
    with uploaded(server, png_bytes()) as path, ExitStack() as waiting:  # no worker runs: it stays queued

        def ask(wait: float) -> bytes:
            return f"GET {path}?wait={wait} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()

        over = time.monotonic() + 28  # of the 30 s that they ask for
        for _ in range(lookup.waiters.most):
            waiting.enter_context(server.connect()).sendall(ask(30))
        while b"too_many_waiting" not in server.exchange(ask(0.2)):
            assert time.monotonic() < over
            # The question may have had the place of one of them, who was refused.
            waiting.enter_context(server.connect()).sendall(ask(30))
        waiting.close()
        while b" 200 " not in server.exchange(ask(0.2)).split(b"\r\n", 1)[0]:
            assert time.monotonic() < over
    assert no_fault_is_logged(server), server.log()


def test_threads_are_left_where_as_many_clients_wait_as_may() -> None:
    """For a result, or because they are slow."""
    config = runpy.run_path(str(PROJECT_ROOT / "gunicorn.conf.py"))
    held = MOST_WAITING_CLIENTS + lookup.waiters.most + submission.waiters.most
    assert config["threads"] - held >= 32


@pytest.mark.long
@pytest.mark.parametrize("count", [140, 400])
@pytest.mark.parametrize(
    "stall",
    [b"", b"GET / HTTP/1.1\r\nHost: local", STALLED_BODY, BROKEN_BODY, ANSWERED],
    ids=["nothing sent", "half a header", "half a body", "a broken body", "not closed"],
)
def test_stalled_sockets_do_not_hold_up_healthz(
    server: WebServer, stall: bytes, count: int, figure: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    figure(f"{count} stalled sockets ({request.node.callspec.id.rsplit('-', 1)[0]}): {measured(server, count, stall)}")


@pytest.mark.long
@pytest.mark.parametrize("count", [140, 400])
def test_answers_that_nobody_reads_do_not_hold_up_healthz(
    server: WebServer, count: int, figure: Callable[[str], None]
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (560, 560, 3), dtype=np.uint8)
    with uploaded(server, encode_png(Image.fromarray(noise))) as path:
        get = f"GET {path}/original HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        # More than the 4 MB that a socket's buffers take.
        figure(f"{count} clients that read none of ten answers of 0.9 MB: {measured(server, count, 10 * get)}")


@pytest.mark.long
def test_uploads_that_wait_for_their_decoder_do_not_hold_up_healthz(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """200 whole uploads of files that take long to decode: as many as may wait, the others are 503."""
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((120, 512, 512), np.uint8), compression="lzma")
    body = PART + file.getvalue() + END
    with web_server(tmp_path) as server:
        request = HEAD.format(f"Content-Length: {len(body)}").encode() + body
        figure(f"200 uploads of {len(body) / 1e3:.0f} kB that decode to 94 MB: {measured(server, 200, request)}")


def measured(server: WebServer, count: int, stall: bytes) -> str:
    """How long /healthz takes beside so many clients that send this and then do nothing."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for client in sockets:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(stall)
        time.sleep(0.5)
        seconds = []
        for _ in range(ASKED):
            started = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            connection.close()
            seconds.append(time.monotonic() - started)
    finally:
        for client in sockets:
            client.close()
    p95, most = float(np.quantile(seconds, 0.95)), max(seconds)
    assert p95 < 1
    return f"/healthz p95 {1000 * p95:.0f} ms, most {1000 * most:.0f} ms of {ASKED}"

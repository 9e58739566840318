"""What the launcher's last process says on the terminal."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from webapp.process import ready_message


class Portal(BaseHTTPRequestHandler):
    """A web process that answers its own names alone, first with a page, then that it is not ready, then that it is."""

    answers = 0

    def do_GET(self) -> None:
        Portal.answers += 1
        status, body = (503, b"<html>") if Portal.answers == 1 else (503, json.dumps({"model": "loading"}).encode())
        if Portal.answers > 2:
            status, body = 200, b"{}"
        if not self.headers["Host"].startswith("localhost"):
            status, body = 400, b"<!doctype html>"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_portal_on_all_addresses_is_said_to_be_ready(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Portal.answers = 0
    server = ThreadingHTTPServer((host, 0), Portal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GLIOSCOPE_BIND", f"{host}:{server.server_port}")
    monkeypatch.setattr(ready_message, "FIRST_WORD_S", 0.0)
    try:
        ready_message.main()
    finally:
        server.shutdown()
        server.server_close()
    said = capsys.readouterr().out
    assert f"Glioscope is ready: http://{host}:" in said and "still waiting. web: answers 503" in said

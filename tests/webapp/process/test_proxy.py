"""The documented nginx in front of a real gunicorn: forms, uploads, links, on a port that is none of the usual ones."""

import http.client
import re
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.portal_process import free_port
from tests.support.resources import png_bytes
from tests.support.servers import nginx_server
from tests.webapp.servers import web_server
from webapp.domain.accounts import users
from webapp.domain.accounts.models import Role
from webapp.domain.resources import Resources
from webapp.domain.settings import PROJECT_ROOT, Settings

HOST = "glioscope.example.org"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the proxy."""
    program, port = nginx(), free_port()
    with (
        tls_certificate() as certificate,
        web_server(tmp_path_factory.mktemp("web"), GLIOSCOPE_ALLOWED_HOSTS=HOST, GLIOSCOPE_TRUSTED_PROXIES="1") as web,
        nginx_server(program, documented_block(port, web.port, certificate)),
    ):
        yield port


def nginx() -> str:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("no nginx: install the package nginx-light")
    return program


@contextmanager
def tls_certificate() -> Iterator[Path]:
    """A folder with a certificate that nobody has signed, and its key, for any user's eyes."""
    with tempfile.TemporaryDirectory(prefix="certificate-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        files = ["-keyout", f"{name}/key.pem", "-out", f"{name}/cert.pem"]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={HOST}", "-days", "2"]
        subprocess.run([*command, *files], check=True, capture_output=True)
        (folder / "key.pem").chmod(0o644)
        yield folder


def documented_block(port: int, web_port: int, certificate: Path) -> str:
    """The block of docs/deployment.md; only addresses and the certificate are others."""
    text = (PROJECT_ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    block = re.search(r"```nginx\n(.*?)```", text, re.DOTALL)
    assert block is not None
    changes = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/nginx/tls/": f"{certificate}/",
        "http://127.0.0.1:8000": f"http://127.0.0.1:{web_port}",
    }
    found = block[1]
    for documented, own in changes.items():
        assert documented in found
        found = found.replace(documented, own)
    return found


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, bytes]:
    trusts_all = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=trusts_all)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Host": f"{HOST}:{port}", **named})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def upload_body() -> tuple[bytes, dict[str, str]]:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    return head + png_bytes() + b"\r\n--b--\r\n", {"Content_Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize("site", [{}, {"Sec_Fetch_Site": "same-origin"}], ids=["old browser", "browser"])
def test_a_browser_uploads_and_sends_forms_through_the_documented_proxy(proxy: int, site: dict[str, str]) -> None:
    own = {"Origin": f"https://{HOST}:{proxy}", **site}
    body, kind = upload_body()
    status, _, answer = ask(proxy, "POST", "/api/v1/scans", body, **kind, **own)
    assert status == 202, answer
    status, headers, page = ask(proxy, "GET", "/")
    assert status == 200
    assert headers["Set-Cookie"].startswith("__Host-glioscope-") and "; Secure;" in headers["Set-Cookie"]
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    token = re.search(rb'name="csrf-token" content="([^"]+)"', page)
    assert token is not None
    form = {"Cookie": headers["Set-Cookie"].split(";")[0], "Content_Type": "application/x-www-form-urlencoded"}
    data = b"csrf_token=" + token[1]
    sample = re.search(rb'action="(/samples/[^"]+)"', page)
    assert sample is not None
    status, headers, answer = ask(proxy, "POST", sample[1].decode(), data, **form, **own)
    assert status in (302, 303), answer
    # To the very host and port that was asked.
    assert ask(proxy, "GET", headers["Location"].removeprefix(f"https://{HOST}:{proxy}"))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": f"https://{HOST}"}, {"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}],
    ids=["another port", "another site", "the browser's word"],
)
def test_another_site_stays_outside(proxy: int, headers: dict[str, str]) -> None:
    body, kind = upload_body()
    status, _, answer = ask(proxy, "POST", "/api/v1/scans", body, **kind, **headers)
    assert status == 403 and b"pass on the Host header" in answer


def test_nobody_comes_in_without_logging_in(tmp_path: Path, empty_sqlite: Path) -> None:
    program, port = nginx(), free_port()
    environ = {"GLIOSCOPE_AUTH": "password", "GLIOSCOPE_ALLOWED_HOSTS": HOST, "GLIOSCOPE_TRUSTED_PROXIES": "1"}
    (tmp_path / "instance").mkdir()
    shutil.copy(empty_sqlite, tmp_path / "instance" / "glioscope.sqlite3")
    settings = Settings.from_environment({"GLIOSCOPE_INSTANCE": str(tmp_path / "instance"), **environ})
    with closing(Resources.open(settings)) as services, services.database.write() as session:
        users.create(session, "root", "a long secret word", Role.ADMIN)
    with (
        tls_certificate() as certificate,
        web_server(tmp_path, **environ) as web,
        nginx_server(program, documented_block(port, web.port, certificate)),
    ):
        status, headers, _ = ask(port, "GET", "/")
        assert status == 303 and headers["Location"].startswith("/login")
        assert ask(port, "GET", "/login")[0] == 200
        body, kind = upload_body()
        assert ask(port, "POST", "/api/v1/scans", body, **kind)[0] == 401
        assert ask(port, "GET", "/api/v1/scans", Authorization="Bearer x")[0] == 401

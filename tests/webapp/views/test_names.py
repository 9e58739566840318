"""A client's file name: accepted whatever it is, never a path on our disk, escaped wherever it is shown."""

import html
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.resources import png_bytes
from tests.webapp.clients import SCANS, finished, resources_of, send, token
from webapp.domain.uploads.receiving import LONGEST_NAME

# What the client calls its file, and the name that is kept.
NAMES = {
    "../../x.png": "x.png",
    "..\\..\\windows\\x.png": "x.png",
    "/etc/passwd": "passwd",
    "C:\\fakepath\\scan.png": "scan.png",
    "CON.png": "CON.png",
    "..": "..",
    ".htaccess": ".htaccess",
    "a" * 5000 + ".png": "a" * 250 + "….png",
    "b" * 5000: "b" * 254 + "…",
    "x." + "c" * 5000: "x." + "c" * 252 + "…",
    "<img src=x onerror=alert(1)>.png": "<img src=x onerror=alert(1)>.png",
    '"><script>alert(1)<%2Fscript>.png': '"><script>alert(1)<%2Fscript>.png',
    "' onmouseover='alert(1).png": "' onmouseover='alert(1).png",
    "{{ 7*7 }}{% raw %}.png": "{{ 7*7 }}{% raw %}.png",
    "a\x00b\x07c\x1b[31m.png": "abc[31m.png",
    "gnp.exe\u202egnp.png": "gnp.exegnp.png",
    "line\u2028break.png": "linebreak.png",
    "Größe 脳腫瘍 🧠.png": "Größe 脳腫瘍 🧠.png",
    "%2e%2e%2fx.png": "%2e%2e%2fx.png",
    "a;b='c',d.png": "a;b='c',d.png",
    "-rf": "-rf",
    "$(touch x)`id`|x.png": "$(touch x)`id`|x.png",
}


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_hostile_name_is_kept_harmless_and_shown_escaped(app: Flask, client: FlaskClient, name: str) -> None:
    kept = NAMES[name]
    assert len(kept) <= LONGEST_NAME
    scan = finished(app, name)
    assert scan["filename"] == kept
    for path in ("/", "/scans", f"/scans/{scan['id']}"):
        page = client.get(path).text
        assert html.escape(kept).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page, path
        assert kept not in page or html.escape(kept) == kept, path
        assert not re.search(r"""<img src=x|<script>alert|['"]\s*onmouseover=""", page), path
        assert "49" not in re.findall(r"<h1>(.*?)</h1>", page)
    root = Path(resources_of(app).settings.storage) / "objects"
    for path in root.rglob("*"):
        assert re.fullmatch(r"[a-z0-9/._-]+", path.relative_to(root).as_posix())
    assert not (root.parent.parent / "x.png").exists()


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_the_originals_header_is_one_safe_line(app: Flask, client: FlaskClient, name: str) -> None:
    response = client.get(f"{SCANS}/{finished(app, name)['id']}/original", buffered=True)
    header = response.headers["Content-Disposition"]
    assert header.startswith("attachment; filename")
    assert header.isascii() and header.isprintable()
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.data == png_bytes()


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_the_archives_header_is_one_safe_line(app: Flask, client: FlaskClient, name: str) -> None:
    with client.get(f"{SCANS}/{finished(app, name)['id']}/download.zip") as response:
        header = response.headers["Content-Disposition"]
    assert header.startswith("attachment; filename") and header.rstrip('"').endswith(".zip")
    assert header.isascii() and header.isprintable()


@pytest.mark.parametrize("name", ["x" * 249 + ".png", "é" * 120 + ".png", "脳" * 255])
def test_a_long_name_can_be_saved_whatever_is_added_to_it(app: Flask, client: FlaskClient, name: str) -> None:
    scan_id = finished(app, name)["id"]
    for kind, end in (
        ("mask.tif", "-mask.tif"),
        ("report.pdf", "-report.pdf"),
        ("download.zip", ".zip"),
        ("original", ""),
    ):
        with client.get(f"{SCANS}/{scan_id}/{kind}") as response:
            saved = unquote(response.headers["Content-Disposition"].rpartition("=")[2].removeprefix("UTF-8''"))
        assert saved.endswith(end) and saved.startswith(name[0] * 50) and len(saved.encode()) <= 255, kind


def test_names_of_refused_files_are_escaped_too(client: FlaskClient) -> None:
    files = [("good.png", png_bytes()), ("<img src=x onerror=alert(1)>.png", b"%PDF-1.7 no picture")]
    send(client, *files, path="/scans", form={"csrf_token": token(client)})
    page = client.get("/").text
    assert "&lt;img src=x onerror=alert(1)&gt;.png: The file is a PDF document" in page
    assert "<img src=x" not in page


def test_a_search_word_is_shown_escaped(client: FlaskClient) -> None:
    page = client.get("/scans", query_string={"q": '"><script>alert(1)</script>', "from": '"onfocus="x'}).text
    assert "<script>alert" not in page and ' onfocus="' not in page and '"onfocus="' not in page

"""Static files: kept for a year under their content's hash, asked about without it, and nothing outside the folder."""

import re

import pytest
from flask.testing import FlaskClient

from webapp.domain.settings import PROJECT_ROOT


def test_a_file_under_its_hash_is_kept_for_a_year(client: FlaskClient) -> None:
    address = re.search(r'"(/static/css/base\.css\?v=[0-9a-f]{12})"', client.get("/").text).group(1)
    response = client.get(address, buffered=True)
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.data == (PROJECT_ROOT / "static/css/base.css").read_bytes()
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_a_file_without_its_hash_is_asked_about(client: FlaskClient) -> None:
    first = client.get("/static/js/core/frame.js", buffered=True)
    assert first.headers["Cache-Control"] == "no-cache"
    assert first.mimetype == "text/javascript"
    again = client.get("/static/js/core/frame.js", headers={"If-None-Match": first.headers["ETag"]}, buffered=True)
    assert again.status_code == 304


@pytest.mark.parametrize(
    "path",
    ["../wsgi.py", "..%2fwsgi.py", "%2e%2e/wsgi.py", "css/../../wsgi.py", "/etc/passwd", "css", "x%00.css", ".."],
)
def test_nothing_outside_the_folder_is_served(client: FlaskClient, path: str) -> None:
    response = client.get(f"/static/{path}", buffered=True)
    assert response.status_code in (308, 404)
    assert b"create_app" not in response.data


def test_a_missing_file_is_not_kept(client: FlaskClient) -> None:
    assert client.get("/static/none.css?v=0").headers["Cache-Control"] == "no-store"


def test_the_themes_differ_in_their_colors_alone() -> None:
    sheets = {path.name: path.read_text() for path in (PROJECT_ROOT / "static/css").glob("*.css")}
    assert {name for name, text in sheets.items() if "data-theme" in text} == {"tokens.css", "print.css"}
    tokens = re.sub(r"/\*.*?\*/", "", sheets["tokens.css"], flags=re.DOTALL)
    dark, light = (
        dict(re.findall(r"([\w-]+):\s*([^;]+);", block)) for block in re.findall(r"\{(.*?)\}", tokens, re.DOTALL)
    )
    assert light.keys() < dark.keys()
    for name in light.keys() - {"color-scheme"}:
        assert all(re.fullmatch(r"#[0-9a-f]{3,6}", theme[name]) for theme in (dark, light)), name

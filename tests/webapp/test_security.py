"""What guards every route: headers, hosts, foreign sites, CSRF tokens. A new route must be listed here."""

import re
from dataclasses import dataclass

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.clients import token

ID = "0" * 32
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "",
}


@dataclass(frozen=True)
class Access:
    """What a route answers on an empty portal: to a client without headers, and to a form with its token."""

    plain: int
    with_token: int | None = None


EVALUATION = "/api/v1/evaluations/<hex_id:evaluation_id>"
READ, MISSING, FORM = Access(200), Access(404), 400
# Every route of the portal with its method. `with_token` marks the forms: without a token they answer 400.
ROUTES = {
    ("GET", "/"): READ,
    ("GET", "/scans"): READ,
    ("POST", "/scans"): Access(FORM, 400),
    ("GET", "/scans/<hex_id:scan_id>"): MISSING,
    ("POST", "/scans/<hex_id:scan_id>/segmentations"): Access(FORM, 404),
    ("POST", "/scans/<hex_id:scan_id>/delete"): Access(FORM, 200),
    ("POST", "/scans/<hex_id:scan_id>/split"): Access(FORM, 404),
    ("POST", "/scans/<hex_id:scan_id>/truth"): Access(FORM, 303),
    ("POST", "/scans/<hex_id:scan_id>/truth/delete"): Access(FORM, 200),
    ("POST", "/api/v1/scans/<hex_id:scan_id>/split"): MISSING,
    ("POST", "/api/v1/scans/stack"): Access(422),
    ("PUT", "/api/v1/scans/<hex_id:scan_id>/truth"): Access(400),
    ("DELETE", "/api/v1/scans/<hex_id:scan_id>/truth"): MISSING,
    ("POST", "/scans/<hex_id:scan_id>/study"): Access(FORM, 404),
    ("POST", "/scans/<hex_id:scan_id>/spacing"): Access(FORM, 404),
    ("POST", "/studies/<hex_id:study_id>"): Access(FORM, 404),
    ("GET", "/studies/<hex_id:study_id>/follow-up"): MISSING,
    ("GET", "/api/v1/studies/<hex_id:study_id>/follow-up"): MISSING,
    ("GET", "/api/v1/studies/<hex_id:study_id>/follow-up.svg"): MISSING,
    ("POST", "/scans/bulk"): Access(FORM, 303),
    ("POST", "/scans/download"): Access(FORM, 303),
    ("POST", "/segmentations/<hex_id:segmentation_id>/cancel"): Access(FORM, 404),
    ("POST", "/segmentations/<hex_id:segmentation_id>/retry"): Access(FORM, 404),
    ("POST", "/sequences"): Access(FORM, 303),
    ("POST", "/samples/<name>"): Access(FORM, 404),
    ("GET", "/models"): READ,
    ("GET", "/help"): READ,
    ("GET", "/models/<name>"): MISSING,
    ("GET", "/api/v1/docs"): READ,
    ("GET", "/api/v1/openapi.json"): READ,
    ("GET", "/api/v1/scans"): READ,
    ("POST", "/api/v1/scans"): Access(400),
    ("GET", "/api/v1/scans/<hex_id:scan_id>"): MISSING,
    ("DELETE", "/api/v1/scans/<hex_id:scan_id>"): MISSING,
    ("PATCH", "/api/v1/scans/<hex_id:scan_id>"): Access(422),
    ("POST", "/api/v1/scans/download.zip"): Access(422),
    ("GET", "/api/v1/scans/history.csv"): READ,
    ("GET", "/api/v1/studies"): READ,
    ("GET", "/api/v1/studies/<hex_id:study_id>/download.zip"): MISSING,
    ("GET", "/api/v1/studies/<hex_id:study_id>"): MISSING,
    ("PATCH", "/api/v1/studies/<hex_id:study_id>"): MISSING,
    ("GET", "/api/v1/scans/<hex_id:scan_id>/segmentations"): MISSING,
    ("GET", "/api/v1/scans/<hex_id:scan_id>/thumbnail.jpg"): MISSING,
    ("POST", "/api/v1/scans/<hex_id:scan_id>/segmentations"): MISSING,
    ("GET", "/api/v1/scans/<hex_id:scan_id>/<kind>.png"): MISSING,
    ("GET", "/api/v1/scans/<hex_id:scan_id>/download.zip"): MISSING,
    ("GET", "/api/v1/scans/<hex_id:scan_id>/mask.tif"): MISSING,
    ("GET", "/api/v1/scans/<hex_id:scan_id>/<kind>.nii.gz"): MISSING,
    ("GET", "/api/v1/scans/<hex_id:scan_id>/original"): MISSING,
    ("GET", "/api/v1/scans/<hex_id:scan_id>/plane.png"): Access(422),
    ("PUT", "/api/v1/scans/<hex_id:scan_id>/sequences"): Access(422),
    ("GET", "/api/v1/scans/<hex_id:scan_id>/measurements.json"): MISSING,
    ("GET", "/api/v1/scans/<hex_id:scan_id>/measurements.csv"): MISSING,
    ("GET", "/api/v1/scans/<hex_id:scan_id>/<kind>.dcm"): MISSING,
    ("GET", "/api/v1/scans/<hex_id:scan_id>/report.pdf"): MISSING,
    ("GET", "/api/v1/scans/<hex_id:scan_id>/voxels.bin"): MISSING,
    ("POST", "/api/v1/segmentations/<hex_id:segmentation_id>/cancel"): MISSING,
    ("POST", "/api/v1/segmentations/<hex_id:segmentation_id>/retry"): MISSING,
    ("GET", "/api/v1/evaluations"): READ,
    ("POST", "/api/v1/evaluations"): Access(422),
    ("GET", "/api/v1/evaluations/folders"): READ,
    ("GET", f"{EVALUATION}"): MISSING,
    ("DELETE", f"{EVALUATION}"): MISSING,
    ("POST", f"{EVALUATION}/cancel"): MISSING,
    ("GET", f"{EVALUATION}/cases"): MISSING,
    ("GET", f"{EVALUATION}/cases/<int:position>"): MISSING,
    ("GET", f"{EVALUATION}/cases/<int:position>/<kind>.png"): MISSING,
    ("GET", f"{EVALUATION}/patients"): MISSING,
    ("GET", f"{EVALUATION}/findings.json"): MISSING,
    ("GET", f"{EVALUATION}/comparison"): Access(422),
    ("GET", f"{EVALUATION}/comparison/patients.svg"): Access(422),
    ("GET", "/evaluations"): READ,
    ("GET", "/evaluations/new"): READ,
    ("POST", "/evaluations"): Access(FORM, 303),
    ("POST", "/evaluations/scans"): Access(FORM, 404),
    ("GET", "/evaluations/<hex_id:evaluation_id>"): MISSING,
    ("GET", "/evaluations/<hex_id:evaluation_id>/cases/<int:position>"): MISSING,
    ("GET", "/evaluations/<hex_id:evaluation_id>/compare"): MISSING,
    ("POST", "/evaluations/<hex_id:evaluation_id>/cancel"): Access(FORM, 404),
    ("POST", "/evaluations/<hex_id:evaluation_id>/delete"): Access(FORM, 404),
    ("GET", f"{EVALUATION}/<name>"): MISSING,
    ("GET", f"{EVALUATION}/figures/<figure>.svg"): MISSING,
    ("GET", "/api/v1/models"): READ,
    ("GET", "/api/v1/models/<string:name>"): MISSING,
    ("GET", "/monai/info/"): MISSING,
    ("PUT", "/monai/session/"): MISSING,
    ("GET", "/monai/session/<session_id>"): MISSING,
    ("POST", "/monai/infer/<model>"): MISSING,
    ("PUT", "/monai/datastore/"): MISSING,
    ("PUT", "/monai/datastore/image"): MISSING,
    ("PUT", "/monai/datastore/label"): MISSING,
    ("GET", "/monai/auth/"): MISSING,
    ("POST", "/monai/auth/token"): MISSING,
    ("GET", "/monai/auth/token/valid"): MISSING,
    ("GET", "/healthz"): READ,
    ("GET", "/readyz"): Access(503),
    ("GET", "/metrics"): READ,
    ("GET", "/admin/audit"): READ,
    ("GET", "/admin/audit.jsonl"): READ,
    ("GET", "/static/<path:filename>"): MISSING,
}
CHANGES = [key for key in ROUTES if key[0] not in ("GET", "HEAD", "OPTIONS")]


def path_of(rule: str) -> str:
    path = re.sub(r"<hex_id:\w+>", ID, rule).replace("<kind>", "mask")
    return re.sub(r"<[^>]+>", "none-such", path)


def test_every_route_is_listed(app: Flask) -> None:
    found = {
        (method, re.sub(r"<any\([^)]*\):(\w+)>", r"<\1>", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert found == set(ROUTES)


@pytest.mark.parametrize(("method", "rule"), ROUTES)
def test_a_route_answers_as_listed_and_with_all_headers(client: FlaskClient, method: str, rule: str) -> None:
    response = client.open(path_of(rule), method=method)
    assert response.status_code == ROUTES[method, rule].plain
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert response.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r"[0-9a-f]{16}", response.headers["X-Request-Id"])


FOREIGN_HEADERS = (
    {"Origin": "http://evil.example"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost:9999"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
)


@pytest.mark.parametrize(("method", "rule"), CHANGES)
def test_another_site_may_change_nothing(client: FlaskClient, method: str, rule: str) -> None:
    for headers in FOREIGN_HEADERS:
        response = client.open(path_of(rule), method=method, headers=headers)
        assert response.status_code == 403, headers
        if rule.startswith("/api/"):
            assert response.json["code"] == "forbidden" and response.json["request_id"], headers


@pytest.mark.parametrize(("method", "rule"), [key for key in CHANGES if ROUTES[key].with_token is not None])
@pytest.mark.parametrize("site", ["http://localhost", "https://localhost"])
def test_a_form_needs_its_token(client: FlaskClient, method: str, rule: str, site: str) -> None:
    form_token = token(client, site)
    own = {"base_url": site, "headers": {"Origin": site, "Sec-Fetch-Site": "same-origin"}}
    for data in ({}, {"csrf_token": "x"}, {"csrf_token": f"{form_token}x"}):
        response = client.open(path_of(rule), method=method, data=data, **own)
        assert response.status_code == 400
        assert "This form is too old or not ours" in response.text
    response = client.open(path_of(rule), method=method, data={"csrf_token": form_token}, **own)
    assert response.status_code == ROUTES[method, rule].with_token
    assert "This form is too old" not in response.text


def test_an_answer_to_a_form_without_a_token_names_its_request(client: FlaskClient) -> None:
    response = client.post("/scans")
    assert response.headers["X-Request-Id"] in response.text
    assert re.fullmatch(r"[0-9a-f]{16}", response.headers["X-Request-Id"])


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "a b", "[::"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/api/v1/scans"), ("POST", "/api/v1/scans")])
def test_another_host_name_is_400(client: FlaskClient, host: str, method: str, path: str) -> None:
    response = client.open(path, method=method, headers={"Host": host})
    assert response.status_code == 400
    assert response.headers["Content-Security-Policy"] == CSP
    if path.startswith("/api/"):
        assert response.json["code"] == "bad_host"


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000"])
def test_our_own_names_are_answered(client: FlaskClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_more_names_are_a_setting(make_app) -> None:
    client = make_app(GLIOSCOPE_ALLOWED_HOSTS="mri.example, other.example").test_client()
    assert client.get("/healthz", headers={"Host": "mri.example"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 400


def test_the_cookie_is_kept_from_scripts_and_other_sites(client: FlaskClient) -> None:
    cookie = client.get("/").headers["Set-Cookie"]
    assert cookie.startswith("glioscope-") and "HttpOnly" in cookie and "SameSite=Strict" in cookie


def test_two_portals_on_one_host_have_cookies_of_their_own(make_app) -> None:
    """Browsers keep cookies by host, whatever the port: logging in to one would log out of the other."""
    names = set()
    for key in ("a" * 64, "b" * 64, "b" * 64):
        cookie = make_app(GLIOSCOPE_SECRET_KEY=key).test_client().get("/").headers["Set-Cookie"]
        names.add(cookie.partition("=")[0])
        assert key not in cookie
    assert len(names) == 2


def test_over_tls_the_cookie_stays_there(make_app) -> None:
    client = make_app(GLIOSCOPE_TRUSTED_PROXIES="1").test_client()
    page = client.get("/", headers={"X-Forwarded-Proto": "https"})
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Host-glioscope-") and "; Secure;" in cookie and "Path=/" in cookie
    assert "Domain" not in cookie
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in client.get("/").headers


def test_subdomains_are_held_to_tls_where_the_settings_say_so(make_app) -> None:
    app = make_app(GLIOSCOPE_TRUSTED_PROXIES="1", GLIOSCOPE_HSTS_SUBDOMAINS="on")
    page = app.test_client().get("/", headers={"X-Forwarded-Proto": "https"})
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize(
    ("trusted", "said"), [("0", "https"), ("1", "https, http"), ("2", "https")], ids=["nobody", "of the client", "one"]
)
def test_only_the_proxies_that_are_named_are_believed_about_tls(make_app, trusted: str, said: str) -> None:
    page = make_app(GLIOSCOPE_TRUSTED_PROXIES=trusted).test_client().get("/", headers={"X-Forwarded-Proto": said})
    assert page.headers["Set-Cookie"].startswith("glioscope-") and "Secure" not in page.headers["Set-Cookie"]
    assert "Strict-Transport-Security" not in page.headers


def test_the_api_sets_no_cookie(client: FlaskClient) -> None:
    for path in ("/api/v1/scans", "/api/v1/openapi.json", "/healthz", "/metrics"):
        assert "Set-Cookie" not in client.get(path).headers

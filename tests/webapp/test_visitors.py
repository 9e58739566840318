"""GLIOSCOPE_AUTH=demo: who visits sees their own scans, within limits, and for a while."""

import io
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from tests.support.resources import png_bytes
from tests.webapp.clients import SCANS, own_cookie, resources_of, send, sent, token, traces
from webapp.domain.accounts.rates import RateLimit, network_of
from webapp.domain.accounts.visitors import PREFIX
from webapp.domain.database import ownership
from webapp.domain.database.clock import database_now
from webapp.domain.scans import visits
from webapp.domain.scans.image_cache import ImageCache
from webapp.domain.scans.models import Scan, Segmentation, Study
from webapp.domain.settings import SettingsError
from webapp.error_handlers import error_table


@pytest.fixture
def make_demo(make_app: Callable[..., Flask]) -> Callable[..., Flask]:
    def make(**environ: str) -> Flask:
        return make_app(GLIOSCOPE_AUTH="demo", **environ)

    return make


def visit(app: Flask) -> FlaskClient:
    """A browser that has opened the first page."""
    client = app.test_client()
    assert "Only this browser sees your scans" in client.get("/").text
    return client


def scan_ids(client: FlaskClient) -> set[str]:
    return {scan["id"] for scan in client.get(SCANS).json["scans"]}


def test_two_browsers_see_their_own_scans_alone(make_demo: Callable[..., Flask]) -> None:
    app = make_demo()
    first, second = visit(app), visit(app)
    mine, theirs = sent(first, "mine.png"), sent(second, "theirs.png")
    # The same bytes: not even that somebody has them is told.
    assert theirs["same_as"] is None
    assert scan_ids(first) == {mine["id"]} and scan_ids(second) == {theirs["id"]}
    assert "theirs.png" not in first.get("/").text + first.get("/scans").text
    for client, other in ((first, theirs), (second, mine)):
        refused = client.get(f"/scans/{other['id']}")
        assert refused.status_code == 404 and "Each browser sees its own scans alone here" in refused.text
        assert client.delete(f"{SCANS}/{other['id']}").status_code == 404
        assert client.get(f"{SCANS}/{other['id']}/original").status_code == 404
    assert "Gone <time" in first.get(f"/scans/{mine['id']}").text
    cookie = next(iter(first._cookies.values()))
    assert cookie.http_only and "visitor-" not in repr(cookie.value)


def test_a_browser_without_cookies_is_told_and_stores_nothing(make_demo: Callable[..., Flask]) -> None:
    app = make_demo()
    client = app.test_client(use_cookies=False)
    for _ in range(3):
        assert client.get("/").status_code == 200
        answer = send(client, ("scan.png", png_bytes()))
        assert (answer.status_code, answer.json["code"]) == (403, "cookie_needed")
        page = client.post("/samples/lesion", data={"csrf_token": token(client)})
        assert page.status_code == 403 and "allow cookies for" in page.text
    assert scan_ids(client) == set()
    ownership.act_as(None)
    left = traces(app)
    assert (left.scans, left.files) == (0, ())
    # A cookie that we did not sign is none.
    client = app.test_client()
    client.set_cookie(own_cookie(app), "eyJ2aXNpdG9yIjoidmlzaXRvci0wMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAifQ.x.y")
    assert send(client, ("scan.png", png_bytes())).status_code == 403


def dicom() -> bytes:
    return b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0" + b"\0" * 400


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a.png", png_bytes())
    return file.getvalue()


def nifti() -> bytes:
    return b"\x5c\x01\0\0" + b"\0" * 340 + b"n+1\0" + b"\0" * 64


KINDS = {"dicom": dicom(), "zip": archive(), "nifti": nifti(), "gzip": b"\x1f\x8b\x08" + b"\0" * 400}


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_alone_are_taken_whatever_they_are_called(make_demo: Callable[..., Flask], kind: str) -> None:
    app = make_demo()
    client = visit(app)
    for name in ("scan.png", "scan.dcm", "set.zip"):
        answer = send(client, (name, KINDS[kind]))
        assert (answer.status_code, answer.json["code"]) == (415, "pictures_only"), answer.json
    assert traces(app).files == ()
    mixed = send(client, ("good.png", png_bytes()), ("set.zip", KINDS[kind]))
    assert mixed.status_code == 202 and [item["code"] for item in mixed.json["rejected"]] == ["pictures_only"]
    # As an expert's mask, too.
    good = mixed.json["scans"][0]["id"]
    form = {"csrf_token": token(client), "file": (io.BytesIO(KINDS[kind]), "mask.png")}
    client.post(f"/scans/{good}/truth", data=form)
    assert "This demonstration takes pictures alone" in client.get(f"/scans/{good}").text


def test_a_file_that_is_nothing_keeps_its_own_answer(make_demo: Callable[..., Flask]) -> None:
    client = visit(make_demo())
    assert send(client, ("scan.png", b"not a picture" * 40)).json["code"] == "unsupported"
    assert send(client, ("scan.png", b"")).json["code"] == "empty"


def test_a_thousand_uploads_are_answered_429_and_keep_what_is_allowed(make_demo: Callable[..., Flask]) -> None:
    app = make_demo(GLIOSCOPE_DEMO_SCANS="3", GLIOSCOPE_DEMO_CHANGES="30")
    client, codes = visit(app), {}
    picture = png_bytes()
    for _ in range(1000):
        answer = send(client, ("scan.png", picture))
        key = (answer.status_code, answer.json.get("code", ""))
        codes[key] = codes.get(key, 0) + 1
        assert answer.status_code == 202 or int(answer.headers["Retry-After"]) > 0
    assert codes == {(202, ""): 3, (429, "too_many_scans"): 27, (429, "too_many_requests"): 970}
    assert len(scan_ids(client)) == 3
    # Another address is not in the way; pages of this one still answer.
    other = visit(app)
    assert client.get("/").status_code == 200
    assert send(other, ("x.png", picture), environ_base={"REMOTE_ADDR": "192.0.2.9"}).status_code == 202


def test_runs_and_several_files_of_one_request_are_counted_too(make_demo: Callable[..., Flask]) -> None:
    app = make_demo(GLIOSCOPE_DEMO_SCANS="2")
    client = visit(app)
    files = [(f"{n}.png", png_bytes(value=40 + n)) for n in range(4)]
    answer = send(client, *files)
    assert answer.status_code == 202 and len(answer.json["scans"]) == 2
    assert [item["code"] for item in answer.json["rejected"]] == ["too_many_scans"] * 2
    (scan_id, _) = sorted(scan_ids(client))
    asked = [client.post(f"{SCANS}/{scan_id}/segmentations", json={"threshold": n / 100}) for n in range(20, 40)]
    assert [reply.status_code for reply in asked] == [202] * 8 + [429] * 12
    assert asked[-1].json["code"] == "too_many_scans"
    with resources_of(app).database.read() as session:
        session.info.clear()
        assert session.scalar(select(func.count()).select_from(Segmentation)) == 10


def test_the_whole_installation_has_a_limit(make_demo: Callable[..., Flask]) -> None:
    app = make_demo(GLIOSCOPE_DEMO_TOTAL_SCANS="2")
    for _ in range(2):
        sent(visit(app))
    answer = send(visit(app), ("scan.png", png_bytes()))
    assert (answer.status_code, answer.json["code"]) == (503, "demo_full") and answer.headers["Retry-After"] == "300"
    page = (late := visit(app)).post("/samples/lesion", data={"csrf_token": token(late)})
    assert page.status_code == 503 and "demonstration is full" in page.text


def test_limits_of_a_file_are_small_unless_they_are_set(make_demo: Callable[..., Flask]) -> None:
    small = resources_of(make_demo()).settings
    assert (small.max_upload_bytes, small.max_slices, small.max_files_per_upload) == (10_000_000, 32, 32)
    chosen = resources_of(make_demo(GLIOSCOPE_MAX_SLICES="64")).settings
    assert (chosen.max_slices, chosen.max_upload_bytes) == (64, 10_000_000)
    client = visit(make_demo())
    assert "Up to 10 MB a file and 32 slices" in client.get("/").text
    too_large = send(client, ("large.png", png_bytes() + b"\0" * 10_000_000))
    assert (too_large.status_code, too_large.json["code"]) == (413, "too_large")


def test_it_does_not_start_beside_a_dicom_node(make_demo: Callable[..., Flask]) -> None:
    with pytest.raises(SettingsError, match="takes no DICOM"):
        make_demo(GLIOSCOPE_DICOM_NODE="on")


def test_requests_of_an_address_are_counted_by_the_trusted_proxies(make_demo: Callable[..., Flask]) -> None:
    app = make_demo(GLIOSCOPE_DEMO_REQUESTS="5", GLIOSCOPE_TRUSTED_PROXIES="1")
    client = app.test_client()

    def get(address: str) -> int:
        return client.get("/help", headers={"X-Forwarded-For": address}).status_code

    assert [get("192.0.2.1") for _ in range(7)] == [200] * 5 + [429] * 2
    # What a client writes before the proxy's word counts for nothing.
    assert get("198.51.100.7, 192.0.2.1") == 429
    assert get("192.0.2.2") == 200
    refused = client.get("/help", headers={"X-Forwarded-For": "192.0.2.1"})
    assert 0 < int(refused.headers["Retry-After"]) <= 60 and "more requests from your network address" in refused.text
    assert client.get("/healthz", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 200


def test_a_window_ends_and_a_network_counts_as_one() -> None:
    now = [0.0]
    limit = RateLimit(2, 10, lambda: now[0])
    assert [limit.wait_s("192.0.2.1") for _ in range(3)] == [0.0, 0.0, 10.0]
    now[0] = 9.5
    assert limit.wait_s("192.0.2.1") == 1.0
    now[0] = 10.5
    assert limit.wait_s("192.0.2.1") == 0.0
    assert network_of("2001:db8:1:2:3::9") == network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1" and network_of("x" * 99) == "x" * 64


def test_who_asks_slowly_is_never_refused() -> None:
    now = [0.0]
    limit = RateLimit(2, 10, lambda: now[0])
    waits = []
    for now[0] in range(0, 60, 6):  # at most two within any ten seconds
        waits.append(limit.wait_s("192.0.2.1"))
    assert waits == [0.0] * 10


def test_scans_go_after_their_time_and_no_others(make_demo: Callable[..., Flask], tmp_path: Path) -> None:
    app = make_demo()
    resources = resources_of(app)
    ownership.act_as(None)
    local = sent(client := visit(app), "old.png", form={"study": "of the visitor"})
    fresh, kept = sent(client, "fresh.png"), sent(visit(app), "of-a-user.png")
    hour = timedelta(minutes=resources.settings.demo_minutes)
    assert hour == timedelta(hours=1)
    created, expires = (datetime.fromisoformat(fresh[name]) for name in ("created_at", "expires_at"))
    assert expires - created == hour
    assert client.get(SCANS).json["scans"][0]["expires_at"] == fresh["expires_at"]
    resources.database.is_scoped = False
    ownership.act_as(None)
    with resources.database.write() as session:
        old = Scan.id.in_([local["id"], kept["id"]])
        session.execute(update(Scan).where(old).values(created_at=database_now(-hour.total_seconds() - 1)))
        session.execute(update(Scan).where(Scan.id == kept["id"]).values(owner_id=ownership.LOCAL))
    assert visits.delete_old(resources) == 1 and visits.delete_old(resources) == 0
    with resources.database.read() as session:
        assert set(session.scalars(select(Scan.id))) == {fresh["id"], kept["id"]}
        assert session.scalar(select(func.count()).select_from(Study)) == 0
        owners = set(session.scalars(select(Scan.owner_id)))
    assert any(owner.startswith(PREFIX) and len(owner) == 32 for owner in owners)
    assert not any(local["id"] in name for name in traces(app).files)
    assert client.get(f"/scans/{local['id']}").status_code == 404
    assert scan_ids(client) == {fresh["id"]}


def test_pictures_leave_the_memory_of_the_web_process() -> None:
    cache, rendered = ImageCache(1000, kept_s=0.0), []
    for _ in range(2):
        cache.get("a", lambda: rendered.append(1) or b"x")
    assert len(rendered) == 2


def test_pages_show_nothing_that_is_refused_and_samples_come_first(make_demo: Callable[..., Flask]) -> None:
    client = visit(make_demo())
    page = client.get("/").text
    assert page.index('action="/samples/') < page.index('action="/scans"')
    assert 'href="/evaluations"' not in page and ".dcm" not in page and "NIfTI" not in page.split("<main")[1]
    for path in ("/scans", "/models", "/help", "/no-such", "/evaluations"):
        assert 'id="demo-note"' in client.get(path).text, path
    assert client.get("/evaluations").status_code == 403
    for path in ("/login", "/admin", "/account", "/metrics"):
        assert client.get(path).status_code == 404


def test_the_codes_are_documented() -> None:
    known = {row["code"]: row["status"] for row in error_table()}
    codes = ("demo", "cookie_needed", "too_many_scans", "demo_full", "pictures_only")
    assert [known[code] for code in codes] == [403, 403, 429, 503, 415]

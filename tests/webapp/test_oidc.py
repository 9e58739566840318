"""Logging in at an OpenID Connect provider that runs beside the test, and answers of it that are false."""

import html
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from tests.conftest import on_both
from tests.support.oidc_provider import CLIENT_SECRET, LIES, PERSON, OidcProvider, oidc_provider
from tests.support.resources import make_settings
from tests.webapp.accounts import PASSWORD, add_token, add_user, login_token, post_form
from tests.webapp.clients import SCANS, own_cookie, resources_of, sent
from webapp.context import EXTENSION
from webapp.domain.accounts import audit, oidc, sessions, users
from webapp.domain.accounts.identity import Scope
from webapp.domain.accounts.models import LoginSession, OidcLogin, Role, User
from webapp.domain.database import ownership
from webapp.domain.database.clock import database_now
from webapp.domain.settings import SettingsError
from webapp.process import administrators

EMAIL = "ruth@example.org"


@pytest.fixture(scope="module")
def server() -> Iterator[OidcProvider]:
    with oidc_provider() as provider:
        yield provider


@pytest.fixture
def provider(server: OidcProvider) -> OidcProvider:
    server.tell()
    return server


@pytest.fixture
def app(make_app: Callable[..., Flask], database_environ: dict[str, str], provider: OidcProvider) -> Flask:
    """A portal to which an administrator and one researcher are invited."""
    app = make_app(**provider.environment, **database_environ)
    invite(app, "root@example.org", Role.ADMIN)
    invite(app, EMAIL, Role.RESEARCHER)
    return app


def invite(app: Flask, name: str, role: Role, subject: str | None = None) -> str:
    with resources_of(app).database.write() as session:
        return users.create(session, name, None, role, subject)


def to_provider(client: FlaskClient, path: str = "/login/oidc") -> str:
    """Begin a login, let the provider answer; the path and query with which it sends the browser back."""
    away = client.get(path)
    assert away.status_code == 303, away.text
    back = httpx.get(away.headers["Location"]).headers["Location"]
    assert back.startswith("http://localhost/login/oidc/done?")
    parts = urlsplit(back)
    return f"{parts.path}?{parts.query}"


def log_in(app: Flask, path: str = "/login/oidc") -> FlaskClient:
    client = app.test_client()
    answer = client.get(to_provider(client, path))
    assert answer.status_code == 200, answer.text
    return client


def lines(app: Flask) -> list[tuple[str, str, object]]:
    with resources_of(app).database.read() as session:
        return [(entry.action, entry.outcome, entry.details) for entry in audit.every(session)]


@on_both
def test_a_person_comes_in_by_the_provider_and_goes_again(app: Flask, provider: OidcProvider) -> None:
    client = app.test_client()
    asked = client.get("/scans?query=x")
    page = client.get(asked.headers["Location"])
    assert 'name="password"' not in page.text
    (link,) = re.findall(r'href="(/login/oidc[^"]*)"', page.text)
    back = to_provider(client, link)
    cookie = client.get_cookie(own_cookie(app, "glioscope-login"))
    assert (cookie.http_only, cookie.same_site, cookie.max_age) == (True, "Lax", 600)
    welcome = client.get(back)
    assert welcome.status_code == 200 and 'content="0; url=/scans?query=x"' in welcome.text
    assert client.get_cookie(own_cookie(app, "glioscope-login")) is None
    assert EMAIL in client.get("/scans?query=x").text
    scan = sent(client, "scan.png")
    assert client.get(f"{SCANS}/{scan['id']}").status_code == 200
    header = add_token(app, EMAIL, [Scope.READ])
    assert app.test_client().get(f"{SCANS}/{scan['id']}", headers=header).status_code == 200
    assert_logged_out_there_too(post_form(client, "/logout"), provider)
    assert client.get("/scans").status_code == 303
    assert lines(app)[0] == ("login", "ok", {"by": "oidc"})
    # Bound to the person and not to the address, which may become somebody else's.
    provider.tell(person={**PERSON, "email": "ruth.married@example.org"})
    assert EMAIL in log_in(app).get("/account").text
    provider.tell(person={**PERSON, "sub": "subject-of-ruth"})
    other = app.test_client()
    assert other.get(to_provider(other)).status_code == 403


def assert_logged_out_there_too(page: TestResponse, provider: OidcProvider) -> None:
    """The page after a logout goes on to the provider, which sends the browser back to the portal."""
    (away,) = re.findall(r'http-equiv="refresh" content="0; url=([^"]*)"', page.text)
    away = html.unescape(away)
    assert page.status_code == 200 and page.headers["Clear-Site-Data"] == '"cache"'
    assert away.startswith(f"{provider.url}/end-session?client_id=glioscope&")
    assert httpx.get(away).headers["Location"] == "http://localhost/login"


@pytest.mark.parametrize("endpoint", [None, "javascript:alert(1)", "http://login.example.org/out"])
def test_where_the_provider_has_no_safe_logout_the_portal_alone_logs_out(
    app: Flask, monkeypatch: pytest.MonkeyPatch, endpoint: str | None
) -> None:
    client, real = log_in(app), oidc._metadata

    def told(provider: oidc.Provider) -> object:
        return {**real(provider), "end_session_endpoint": endpoint}

    monkeypatch.setattr(oidc, "_metadata", told)
    answer = post_form(client, "/logout")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")


def test_an_administrator_who_never_came_does_not_count(app: Flask, provider: OidcProvider) -> None:
    """`root` is invited alone; who has logged in stays, by whichever way an invitation was made."""
    runner = app.test_cli_runner()
    ownership.act_as(None)
    with resources_of(app).database.write() as session:
        users.set_role(session, users.named(session, EMAIL), Role.ADMIN, by_oidc=True)
    invite(app, "third", Role.ADMIN, oidc.subject_of(provider.url, "subject-of-third"))
    log_in(app)
    ownership.act_as(None)
    for words in (("disable", EMAIL), ("role", EMAIL, "viewer")):
        said = runner.invoke(args=["users", *words]).output
        assert "last administrator who can log in" in said and "have not logged in yet" in said
    for name in ("root@example.org", "third"):
        assert runner.invoke(args=["users", "disable", name]).output == ""
        assert runner.invoke(args=["users", "enable", name]).output == ""
    provider.tell(person={"sub": "subject-of-third"})
    log_in(app)
    ownership.act_as(None)
    assert runner.invoke(args=["users", "disable", EMAIL]).output == ""
    # Bound to somebody else, who has not come.
    assert runner.invoke(args=["users", "enable", EMAIL]).output == ""
    assert runner.invoke(args=["users", "subject", "third", "subject-of-another"]).output == ""
    assert "last administrator" in runner.invoke(args=["users", "disable", EMAIL]).output


@pytest.mark.parametrize("address", ["Ruth+Glioscope@example.org", "o'neil@example.org", "r" * 200 + "@example.org"])
def test_an_address_that_is_long_or_has_a_plus_is_invited_like_another(
    app: Flask, provider: OidcProvider, address: str
) -> None:
    invite(app, address, Role.VIEWER)
    provider.tell(person={**PERSON, "sub": "subject-of-this", "email": address})
    assert html.escape(address.lower()).replace("&#x27;", "&#39;") in log_in(app).get("/account").text


def test_over_tls_the_logins_cookie_is_bound_to_the_host(
    make_app: Callable[..., Flask], provider: OidcProvider
) -> None:
    app = make_app(**provider.environment, GLIOSCOPE_TRUSTED_PROXIES="1")
    client = app.test_client()
    answer = client.get("/login/oidc", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"})
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-glioscope-login-") and "Secure" in cookie and "Path=/" in cookie
    assert "redirect_uri=https%3A%2F%2Flocalhost%2Flogin%2Foidc%2Fdone" in answer.headers["Location"]


OTHER_LIES = {
    "signature": "signature", "changed": "signature", "kid": "signature", "alg_none": "signature",
    "alg_hs256": "signature", "no_jwt": "signature", "no_token": "signature", "code": "code", "denied": "provider",
    "answer_iss": "iss", "no_answer_iss": "iss",
}  # fmt: skip
REASONS = {name: re.sub("^(no|long)_", "", name) for name in LIES} | OTHER_LIES


def test_no_false_answer_lets_anybody_in(
    app: Flask, provider: OidcProvider, caplog: pytest.LogCaptureFixture, figure: Callable[[str], None]
) -> None:
    caplog.set_level(logging.DEBUG)
    for browsers in ("httpx", "httpcore"):  # the test's own, which say where they go
        caplog.set_level(logging.WARNING, browsers)
    log_in(app)
    for lie, reason in REASONS.items():
        provider.tell(lie=lie)
        client = app.test_client()
        back = to_provider(client)
        answer = client.get(back)
        assert answer.status_code == 401 and "Begin again" in answer.text, lie
        assert "Traceback" not in answer.text and "<b>" not in answer.text, lie
        assert client.get("/scans").status_code == 303, lie
        assert lines(app)[-1] == ("login", "401", {"by": "oidc", "reason": reason}), lie
        # And not at a second try either.
        assert client.get(back).status_code == 400, lie
    text = caplog.text + str(lines(app))
    kept = [secret for secret in (*provider.issued(), CLIENT_SECRET) if secret in text]
    assert kept == [], "a code, token or verifier is in the log"
    figure(f"OpenID Connect: {len(REASONS)} false answers, 0 sessions; {len(provider.issued())} secrets, 0 in the log")


@on_both
def test_an_answer_counts_once_and_in_the_browser_that_asked(app: Flask) -> None:
    client, other = app.test_client(), app.test_client()
    back = to_provider(client)
    secret = client.get_cookie(own_cookie(app, "glioscope-login")).value
    assert other.get(back).status_code == 400, "a browser without the cookie"
    other.get("/login/oidc")
    assert other.get(back).status_code == 400, "a browser with a login of its own"
    for wrong in ("/login/oidc/done", "/login/oidc/done?state=%C3%A9&code=x", re.sub("state=.", "state=z", back)):
        assert client.get(wrong).status_code == 400, wrong
        client.set_cookie(own_cookie(app, "glioscope-login"), secret)
    assert client.get(back).status_code == 200
    client.set_cookie(own_cookie(app, "glioscope-login"), secret)
    replayed = client.get(back)
    assert replayed.status_code == 400 and "Begin again" in replayed.text
    # Once: no provider was asked, and anybody may send them as often as they like.
    assert lines(app).count(("login", "400", {"by": "oidc", "reason": "state"})) == 1


def test_a_login_waits_ten_minutes(app: Flask) -> None:
    client = app.test_client()
    back = to_provider(client)
    with resources_of(app).database.write() as session:
        session.execute(update(OidcLogin).values(created_at=database_now(-601)))
    assert client.get(back).status_code == 400
    log_in(app)
    with resources_of(app).database.read() as session:
        assert session.scalars(select(OidcLogin)).all() == []


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "%2F%2Fevil.example", "/a b", ""])
def test_a_login_leads_nowhere_else(app: Flask, elsewhere: str) -> None:
    client = app.test_client()
    page = client.get(to_provider(client, f"/login/oidc?next={elsewhere}"))
    assert 'content="0; url=/"' in page.text


def test_a_session_by_the_provider_ends_after_twelve_hours(app: Flask) -> None:
    client = log_in(app)
    with resources_of(app).database.write() as session:
        session.execute(update(LoginSession).values(created_at=database_now(-sessions.ABSOLUTE_S - 1)))
    assert client.get("/scans").status_code == 303


@pytest.mark.parametrize(
    ("person", "words"),
    [
        ({"sub": "s", "email": "nobody@example.org", "email_verified": True}, "nobody@example.org"),
        ({"sub": "subject-77", "email": EMAIL, "email_verified": False}, "subject-77"),
        ({"sub": "subject-78", "email": EMAIL}, "subject-78"),
        ({"sub": "subject-79"}, "subject-79"),
    ],
)
def test_who_is_not_invited_is_refused_and_told_what_to_ask_for(
    app: Flask, provider: OidcProvider, person: dict[str, object], words: str
) -> None:
    provider.tell(person=person)
    client = app.test_client()
    answer = client.get(to_provider(client))
    assert answer.status_code == 403 and "ask an administrator to invite" in answer.text and words in answer.text
    assert client.get("/scans").status_code == 303
    assert lines(app)[-1] == ("login", "403", {"by": "oidc", "reason": "unknown_user"})


def test_the_address_may_come_from_userinfo_of_the_same_person(app: Flask, provider: OidcProvider) -> None:
    provider.tell(has_userinfo=True, lie="userinfo")
    client = app.test_client()
    assert client.get(to_provider(client)).status_code == 403
    provider.tell(has_userinfo=True)
    assert EMAIL in log_in(app).get("/account").text


def test_an_administrator_invites_by_address_or_subject(app: Flask, provider: OidcProvider) -> None:
    provider.tell(person={"sub": "Root", "email": "root@example.org", "email_verified": True})
    root = log_in(app)
    assert "has not logged in yet" in root.get("/admin").text
    made = post_form(root, "/admin/users", name="vera", role="viewer", subject="Vera-Subject", password="not looked at")
    assert made.status_code == 303
    provider.tell(person={"sub": "Vera-Subject"})
    vera = log_in(app)
    assert "vera" in vera.get("/account").text and "Old password" not in vera.get("/account").text
    with resources_of(app).database.read() as session:
        vera_id = users.named(session, "vera").id
    assert post_form(root, f"/admin/users/{vera_id}", what="disable").status_code == 303
    assert vera.get("/scans").status_code == 303
    client = app.test_client()
    assert "ended your access" in client.get(to_provider(client)).text


def test_people_get_the_default_role_where_there_is_one(make_app: Callable[..., Flask], provider: OidcProvider) -> None:
    app = make_app(**provider.environment, GLIOSCOPE_OIDC_DEFAULT_ROLE="viewer")
    assert EMAIL in log_in(app).get("/account").text
    # The same address of another person is no way to the first one's scans.
    provider.tell(person={**PERSON, "sub": "later"})
    page = log_in(app).get("/account").text
    assert re.search(r"<h1>user-[0-9a-f]{16}</h1>", page) and "viewer" in page


def test_no_password_lets_anybody_in(app: Flask) -> None:
    add_user(app, "otto", Role.ADMIN)
    client = app.test_client()
    form = {"csrf_token": login_token(client), "name": "otto", "password": PASSWORD}
    assert client.post("/login", data=form).status_code == 404
    assert post_form(log_in(app), "/account/password", old="a", new="b", again="b").status_code == 404


@pytest.mark.parametrize("password", ["!", "of a user who is not there", ""])
def test_who_was_invited_has_no_password(make_app: Callable[..., Flask], password: str) -> None:
    app = make_app(GLIOSCOPE_AUTH="password")
    invite(app, EMAIL, Role.ADMIN)
    client = app.test_client()
    form = {"csrf_token": login_token(client), "name": EMAIL, "password": password}
    assert client.post("/login", data=form).status_code == 401
    with pytest.raises(SettingsError, match="There is no administrator"):
        administrators.check(resources_of(app).settings)


def test_a_provider_that_is_away_or_another_is_said(make_app: Callable[..., Flask], provider: OidcProvider) -> None:
    app = make_app(**{**provider.environment, "GLIOSCOPE_OIDC_ISSUER": "http://127.0.0.1:9"})
    answer = app.test_client().get("/login/oidc")
    assert answer.status_code == 503 and "does not answer" in answer.text
    # The same server under another name than its own.
    other = provider.url.replace("localhost", "127.0.0.1")
    resources = resources_of(app)
    settings = replace(resources.settings, oidc_issuer=other)
    app.extensions[EXTENSION] = replace(resources, settings=settings)
    answer = app.test_client().get("/login/oidc")
    assert answer.status_code == 503 and "GLIOSCOPE_OIDC_ISSUER" in answer.text


def test_logins_that_are_begun_are_counted(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = app.test_client()
    codes = [client.get("/login/oidc").status_code for _ in range(101)]
    assert codes == [303] * 100 + [429]
    assert client.get("/login/oidc").headers["Retry-After"] == "900"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"GLIOSCOPE_OIDC_ISSUER": "", "GLIOSCOPE_OIDC_CLIENT_SECRET": ""},
            "needs GLIOSCOPE_OIDC_ISSUER and GLIOSCOPE_OIDC_CLIENT_SECRET",
        ),
        ({"GLIOSCOPE_OIDC_ISSUER": "http://login.example.org"}, "must be https://"),
        ({"GLIOSCOPE_OIDC_ISSUER": "login"}, "must be https://"),
        ({"GLIOSCOPE_OIDC_DEFAULT_ROLE": "admin"}, "none, viewer, researcher"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_at_the_start(
    provider: OidcProvider, tmp_path: object, changes: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)) as caught:
        make_settings(tmp_path, **{**provider.environment, **changes})
    assert CLIENT_SECRET not in str(caught.value)


def test_it_does_not_start_before_an_administrator_can_come_in(
    make_app: Callable[..., Flask], provider: OidcProvider
) -> None:
    app = make_app(**provider.environment)
    add_user(app, "otto", Role.ADMIN)
    with pytest.raises(SettingsError, match="--no-password"):
        administrators.check(resources_of(app).settings)
    run = app.test_cli_runner()
    made = run.invoke(args=["users", "create", "root@example.org", "--role", "admin", "--no-password"])
    assert made.exit_code == 0, made.output
    administrators.check(resources_of(app).settings)
    bound = run.invoke(args=["users", "subject", "otto", "Subject-of-Otto"])
    assert bound.exit_code == 0, bound.output
    with resources_of(app).database.read() as session:
        otto = session.scalar(select(User).where(User.name == "otto"))
        assert otto.subject == oidc.subject_of(provider.url, "Subject-of-Otto")

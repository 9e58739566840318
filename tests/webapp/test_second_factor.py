"""A second factor: set up, asked for at a login, recovery codes, turned off, reset, required."""

import html
import re
from collections.abc import Callable

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from tests.conftest import on_both
from tests.webapp.accounts import (
    PASSWORD,
    add_token,
    add_user,
    invoke,
    lines,
    log_in,
    login_token,
    post_form,
    token_of,
)
from tests.webapp.clients import SCANS, resources_of
from webapp.domain.accounts import logins, sealing, second_factor, throttle
from webapp.domain.accounts.identity import Scope
from webapp.domain.accounts.models import HalfLogin, LoginFailures, RecoveryCode, Role, User
from webapp.domain.database.clock import database_now
from webapp.domain.settings import Settings, SettingsError

PAGE = "/account/second-factor"


class Clock:
    """The server's clock and the authenticator's, which a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def code(self, secret: str, steps: int = 0) -> str:
        return pyotp.TOTP(secret).at(self.now, counter_offset=steps)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("pyotp.totp.time.time", lambda: clock.now)
    return clock


@pytest.fixture
def app(make_app: Callable[..., Flask], database_environ: dict[str, str]) -> Flask:
    return with_users(make_app(GLIOSCOPE_AUTH="password", **database_environ))


def with_users(app: Flask) -> Flask:
    add_user(app, "root", Role.ADMIN)
    add_user(app, "ruth", Role.RESEARCHER)
    return app


def begin(client: FlaskClient) -> tuple[str, str]:
    """The secret that the page shows, and what its form sends back."""
    page = post_form(client, PAGE)
    assert page.status_code == 201 and "<svg" in page.text
    return secret_in(page.text), re.search(r'name="begun" value="([^"]+)"', page.text).group(1)


def secret_in(page: str) -> str:
    return "".join(re.findall(r"<span>([A-Z2-7]{4})</span>", page))


def turn_on(client: FlaskClient, clock: Clock) -> tuple[str, list[str]]:
    """The secret and the recovery codes of who is logged in; the clock goes on to the next code."""
    secret, begun = begin(client)
    page = post_form(client, f"{PAGE}/on", begun=begun, password=PASSWORD, code=clock.code(secret))
    assert page.status_code == 201, page.text
    clock.now += 30
    return secret, codes_in(page.text)


def codes_in(page: str) -> list[str]:
    return re.findall(r"<li><code>([a-z2-9-]{19})</code></li>", page)


def half(app: Flask, name: str = "ruth", password: str = PASSWORD) -> FlaskClient:
    """A browser that has sent a right password."""
    client = app.test_client()
    answer = client.post("/login", data={"csrf_token": login_token(client), "name": name, "password": password})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login/code")
    return client


def send_code(client: FlaskClient, code: str, **more: str) -> TestResponse:
    form_token = token_of(client.get("/login/code", follow_redirects=True).text)
    return client.post("/login/code", data={"csrf_token": form_token, "code": code, **more})


@on_both
def test_the_password_alone_gives_no_session_and_a_code_counts_once(app: Flask, clock: Clock) -> None:
    first, other = log_in(app, "ruth"), log_in(app, "ruth")
    secret, codes = turn_on(first, clock)
    assert len(set(codes)) == 10 and secret not in first.get(PAGE).text and codes[0] not in first.get(PAGE).text
    # This browser goes on in a session of its own; every other one is logged out.
    assert first.get("/scans").status_code == 200 and other.get("/scans").status_code == 303
    client = half(app)
    for path in ("/scans", "/account", SCANS, PAGE):
        assert client.get(path).status_code in (303, 401)
    code = clock.code(secret)
    assert send_code(client, f"{code[:3]} {code[3:]}", next="/scans").headers["Location"] == "/scans"
    assert client.get("/scans").status_code == 200
    again = half(app)
    answer = send_code(again, code)
    assert answer.status_code == 401 and "wrong, or was used already" in answer.text
    # Nor is a code that is older than one that was taken.
    assert send_code(again, clock.code(secret, -1)).status_code == 401
    clock.now += 30
    assert send_code(again, clock.code(secret)).status_code == 303


@on_both
@pytest.mark.parametrize(("steps", "status"), [(-2, 401), (-1, 303), (0, 303), (1, 303), (2, 401)])
def test_a_clock_may_be_one_step_off(app: Flask, clock: Clock, steps: int, status: int) -> None:
    secret, _ = turn_on(log_in(app, "ruth"), clock)
    clock.now += 90
    assert send_code(half(app), clock.code(secret, steps)).status_code == status


@on_both
def test_a_recovery_code_lets_in_once_and_says_so(app: Flask, clock: Clock) -> None:
    _, codes = turn_on(log_in(app, "ruth"), clock)
    client = half(app)
    assert send_code(client, codes[3].upper().replace("-", " ")).status_code == 303
    assert (
        "You used a recovery code" in client.get("/").text
        and "9 recovery codes are left" in client.get("/account").text
    )
    assert send_code(half(app), codes[3]).status_code == 401
    renewed = post_form(client, f"{PAGE}/codes", password=PASSWORD, code=codes[4])
    assert renewed.status_code == 201 and not set(codes_in(renewed.text)) & set(codes)
    assert send_code(half(app), codes[5]).status_code == 401
    assert send_code(half(app), codes_in(renewed.text)[0]).status_code == 303


@on_both
def test_it_is_turned_off_with_password_and_code(app: Flask, clock: Clock) -> None:
    client = log_in(app, "ruth")
    secret, _ = turn_on(client, clock)
    other = half(app)
    for form in (
        {"password": "not the password", "code": clock.code(secret)},
        {"password": PASSWORD, "code": "000000"},
    ):
        assert post_form(client, f"{PAGE}/off", **form).status_code == 422
    assert post_form(client, f"{PAGE}/off", password=PASSWORD, code=clock.code(secret)).status_code == 303
    # A login that waited for a code is over, too.
    clock.now += 30
    assert send_code(other, clock.code(secret)).headers["Location"].startswith("/login")
    log_in(app, "ruth")
    with resources_of(app).database.read() as session:
        assert session.scalars(select(RecoveryCode)).all() == []


@on_both
def test_a_login_that_waits_is_over_in_minutes_and_ends_with_the_password(app: Flask, clock: Clock) -> None:
    secret, _ = turn_on(log_in(app, "ruth"), clock)
    client = half(app)
    with resources_of(app).database.write() as session:
        session.execute(update(HalfLogin).values(created_at=database_now(-logins.HALF_S - 1)))
    answer = send_code(client, clock.code(secret))
    assert answer.headers["Location"].startswith("/login") and "took too long" in client.get("/login").text
    changed = half(app)
    assert invoke(app, "users", "password", "ruth", typed="a whole new passphrase\n") == ""
    assert send_code(changed, clock.code(secret)).headers["Location"].startswith("/login")


@on_both
def test_guesses_of_a_code_are_counted_by_name_whatever_the_address(app: Flask, clock: Clock) -> None:
    secret, _ = turn_on(log_in(app, "ruth"), clock)
    client = half(app)
    form_token = token_of(client.get("/login/code").text)
    for number in range(throttle.MOST_CODES):
        form = {"csrf_token": form_token, "code": "000000"}
        answer = client.post("/login/code", data=form, environ_base={"REMOTE_ADDR": f"10.0.0.{number}"})
        assert answer.status_code == 401
    answer = send_code(client, clock.code(secret))
    assert (
        answer.status_code == 429 and answer.headers["Retry-After"] == "900" and "Too many wrong codes" in answer.text
    )
    with resources_of(app).database.write() as session:
        session.execute(update(LoginFailures).values(since=database_now(-throttle.WINDOW_S - 1)))
    assert send_code(client, clock.code(secret)).status_code == 303


def test_setting_it_up_needs_the_password_and_a_code_of_ones_own_secret(app: Flask, clock: Clock) -> None:
    client, other = log_in(app, "ruth"), log_in(app, "root")
    secret, begun = begin(client)
    wrong = {"begun": begun, "password": PASSWORD, "code": "000000"}
    answer = post_form(client, f"{PAGE}/on", **wrong)
    # The page still shows the secret that was scanned.
    assert answer.status_code == 422 and secret_in(answer.text) == secret
    right = {**wrong, "code": clock.code(secret)}
    assert post_form(client, f"{PAGE}/on", **{**right, "password": "not the password"}).status_code == 422
    assert post_form(other, f"{PAGE}/on", **right).status_code == 422
    assert post_form(client, f"{PAGE}/on", **{**right, "begun": html.escape("x" * 300)}).status_code == 422
    assert post_form(client, f"{PAGE}/on", **right).status_code == 201
    assert post_form(client, f"{PAGE}/on", **right).status_code == 409


def test_the_secret_is_sealed_and_codes_are_hashed(app: Flask, clock: Clock) -> None:
    secret, codes = turn_on(log_in(app, "ruth"), clock)
    found = resources_of(app)
    with found.database.read() as session:
        user = session.scalars(select(User).where(User.name == "ruth")).one()
        kept = [user.totp_secret, *session.scalars(select(RecoveryCode.id))]
    assert len(kept) == 11 and not any(secret in text or codes[0].replace("-", "") in text for text in kept)
    key = found.settings.secret_key
    assert sealing.unseal(key, "second factor", kept[0]) == f"{user.id} {secret}"
    assert sealing.unseal("another key" * 4, "second factor", kept[0]) is None
    assert sealing.unseal(key, "another purpose", kept[0]) is None
    # A row that somebody gave to another user is none there.
    with found.database.write() as session:
        session.execute(update(User).where(User.name == "root").values(totp_secret=kept[0], totp_step=0))
    assert send_code(half(app, "root"), clock.code(secret)).status_code == 401


def test_with_another_key_of_the_server_recovery_codes_are_left(
    app: Flask, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, codes = turn_on(log_in(app, "ruth"), clock)
    settings = resources_of(app).settings
    monkeypatch.setitem(vars(settings), "secret_key", "another key" * 4)
    assert send_code(half(app), clock.code(secret)).status_code == 401
    assert send_code(half(app), codes[0]).status_code == 303


@on_both
def test_an_administrator_takes_it_off_by_page_and_by_command(app: Flask, clock: Clock) -> None:
    browser, root = log_in(app, "ruth"), log_in(app, "root")
    with resources_of(app).database.read() as session:
        ids = {user.name: user.id for user in session.scalars(select(User))}
    turn_on(browser, clock)
    assert "Take off the second factor" in root.get("/admin").text
    assert post_form(root, f"/admin/users/{ids['ruth']}", what="second-factor").status_code == 303
    assert browser.get("/scans").status_code == 303
    browser = log_in(app, "ruth")
    assert post_form(root, f"/admin/users/{ids['ruth']}", what="second-factor").status_code == 409
    turn_on(browser, clock)
    assert "second factor" in invoke(app, "users", "list")
    assert invoke(app, "users", "reset-second-factor", "ruth") == ""
    assert browser.get("/scans").status_code == 303
    # An open browser of an administrator takes off nobody's own.
    turn_on(root, clock)
    assert post_form(root, f"/admin/users/{ids['root']}", what="second-factor").status_code == 409
    found = [(entry.action, entry.object_id) for entry in lines(app) if "reset" in entry.action]
    assert found == [("users.reset-second-factor", ids["ruth"])] * 2


@on_both
def test_the_log_has_each_step_and_no_secret(app: Flask, clock: Clock) -> None:
    client = log_in(app, "ruth")
    secret, codes = turn_on(client, clock)
    guess = half(app)
    send_code(guess, "123456")
    send_code(guess, clock.code(secret))
    send_code(half(app), codes[0])
    found = [(entry.action, entry.outcome, entry.details) for entry in lines(app)]
    with resources_of(app).database.read() as session:
        ruth = session.scalars(select(User.id).where(User.name == "ruth")).one()
    assert found == [
        ("login", "ok", None),
        ("POST second-factor.begin", "201", None),
        ("POST second-factor.turn_on", "ok", None),
        ("login.password", "ok", {"of": ruth}),
        ("login", "401", {"by": "code", "of": ruth}),
        ("login", "ok", {"by": "authenticator"}),
        ("login.password", "ok", {"of": ruth}),
        ("login", "ok", {"by": "recovery"}),
    ]
    exported = invoke(app, "audit", "export")
    assert not any(text in exported for text in (secret, codes[0], "123456"))


def test_an_api_token_takes_password_and_code(app: Flask, clock: Clock) -> None:
    client = log_in(app, "ruth")
    secret, codes = turn_on(client, clock)
    form = {"label": "notebook", "scope": "read", "days": "7", "password": PASSWORD}
    assert "A code of your authenticator" in client.get("/account").text
    for wrong in ({}, {"code": "123456"}):
        refused = post_form(client, "/account/tokens", **form, **wrong)
        assert refused.status_code == 422 and "The code is wrong" in refused.text
    assert post_form(client, "/account/tokens", **{**form, "password": "no"}, code=codes[0]).status_code == 422
    clock.now += 60
    assert post_form(client, "/account/tokens", **form, code=clock.code(secret)).status_code == 201
    assert post_form(client, "/account/tokens", **form, code=codes[0]).status_code == 201
    for _ in range(25):  # right ones are not counted as guesses
        clock.now += 60
        assert post_form(client, "/account/tokens", **form, code=clock.code(secret)).status_code == 201


@pytest.mark.parametrize(("policy", "asked"), [("optional", ()), ("admins", ("root",)), ("all", ("root", "ruth"))])
def test_whoever_must_have_one_sets_it_up_before_anything_else(
    make_app: Callable[..., Flask], clock: Clock, policy: str, asked: tuple[str, ...]
) -> None:
    app = with_users(make_app(GLIOSCOPE_AUTH="password", GLIOSCOPE_SECOND_FACTOR=policy, GLIOSCOPE_MONAI_LABEL="on"))
    for name in ("root", "ruth"):
        client, headers = log_in(app, name), add_token(app, name, [Scope.READ])
        # Programs have what was made for them after a login.
        assert app.test_client().get(SCANS, headers=headers).status_code == 200
        viewer = {"username": name, "password": PASSWORD}
        if name not in asked:
            assert client.get("/scans").status_code == 200
            assert app.test_client().post("/monai/auth/token", data=viewer).status_code == 200
            continue
        led = client.get("/scans?sort=name")
        assert led.headers["Location"] == f"{PAGE}?next=/scans?sort%3Dname"
        page = client.get(PAGE)
        assert "Set it up to go on" in page.text and 'href="/scans"' not in page.text
        for path in ("/", "/account", "/admin", "/models"):
            assert client.get(path).headers["Location"].startswith(PAGE)
        assert client.get(SCANS).json["code"] == "second_factor"
        form_token = token_of(page.text)
        # A form of a page that was opened before it was demanded is not lost.
        refused = client.post(f"/studies/{'0' * 32}", data={"csrf_token": form_token, "notes": "Ten minutes of work"})
        assert refused.status_code == 403 and "nothing of this form was saved" in refused.text
        assert "Ten minutes of work</textarea>" in refused.text
        assert app.test_client().post("/monai/auth/token", data=viewer).status_code == 401
        assert client.post("/logout", data={"csrf_token": form_token}).headers["Location"] == "/login"
        client = log_in(app, name)
        begun = client.post(PAGE, data={"csrf_token": token_of(client.get(PAGE).text)}).text
        secret, sealed = secret_in(begun), re.search(r'name="begun" value="([^"]+)"', begun).group(1)
        form = {"csrf_token": token_of(begun), "begun": sealed, "password": PASSWORD, "code": clock.code(secret)}
        assert client.post(f"{PAGE}/on", data=form).status_code == 201
        assert client.get("/scans").status_code == 200


def test_a_viewer_with_a_password_alone_is_refused_where_there_is_a_second_factor(
    make_app: Callable[..., Flask], clock: Clock
) -> None:
    app = with_users(make_app(GLIOSCOPE_AUTH="password", GLIOSCOPE_MONAI_LABEL="on"))
    turn_on(log_in(app, "ruth"), clock)
    viewer = app.test_client()
    refused = [
        viewer.post("/monai/auth/token", data={"username": "ruth", "password": word})
        for word in (PASSWORD, "wrong one")
    ]
    assert [answer.status_code for answer in refused] == [401, 401]
    assert refused[0].json["message"] == refused[1].json["message"]
    text = add_token(app, "ruth", [Scope.READ])["Authorization"].split()[1]
    assert viewer.post("/monai/auth/token", data={"username": "ruth", "password": text}).status_code == 200


def test_a_provider_asks_for_it_itself(make_app: Callable[..., Flask]) -> None:
    oidc = {f"GLIOSCOPE_OIDC_{name}": "https://login.example.org" for name in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET")}
    for auth, more in (("oidc", oidc), ("local", {}), ("demo", {})):
        with pytest.raises(
            SettingsError, match="GLIOSCOPE_SECOND_FACTOR is 'all', which is of GLIOSCOPE_AUTH=password"
        ):
            Settings.from_environment({"GLIOSCOPE_AUTH": auth, "GLIOSCOPE_SECOND_FACTOR": "all", **more})


def test_codes_are_those_of_the_standard() -> None:
    """RFC 6238, appendix B, SHA-1: its eight digits end with our six."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for at, code in ((59, "94287082"), (1_111_111_109, "07081804"), (20_000_000_000, "65353130")):
        assert pyotp.TOTP(secret).at(at) == code[-second_factor.DIGITS :]

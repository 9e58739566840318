"""Logging in, and what ends a session."""

import io
import re

import pytest
from flask import Flask
from sqlalchemy import delete, update

from tests.conftest import on_both
from tests.support.resources import png_bytes
from tests.webapp.accounts import PASSWORD, add_token, invoke, log_in, login_token, post_form, token_of, try_password
from tests.webapp.clients import SCANS, own_cookie, resources_of
from webapp.domain.accounts import logins, throttle
from webapp.domain.accounts.identity import Scope
from webapp.domain.accounts.models import LoginSession, Role, User
from webapp.domain.database.clock import database_now
from webapp.domain.scans import studies


def test_a_browser_is_asked_to_log_in_and_comes_back_to_where_it_was(app: Flask) -> None:
    client = app.test_client()
    asked = client.get("/scans?query=x")
    assert asked.status_code == 303 and asked.headers["Location"] == "/login?next=/scans?query%3Dx"
    page = client.get(asked.headers["Location"])
    assert page.status_code == 200 and 'name="next" value="/scans?query=x"' in page.text
    form = {"csrf_token": token_of(page.text), "name": "RUTH", "password": PASSWORD, "next": "/scans?query=x"}
    answer = client.post("/login", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/scans?query=x")
    assert "ruth" in client.get("/scans").text
    assert client.get("/scans").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "\t//evil", "/\t/evil.example", "evil", ""],
)
def test_a_login_leads_nowhere_else(app: Flask, elsewhere: str) -> None:
    client = app.test_client()
    form = {"csrf_token": login_token(client), "name": "ruth", "password": PASSWORD, "next": elsewhere}
    assert client.post("/login", data=form).headers["Location"] == "/"


def test_the_answer_does_not_say_whether_there_is_such_a_user(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    real = logins.passwords.is_right
    monkeypatch.setattr(logins.passwords, "is_right", lambda word, kept: (seen.append(kept), real(word, kept))[1])
    client = app.test_client()
    answers = []
    for name in ("ruth", "none"):
        answer = client.post(
            "/login", data={"csrf_token": login_token(client), "name": name, "password": "wrong password"}
        )
        answers.append((answer.status_code, re.sub(r"(value|content)=\"[^\"]*\"|<code>.*?</code>", "", answer.text)))
    assert answers[0] == answers[1] and answers[0][0] == 401
    # The same work: a hash is computed where there is no user, too.
    assert len(seen) == 2 and seen[1] is None


def end_sessions(app: Flask) -> None:
    with resources_of(app).database.write() as rows:
        rows.execute(delete(LoginSession))


def test_what_is_sent_after_the_session_is_over_is_shown_again_and_said_not_to_be_saved(app: Flask) -> None:
    client = log_in(app, "ruth")
    scan = client.post(SCANS, data={"file": (io.BytesIO(png_bytes()), "a.png"), "study": "P 1"}).get_json()["scans"][0]
    study = scan["study"]["id"]
    end_sessions(app)
    written = {
        "csrf_token": "x",
        "notes": "Ten minutes <of> work",
        "read_notes": "before",
        "password": PASSWORD,
        "revision": "1",
    }
    answer = client.post(f"/studies/{study}", data=written)
    assert answer.status_code == 401 and "nothing of it was saved" in answer.text
    assert (
        "Ten minutes &lt;of&gt; work</textarea>" in answer.text
        and f"/login?next=/scans%3Fstudy%3D{study}" in answer.text
    )
    assert answer.text.count("<textarea") == 1
    # A file is not read: it is chosen again. A longer body is not read either.
    sent = client.post(f"/scans/{scan['id']}/truth", data={"file": (io.BytesIO(png_bytes()), "m.png")})
    assert sent.status_code == 401 and f"next=/scans/{scan['id']}" in sent.text and "<textarea" not in sent.text
    long = client.post(f"/studies/{study}", data={"notes": "n" * 140_000})
    assert long.status_code == 401 and "nnn" not in long.text


def test_a_form_of_before_the_last_login_shows_what_was_written(app: Flask) -> None:
    client = log_in(app, "ruth")
    scan = client.post(SCANS, data={"file": (io.BytesIO(png_bytes()), "a.png"), "study": "P 1"}).get_json()["scans"][0]
    address = f"/studies/{scan['study']['id']}"
    old = token_of(client.get("/scans").text)
    end_sessions(app)
    form = {"csrf_token": login_token(client), "name": "ruth", "password": PASSWORD}
    assert client.post("/login", data=form).status_code == 303  # in another tab
    answer = client.post(address, data={"csrf_token": old, "notes": "Ten minutes of work"})
    assert answer.status_code == 400 and "Ten minutes of work</textarea>" in answer.text
    assert f'href="/scans?study={scan["study"]["id"]}"' in answer.text
    assert client.get(f"/api/v1{address}").get_json()["notes"] == ""


def test_a_form_that_ends_in_an_error_shows_what_was_written(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = log_in(app, "ruth")
    scan = client.post(SCANS, data={"file": (io.BytesIO(png_bytes()), "a.png"), "study": "P 1"}).get_json()["scans"][0]
    address, form = (
        f"/studies/{scan['study']['id']}",
        {"csrf_token": token_of(client.get("/scans").text), "notes": "Work"},
    )

    def fail(*_args: object, **_options: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(studies, "change", fail)
        answer = client.post(address, data=form)
    assert answer.status_code == 500 and "Work</textarea>" in answer.text
    # Somebody made her a viewer meanwhile.
    with resources_of(app).database.write() as rows:
        rows.execute(update(User).where(User.name == "ruth").values(role=Role.VIEWER))
    answer = client.post(address, data=form)
    assert answer.status_code == 403 and "Work</textarea>" in answer.text
    # What is no address, or too long, is not read.
    assert "<textarea" not in client.post("/nowhere", data=form).text
    assert "<textarea" not in client.post(address, data={**form, "notes": "n" * 140_000}).text


def test_a_form_of_somebody_who_logged_out_elsewhere_is_said_not_to_be_saved(app: Flask) -> None:
    client = app.test_client()
    answer = client.post(f"/studies/{'0' * 32}", data={"notes": "lost"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert "nothing of it was saved" in client.get("/login").text


@on_both
def test_a_password_of_a_proxy_in_front_stands_beside_the_login(app: Flask) -> None:
    """nginx's `auth_basic` asks browsers for a password of its own, which they then send with every request."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Basic Z2F0ZTpvcGVu"
    form = {"csrf_token": login_token(client), "name": "ruth", "password": PASSWORD}
    assert client.post("/login", data=form).headers["Location"] == "/"
    assert client.get("/scans").status_code == 200
    assert client.get(SCANS).status_code == 200
    assert app.test_client().get("/scans", headers={"Authorization": "Basic Z2F0ZTpvcGVu"}).status_code == 303
    for header in ("Bearer wrong", "Bearer "):
        assert client.get(SCANS, headers={"Authorization": header}).status_code == 401, "a token that was meant counts"


@on_both
def test_a_session_is_new_at_login_and_its_cookie_opens_nothing_after_logout(app: Flask) -> None:
    client = log_in(app, "ruth")
    before = client.get_cookie(own_cookie(app)).value
    assert post_form(client, "/logout").headers["Clear-Site-Data"] == '"cache"'
    assert client.get("/scans").status_code == 303
    client.set_cookie(own_cookie(app), before)
    assert client.get("/scans").status_code == 303
    assert client.get("/logout").status_code == 405
    planted = app.test_client()
    login_token(planted)
    fixed = planted.get_cookie(own_cookie(app)).value
    form = {"csrf_token": login_token(planted), "name": "ruth", "password": PASSWORD}
    assert planted.post("/login", data=form).status_code == 303
    victim = app.test_client()
    victim.set_cookie(own_cookie(app), fixed)
    assert victim.get("/scans").status_code == 303


@on_both
@pytest.mark.parametrize(
    ("column", "age_s", "status"),
    [("seen_at", 1799, 200), ("seen_at", 1801, 303), ("created_at", 43_199, 200), ("created_at", 43_201, 303)],
)
def test_a_session_ends_by_itself(app: Flask, column: str, age_s: float, status: int) -> None:
    client = log_in(app, "ruth")
    with resources_of(app).database.write() as session:
        session.execute(update(LoginSession).values({column: database_now(-age_s)}))
    assert client.get("/scans").status_code == status


@on_both
def test_a_password_change_ends_every_other_session(app: Flask) -> None:
    one, other = log_in(app, "ruth"), log_in(app, "ruth")
    new = "another long password"
    refused = post_form(one, "/account/password", old="wrong one here", new=new, again=new)
    assert refused.status_code == 422 and "The old password is wrong" in refused.text
    assert post_form(one, "/account/password", old=PASSWORD, new="short", again="short").status_code == 422
    assert post_form(one, "/account/password", old=PASSWORD, new=new, again=new).status_code == 303
    assert one.get("/scans").status_code == 200 and other.get("/scans").status_code == 303
    assert try_password(app, "ruth", PASSWORD) == 401 and try_password(app, "ruth", new) == 303


@on_both
def test_a_user_who_is_disabled_is_out_at_once(app: Flask) -> None:
    client, header = log_in(app, "ruth"), add_token(app, "ruth", [Scope.READ])
    assert app.test_client().get(SCANS, headers=header).status_code == 200
    assert invoke(app, "users", "disable", "ruth") == ""
    assert client.get("/scans").status_code == 303
    assert app.test_client().get(SCANS, headers=header).status_code == 401
    assert try_password(app, "ruth", PASSWORD) == 401


@on_both
def test_twenty_wrong_passwords_are_429_also_for_the_right_one(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins.passwords, "is_right", lambda word, _kept: word == PASSWORD)
    client = app.test_client()
    form = {"csrf_token": login_token(client), "name": "ruth", "password": "wrong password"}
    assert [client.post("/login", data=form).status_code for _ in range(21)] == [401] * 20 + [429]
    answer = client.post("/login", data={**form, "password": PASSWORD})
    assert answer.status_code == 429 and answer.headers["Retry-After"] == "900"
    # Another user, and the same one later, are not locked out.
    assert try_password(app, "root", PASSWORD) == 303
    with resources_of(app).database.write() as session:
        session.execute(update(throttle.LoginFailures).values(since=database_now(-throttle.WINDOW_S - 1)))
    assert client.post("/login", data={**form, "password": PASSWORD}).status_code == 303


def test_a_login_needs_its_form_token_and_a_small_body(app: Flask) -> None:
    client = app.test_client()
    assert client.post("/login", data={"name": "ruth", "password": PASSWORD}).status_code == 400
    big = {"csrf_token": login_token(client), "name": "ruth", "password": "x" * 100_000}
    assert client.post("/login", data=big).status_code == 413
    assert (
        client.post("/login", data={**big, "password": "x"}, headers={"Sec-Fetch-Site": "cross-site"}).status_code
        == 403
    )

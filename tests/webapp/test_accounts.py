"""Logging in and what ends it; tokens; the start; the audit log."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.conftest import on_both
from tests.support.resources import add_scan, make_settings, png_bytes
from tests.webapp.accounts import PASSWORD, add_token, add_user, log_in, login_token, post_form, token_of
from tests.webapp.clients import SCANS, resources_of, send, sent
from webapp.domain.accounts import audit, logins, passwords, throttle, users
from webapp.domain.accounts.identity import Scope
from webapp.domain.accounts.models import ApiToken, AuditEntry, LoginSession, Role, User
from webapp.domain.database import ownership
from webapp.domain.database.clock import database_now
from webapp.domain.scans import studies
from webapp.domain.settings import SettingsError
from webapp.process import administrators


@pytest.fixture
def app(make_app: Callable[..., Flask], database_environ: dict[str, str]) -> Flask:
    """A portal with one administrator and one researcher."""
    app = make_app(GLIOSCOPE_AUTH="password", **database_environ)
    add_user(app, "root", Role.ADMIN)
    add_user(app, "ruth", Role.RESEARCHER)
    return app


def try_password(app: Flask, name: str, password: str) -> int:
    client = app.test_client()
    form = {"csrf_token": login_token(client), "name": name, "password": password}
    return client.post("/login", data=form).status_code


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


@on_both
def test_a_session_is_new_at_login_and_its_cookie_opens_nothing_after_logout(app: Flask) -> None:
    client = log_in(app, "ruth")
    before = client.get_cookie("glioscope").value
    assert post_form(client, "/logout").headers["Clear-Site-Data"] == '"cache"'
    assert client.get("/scans").status_code == 303
    client.set_cookie("glioscope", before)
    assert client.get("/scans").status_code == 303
    assert client.get("/logout").status_code == 405
    planted = app.test_client()
    login_token(planted)
    fixed = planted.get_cookie("glioscope").value
    form = {"csrf_token": login_token(planted), "name": "ruth", "password": PASSWORD}
    assert planted.post("/login", data=form).status_code == 303
    victim = app.test_client()
    victim.set_cookie("glioscope", fixed)
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


@on_both
def test_tokens_open_what_their_scopes_say_and_nothing_in_an_address(app: Flask) -> None:
    client = app.test_client()
    reads, writes = add_token(app, "ruth", [Scope.READ]), add_token(app, "ruth", [Scope.WRITE])
    assert client.get(SCANS, headers=reads).status_code == 200
    assert send(client, ("a.png", png_bytes()), headers=reads).json["code"] == "role"
    assert send(client, ("a.png", png_bytes()), headers=writes).status_code == 202
    assert client.get(SCANS, headers=writes).status_code == 403
    assert client.get("/scans", headers=reads).status_code == 403
    assert client.get("/account", headers=reads).status_code == 403
    text = reads["Authorization"].split()[1]
    for wrong in (f"Bearer {text}x", f"Basic {text}", "Bearer", text):
        answer = client.get(SCANS, headers={"Authorization": wrong})
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
    for query in (f"?token={text}", f"?access_token={text}", f"?Authorization=Bearer {text}"):
        assert client.get(SCANS + query).status_code == 401


@on_both
def test_a_token_that_is_over_or_revoked_opens_nothing_and_is_kept_hashed(app: Flask) -> None:
    client, header = app.test_client(), add_token(app, "ruth", [Scope.READ])
    database = resources_of(app).database
    with database.write() as session:
        row = session.scalars(select(ApiToken)).one()
        assert row.digest not in header["Authorization"] and len(row.digest) == 64
        row.expires_at = session.scalar(select(database_now(-1)))
    assert client.get(SCANS, headers=header).status_code == 401
    browser = log_in(app, "ruth")
    form = {"label": "notebook", "scope": "read", "days": "7"}
    for wrong in ({}, {"password": "not the password"}):
        refused = post_form(browser, "/account/tokens", **form, **wrong)
        assert refused.status_code == 422 and "The password is wrong." in refused.text
    made = post_form(browser, "/account/tokens", **form, password=PASSWORD)
    text = re.search(r"glioscope_[\w-]{43}", made.text).group()
    assert client.get(SCANS, headers={"Authorization": f"Bearer {text}"}).status_code == 200
    assert text not in browser.get("/account").text
    with database.read() as session:
        token_id = session.scalars(select(ApiToken.id).where(ApiToken.label == "notebook")).one()
    other = log_in(app, "root")
    assert post_form(other, f"/account/tokens/{token_id}/revoke").status_code == 404
    assert post_form(browser, f"/account/tokens/{token_id}/revoke").status_code == 303
    assert client.get(SCANS, headers={"Authorization": f"Bearer {text}"}).status_code == 401


def test_metrics_are_an_administrators_by_token(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=add_token(app, "root", [Scope.READ])).status_code == 403
    sent(client, headers=add_token(app, "ruth", [Scope.WRITE]))
    answer = client.get("/metrics", headers=add_token(app, "root", [Scope.METRICS]))
    assert 'glioscope_jobs{status="queued"} 1.0' in answer.text


# ---- commands and the start ----


def invoke(app: Flask, *words: str, typed: str = PASSWORD + "\n") -> str:
    """What the command says: of a failure its sentence."""
    result = app.test_cli_runner().invoke(args=list(words), input=typed)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.output


def test_it_starts_with_an_administrator_alone(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    app = make_app(GLIOSCOPE_AUTH="password")
    settings = resources_of(app).settings
    with pytest.raises(SettingsError, match="There is no administrator; make one"):
        administrators.check(settings)
    assert "at least one" not in invoke(app, "users", "create", "Root", "--role", "admin")
    administrators.check(settings)
    administrators.check(make_settings(tmp_path / "empty"))  # local: no users


@on_both
def test_the_last_administrator_stays_one(app: Flask) -> None:
    for words in (("role", "root", "viewer"), ("disable", "root")):
        assert "last administrator" in invoke(app, "users", *words)
    browser = log_in(app, "root")
    with resources_of(app).database.read() as session:
        root = session.scalars(select(User.id).where(User.name == "root")).one()
    for form in ({"what": "role", "role": "viewer"}, {"what": "disable"}):
        answer = post_form(browser, f"/admin/users/{root}", **form)
        assert answer.status_code == 409 and "last administrator" in answer.text
    assert invoke(app, "users", "role", "ruth", "admin") == ""
    assert invoke(app, "users", "disable", "root") == ""
    assert "last administrator" in invoke(app, "users", "disable", "ruth")


@pytest.mark.parametrize(
    ("name", "password", "sentence"),
    [
        ("x", PASSWORD, "2 to 254"),
        ("a b", PASSWORD, "2 to 254"),
        ("ruth", PASSWORD, "already"),
        ("new", "short", "12 to 256"),
        ("longername", "LongerName12", "not the user's name"),
        ("new", "password1234", "easy to guess. This is a very common password."),
    ],
)
def test_a_user_that_cannot_be_is_refused_in_a_sentence(app: Flask, name: str, password: str, sentence: str) -> None:
    said = invoke(app, "users", "create", name, typed=password + "\n")
    assert sentence in said and said.count("\n") == 1 and password not in said


WEAK = "glioscope2026"


@on_both
def test_no_way_of_setting_a_password_takes_a_weak_one_and_one_of_before_still_logs_in(app: Flask) -> None:
    with resources_of(app).database.write() as session:
        ruth = users.named(session, "ruth")
        ruth.password_hash, ruth_id = passwords.hash_of(WEAK), ruth.id
    browser, root = log_in(app, "ruth", WEAK), log_in(app, "root")
    refusals = [
        post_form(browser, "/account/password", old=WEAK, new=WEAK, again=WEAK),
        post_form(root, "/admin/users", name="vera", password=WEAK, role="viewer"),
        post_form(root, f"/admin/users/{ruth_id}", what="password", password=WEAK),
    ]
    assert [answer.status_code for answer in refusals] == [422] * 3
    said = [answer.text for answer in refusals]
    said += [invoke(app, "users", *words, typed=WEAK + "\n") for words in (["create", "first"], ["password", "ruth"])]
    assert all("This password is easy to guess." in text for text in said)
    assert try_password(app, "ruth", WEAK) == 303


def test_an_administrator_makes_users_and_sees_settings_without_secrets(app: Flask) -> None:
    browser = log_in(app, "root")
    assert post_form(browser, "/admin/users", name="vera", password=PASSWORD, role="viewer").status_code == 303
    page = browser.get("/admin")
    assert "vera" in page.text and "GLIOSCOPE_MAX_UPLOAD_MB" in page.text
    assert re.search(r"GLIOSCOPE_MAX_UPLOAD_MB</code>.{0,80}?100 MB<", page.text, re.DOTALL)
    assert "0, originals 0 Bytes" in page.text
    data = png_bytes()
    assert send(log_in(app, "ruth"), ("a.png", data)).status_code == 202
    assert f"1, originals {len(data)} Bytes" in browser.get("/admin").text
    settings = resources_of(app).settings
    assert settings.secret_key not in page.text and settings.database_url not in page.text
    viewer = log_in(app, "vera")
    assert viewer.get("/admin").status_code == viewer.get("/admin/audit").status_code == 404
    assert send(viewer, ("a.png", png_bytes())).status_code == 403


# ---- the audit log ----


def lines(app: Flask) -> list[AuditEntry]:
    ownership.act_as(None)
    with resources_of(app).database.read() as session:
        return list(audit.every(session))


@on_both
def test_the_log_has_who_did_what_and_no_value_of_a_patient(app: Flask) -> None:
    with resources_of(app).database.read() as session:
        ids = {user.name: user.id for user in session.scalars(select(User))}
    browser, other = log_in(app, "ruth"), log_in(app, "root")
    scan = sent(browser, "Canary^Doe.png", form={"study": "Canary study"})
    for _ in range(2):
        browser.get(f"/scans/{scan['id']}")
        browser.get(f"{SCANS}/{scan['id']}/scan.png")
        browser.get(f"{SCANS}/{scan['id']}/original").close()
    other.get(f"{SCANS}/{scan['id']}")
    app.test_client().get(f"{SCANS}/{scan['id']}")
    browser.get("/scans?query=canary")
    found = [(entry.user_id, entry.action, entry.object_id, entry.outcome) for entry in lines(app)]
    ruth, root = ids["ruth"], ids["root"]
    assert found == [
        (ruth, "login", None, "ok"),
        (root, "login", None, "ok"),
        (ruth, "POST api-scans.ScanCollection", None, "202"),
        (ruth, "GET scans.show", scan["id"], "200"),
        (ruth, "GET api-scans.original", scan["id"], "200"),
        (ruth, "GET api-scans.original", scan["id"], "200"),
        (root, "GET api-scans.ScanItem", scan["id"], "404"),
        (None, "GET api-scans.ScanItem", None, "401"),
    ]
    assert scan["id"] in lines(app)[2].details["ids"]
    assert "canary" not in invoke(app, "audit", "export").lower()
    assert "GET api-scans.original" in other.get("/admin/audit").text
    assert len(other.get("/admin/audit.jsonl").text.splitlines()) >= len(found)


@on_both
def test_an_administrator_sees_failed_logins_by_account_and_address(app: Flask) -> None:
    database = resources_of(app).database
    for address, age_s in (("192.0.2.8", 87_000), ("192.0.2.7", 86_000)):
        audit.record(database, audit.Event("login", "401", None, address))
        with database.write() as session:
            last = session.scalars(select(AuditEntry).order_by(AuditEntry.number.desc()).limit(1)).one()
            last.at = session.scalar(select(database_now(-age_s)))
    for name, password in (("ruth", "no"), ("ruth", "no"), ("nobody", "no"), ("ruth", PASSWORD)):
        try_password(app, name, password)
    with database.read() as session:
        found = [(item.user_id, item.address, item.failures) for item in audit.failed_logins(session)]
        ruth = users.named(session, "ruth").id
    assert found[0] == (ruth, "127.0.0.1", 2)
    assert sorted(found[1:], key=str) == [(None, "127.0.0.1", 1), (None, "192.0.2.7", 1)]
    page = log_in(app, "root").get("/admin/audit").text
    section = page.split('id="failures"', 1)[1].split("</section>", 1)[0]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row)[:3] for row in section.split("<tr>")[2:]]
    assert rows[0] == ["ruth", "127.0.0.1", "2"]
    assert sorted(rows[1:]) == [["no such user", "127.0.0.1", "1"], ["no such user", "192.0.2.7", "1"]]


def test_where_no_login_failed_the_log_says_so(app: Flask) -> None:
    assert "No login failed in the last 24 hours." in log_in(app, "root").get("/admin/audit").text


@pytest.mark.parametrize("change", ["outcome", "delete", "tail"])
def test_a_changed_or_missing_line_is_found_by_the_command(app: Flask, change: str) -> None:
    for number in range(5):
        audit.record(resources_of(app).database, audit.Event(f"test {number}", "ok"))
    said = invoke(app, "audit", "verify")
    noted = re.search(r"5:[0-9a-f]{64}", said).group()
    assert said.startswith("Sound: 5 lines")
    assert len([json.loads(line) for line in invoke(app, "audit", "export").splitlines()]) == 5
    assert "Sound" in invoke(app, "audit", "verify", "--noted", noted)
    with resources_of(app).database.write() as session:
        line = session.get_one(AuditEntry, 5 if change == "tail" else 3)
        if change == "outcome":
            line.outcome = "403"
        else:
            session.delete(line)
    words = ("--noted", noted) if change == "tail" else ()
    assert f"Line {5 if change == 'tail' else 3} is not as it was written" in invoke(app, "audit", "verify", *words)


def test_two_who_write_at_once_get_one_chain(any_app: Flask) -> None:
    database = resources_of(any_app).database
    threads = [threading.Thread(target=audit.record, args=(database, audit.Event("x", "ok"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert audit.verify(session) == audit.Verdict(1, 6, audit.newest(session, 1)[0].digest, None)


def test_what_was_there_before_is_given_to_a_user_by_command(app: Flask, make_app: Callable[..., Flask]) -> None:
    ownership.act_as(None)
    resources = resources_of(app)
    scan_id, _ = add_scan(resources, "before.png")
    studies.move(resources, scan_id, "Patient 1")
    browser = log_in(app, "ruth")
    assert browser.get(f"/scans/{scan_id}").status_code == 404
    ownership.act_as(None)
    assert "1 scans, 1 studies" in invoke(app, "users", "adopt", "ruth")
    assert browser.get(f"/scans/{scan_id}").status_code == 200
    assert (
        sent(browser, form={"study": "patient 1"})["study"]["id"]
        == browser.get(f"{SCANS}/{scan_id}").json["study"]["id"]
    )

"""Users, as an administrator and the commands make and change them; the first one."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from tests.conftest import on_both
from tests.support.resources import add_scan, make_settings, png_bytes
from tests.webapp.accounts import PASSWORD, invoke, log_in, post_form, try_password
from tests.webapp.clients import SCANS, resources_of, send, sent
from webapp.domain.accounts import passwords, users
from webapp.domain.accounts.models import User
from webapp.domain.database import ownership
from webapp.domain.scans import studies
from webapp.domain.settings import SettingsError
from webapp.process import administrators


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


@on_both
def test_what_a_user_has_who_left_is_given_to_another_by_command(app: Flask) -> None:
    ownership.act_as(None)
    invoke(app, "users", "create", "vera", "--role", "researcher", typed=PASSWORD + "\n")
    scan = sent(log_in(app, "ruth"), form={"study": "Patient 1"})
    path = f"{SCANS}/{scan['id']}"
    sent(log_in(app, "vera"), form={"study": "Patient 2"})
    ownership.act_as(None)
    assert "disable the user first" in invoke(app, "users", "adopt", "vera", "--of", "ruth")
    assert log_in(app, "vera").get(path).status_code == 404
    ownership.act_as(None)
    invoke(app, "users", "disable", "ruth")
    assert "1 scans, 1 studies" in invoke(app, "users", "adopt", "vera", "--of", "ruth")
    vera = log_in(app, "vera")
    assert vera.get(path).status_code == 200
    assert sent(vera, form={"study": "patient 1"})["study"]["id"] == scan["study"]["id"], "known by its name again"
    ownership.act_as(None)
    invoke(app, "users", "enable", "ruth")
    ruth = log_in(app, "ruth")
    assert ruth.get(path).status_code == 404
    assert sent(ruth, form={"study": "Patient 1"})["study"]["id"] != scan["study"]["id"]
    ownership.act_as(None)
    assert "no such user" in invoke(app, "users", "adopt", "vera", "--of", "nobody")


@pytest.mark.parametrize("typed", [PASSWORD + "\r\n", "\ufeff" + PASSWORD + "\r\n", PASSWORD])
def test_a_password_from_a_file_of_windows_is_what_is_typed_at_the_login(app: Flask, typed: str) -> None:
    """The end of its line was a part of it, and nobody could log in."""
    ownership.act_as(None)
    invoke(app, "users", "create", "vera", "--role", "researcher", typed=typed)
    assert log_in(app, "vera").get(SCANS).status_code == 200
    ownership.act_as(None)
    assert invoke(app, "users", "password", "vera", typed=typed) == ""
    assert log_in(app, "vera").get(SCANS).status_code == 200


@on_both
def test_studies_of_one_name_are_told_apart_when_they_come_to_one_user(app: Flask) -> None:
    """The command refused, did not say which study, and nobody but the user who had left could see theirs."""
    ownership.act_as(None)
    invoke(app, "users", "create", "vera", "--role", "researcher", typed=PASSWORD + "\n")
    long_name = "x" * 255
    names = ("Patient 1", "patient 1 (RUTH)", long_name, "Patient 9")
    scans = [sent(log_in(app, "ruth"), form={"study": name}) for name in names]
    vera = log_in(app, "vera")
    for name in ("PATIENT 1", long_name):
        study = sent(vera, form={"study": name})["study"]
        assert vera.patch(f"/api/v1/studies/{study['id']}", json={"notes": "hers", "patient": "P1"}).status_code == 200
    ruth = log_in(app, "ruth")
    for scan in scans[:2]:
        change = {"notes": "ruth's", "patient": "p1"}
        assert ruth.patch(f"/api/v1/studies/{scan['study']['id']}", json=change).status_code == 200
    ownership.act_as(None)
    invoke(app, "users", "disable", "ruth")
    said = invoke(app, "users", "adopt", "vera", "--of", "ruth")
    assert "has another: 2." in said and "in studies of both: 1." in said
    vera = log_in(app, "vera")
    listed = {study["name"]: study["id"] for study in vera.get("/api/v1/studies").json["studies"]}
    assert set(listed) == {
        *("PATIENT 1", "Patient 1 (ruth 2)", "patient 1 (RUTH)", "Patient 9", long_name, "x" * 248 + " (ruth)")
    }
    apart = vera.get(f"/api/v1/studies/{listed['Patient 1 (ruth 2)']}").json
    assert apart["notes"] == "ruth's" and [scan["id"] for scan in apart["scans"]] == [scans[0]["id"]]
    assert vera.get(f"/api/v1/studies/{listed['PATIENT 1']}").json["notes"] == "hers"
    again = sent(vera, form={"study": "patient 1 (ruth 2)"})
    assert again["study"]["id"] == listed["Patient 1 (ruth 2)"], "known by its new name"


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

"""The audit log: who did what, failed logins, and lines that were changed."""

import json
import re
import threading
import time

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text

from tests.conftest import on_both
from tests.webapp.accounts import PASSWORD, invoke, lines, log_in, try_password
from tests.webapp.clients import SCANS, resources_of, sent
from webapp.domain.accounts import audit, users
from webapp.domain.accounts.models import AuditEntry, User
from webapp.domain.database.clock import database_now
from webapp.domain.database.engine import Database


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
        (ruth, "POST api-scans.ScanCollection", None, "ok"),
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


@pytest.mark.postgres
def test_a_line_whose_number_another_takes_without_the_lock_is_written_with_the_next(postgres_url: str) -> None:
    """A process of the version before takes none; its number would cost the change that the line is of."""
    database = Database(postgres_url)
    waiting = select(func.count()).select_from(text("pg_stat_activity")).where(text("wait_event_type = 'Lock'"))
    thread = threading.Thread(target=audit.record, args=(database, audit.Event("new", "ok")))
    with database.write() as session:
        audit._append(session, audit.Event("old", "ok"))
        thread.start()
        deadline = time.monotonic() + 60
        with database.read() as other:
            while not other.scalar(waiting) and time.monotonic() < deadline:
                time.sleep(0.01)
                other.rollback()
    thread.join()
    with database.read() as session:
        assert [entry.action for entry in audit.every(session)] == ["old", "new"]
        assert audit.verify(session).broken_at is None
    database.dispose()


@on_both
def test_changes_of_several_at_once_have_each_its_line_in_one_chain(app: Flask) -> None:
    client = log_in(app, "ruth")
    scans = [sent(client, f"{number}.png")["id"] for number in range(6)]
    browsers = [log_in(app, "ruth") for _ in scans]
    answers: list[int] = []

    def change(browser: FlaskClient, scan_id: str) -> None:
        answers.append(browser.patch(f"{SCANS}/{scan_id}", json={"study": f"Study {scan_id}"}).status_code)

    threads = [threading.Thread(target=change, args=pair) for pair in zip(browsers, scans, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 6
    found = [entry.object_id for entry in lines(app) if entry.action.startswith("PATCH")]
    assert sorted(found) == sorted(scans)
    assert "Sound" in invoke(app, "audit", "verify")

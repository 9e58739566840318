"""The audit log without users, and its end: what the implicit user's requests leave, and lines that are too old."""

import io
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, func, select, update

from tests.conftest import on_both
from tests.support.resources import add_scan, make_settings, png_bytes
from tests.webapp.accounts import post_form
from tests.webapp.clients import SCANS, finish, resources_of, send, sent
from webapp.domain.accounts import audit
from webapp.domain.accounts.models import AuditEntry
from webapp.domain.database import ownership
from webapp.domain.database.clock import database_now
from webapp.domain.errors import DatabaseUnavailable
from webapp.domain.resources import Resources
from webapp.domain.scans import studies
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.settings import PROJECT_ROOT
from worker.recovery.sweeper import Sweeper


@pytest.fixture
def app(make_app: Callable[..., Flask], database_environ: dict[str, str]) -> Flask:
    """A portal without users."""
    return make_app(**database_environ)


def lines(app: Flask) -> list[AuditEntry]:
    with resources_of(app).database.read() as session:
        return list(audit.every(session))


def invoke(app: Flask, *words: str) -> str:
    return app.test_cli_runner().invoke(args=["audit", *words]).output


@on_both
def test_without_users_the_log_has_what_the_implicit_one_did_and_no_value_of_a_patient(app: Flask) -> None:
    client = app.test_client()
    scan = sent(client, "Canary^Doe.png", form={"study": "Canary study"})
    for _ in range(2):
        client.get(f"/scans/{scan['id']}")
        client.get(f"{SCANS}/{scan['id']}/scan.png")
        client.get(f"{SCANS}/{scan['id']}/original").close()
        client.get(f"{SCANS}/{'f' * 32}")
    client.get("/scans?query=canary")
    client.delete(f"{SCANS}/{scan['id']}")
    assert [(entry.user_id, entry.action, entry.object_id, entry.outcome) for entry in lines(app)] == [
        ("local", "POST api-scans.ScanCollection", None, "ok"),
        ("local", "GET scans.show", scan["id"], "200"),
        ("local", "GET api-scans.original", scan["id"], "200"),
        ("local", "GET api-scans.ScanItem", "f" * 32, "404"),
        ("local", "GET api-scans.original", scan["id"], "200"),
        ("local", "DELETE api-scans.ScanItem", scan["id"], "ok"),
    ]
    assert scan["id"] in lines(app)[0].details["ids"]
    page = client.get("/admin/audit").text
    assert page.count(f"<code>{scan['id']}</code>") == 5, "of the upload, too"
    assert "DELETE api-scans.ScanItem" in page and "<td>local</td>" in page and "kept for 365 days" in page
    exported = client.get("/admin/audit.jsonl").text + page + invoke(app, "export")
    assert "canary" not in exported.lower()
    assert invoke(app, "verify").startswith("Sound: 7 lines")
    assert 'href="/admin/audit"' in client.get("/").text


def test_a_view_whose_line_was_lost_is_written_by_the_next(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = app.test_client()
    scan = sent(client)
    real = audit.record

    def away(*_words: object, **_more: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(audit, "record", away)
    assert client.get(f"/scans/{scan['id']}").status_code == 200
    monkeypatch.setattr(audit, "record", real)
    client.get(f"/scans/{scan['id']}")
    assert [entry.action for entry in lines(app)][1:] == ["GET scans.show"]


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "application/json"])
def test_a_body_that_ended_early_is_answered_and_written_down(app: Flask, content_type: str) -> None:
    options = {"content_type": content_type, "input_stream": io.BytesIO(b"--x\r\n"), "content_length": 1000}
    for path in (SCANS, f"{SCANS}/stack"):
        assert app.test_client().post(path, **options).status_code in (400, 415, 422)
    assert [entry.outcome[0] for entry in lines(app)] == ["4", "4"]


def test_strangers_do_not_fill_the_log(make_app: Callable[..., Flask]) -> None:
    app = make_app(GLIOSCOPE_AUTH="password")
    client = app.test_client()
    for number in range(5):
        assert client.post(SCANS, json={"n": number}).status_code == 401
        assert client.post("/scans").status_code == 303
        assert client.get(f"{SCANS}/{number:032x}").status_code == 401
    ownership.act_as(None)
    assert [(entry.user_id, entry.action, entry.outcome) for entry in lines(app)] == [
        (None, "POST api-scans.ScanCollection", "401"),
        (None, "POST scans.upload", "303"),
        (None, "GET api-scans.ScanItem", "401"),
    ]


def test_a_demonstration_keeps_no_log(make_app: Callable[..., Flask]) -> None:
    app = make_app(GLIOSCOPE_AUTH="demo")
    client = app.test_client()
    assert 'href="/admin/audit"' not in client.get("/").text
    scan = sent(client)
    client.get(f"/scans/{scan['id']}")
    ownership.act_as(None)
    with resources_of(app).database.read() as session:
        assert session.scalar(select(AuditEntry)) is None
    assert client.get("/admin/audit").status_code == 404


KILLED = """
import json, os, signal, sys
from pathlib import Path
from tests.support.resources import make_settings
from webapp.factory import create_app

app = create_app(make_settings(Path(sys.argv[1])))
app.process_response = lambda response: os.kill(os.getpid(), signal.SIGKILL)  # all is committed, nothing answered
app.test_client().open(sys.argv[3], method=sys.argv[2], json=json.loads(sys.argv[4]))
"""


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "{scans}/{id}", None),
        ("PATCH", "{scans}/{id}", {"study": "Study"}),
        ("POST", "{scans}/{id}/segmentations", {"threshold": 0.4}),
    ],
)
def test_a_change_has_its_line_though_the_process_is_killed_before_it_answers(
    tmp_path: Path, empty_sqlite: Path, method: str, path: str, body: object
) -> None:
    settings = make_settings(tmp_path)
    shutil.copy(empty_sqlite, settings.instance_dir / "glioscope.sqlite3")
    resources = Resources.open(settings)
    scan_id, _ = add_scan(resources)
    words = [method, path.format(scans=SCANS, id=scan_id), json.dumps(body)]
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), *words], cwd=PROJECT_ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    with resources.database.read() as session:
        (line,) = audit.every(session)
        scan = session.get(Scan, scan_id)
        assert {
            "DELETE": scan is None,
            "PATCH": scan is not None and scan.study_id is not None,
            "POST": session.scalar(select(func.count()).select_from(Segmentation)) == 2,
        }[method], "it was changed"
    resources.close()
    assert (line.user_id, line.object_id, line.outcome) == ("local", scan_id, "ok")
    assert line.action.startswith(f"{method} api-")
    assert (method == "DELETE") or len(line.details["ids"]) == 1, "the study, or the run, that was made"


def test_a_request_that_changes_several_things_names_each_with_it(app: Flask) -> None:
    client = app.test_client()
    answer = send(client, *((f"{value}.png", png_bytes(value=value)) for value in (50, 60)), form={"group": "none"})
    scans = [scan["id"] for scan in answer.json["scans"]]
    runs = [scan["segmentation"]["id"] for scan in answer.json["scans"]]
    assert [(entry.action, entry.outcome, entry.details) for entry in lines(app)] == [
        ("POST api-scans.ScanCollection", "ok", {"ids": [scan_id]}) for scan_id in scans
    ]
    for run in runs:
        finish(resources_of(app), run)
    post_form(client, "/scans/bulk", action="rerun", scan=scans)
    entry = lines(app)[2]
    assert (entry.action, entry.outcome) == ("POST scans.bulk", "ok") and {*scans} < {*entry.details["ids"]}
    assert len(lines(app)) == 3


def test_what_changes_nothing_or_fails_has_the_status_that_it_was_answered(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = app.test_client()
    scan = sent(client, headers={"Idempotency-Key": "one"})
    sent(client, headers={"Idempotency-Key": "one"})
    assert client.patch(f"{SCANS}/{scan['id']}", json={"study": 7}).status_code == 422
    real = studies.move

    def break_after(*words: Any) -> None:
        real(*words)
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(studies, "move", break_after)
    assert client.patch(f"{SCANS}/{scan['id']}", json={"study": "Study"}).status_code == 503
    assert [(entry.action.split()[0], entry.outcome) for entry in lines(app)] == [
        ("POST", "ok"), ("POST", "202"), ("PATCH", "422"), ("PATCH", "ok"), ("PATCH", "503"),
    ]  # fmt: skip


def test_a_change_whose_line_cannot_be_written_is_not_made(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = app.test_client()
    scan = sent(client)

    def away(*_words: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(audit, "append", away)
    assert client.delete(f"{SCANS}/{scan['id']}").status_code == 503
    assert client.get(f"{SCANS}/{scan['id']}").status_code == 200


def test_a_change_and_its_line_wait_for_the_disk_once(app: Flask) -> None:
    client = app.test_client()
    scan = sent(client)
    commits: list[str] = []
    event.listen(resources_of(app).database.engine, "commit", lambda _connection: commits.append("commit"))
    assert client.patch(f"{SCANS}/{scan['id']}", json={"study": "Study"}).status_code == 200
    assert commits == ["commit"]


# ---- lines that are too old ----


def written(app: Flask, old: int, young: int) -> None:
    """So many lines, the first of them 366 days old; the chain is made over the ages that they have."""
    with resources_of(app).database.write() as session:
        for number in range(old + young):
            audit.append(session, audit.Event(f"test {number}", "ok"))
        session.execute(update(AuditEntry).where(AuditEntry.number <= old).values(at=database_now(-366 * audit.DAY_S)))
        session.expire_all()
        head = audit.START
        for entry in list(audit.every(session)):
            head = audit._digest(head, entry)
            session.execute(update(AuditEntry).where(AuditEntry.number == entry.number).values(digest=head))


@on_both
def test_old_lines_are_cut_off_and_the_rest_is_still_a_chain(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST_CUT", 3)  # several transactions
    written(app, old=5, young=4)
    before = invoke(app, "verify")
    noted = {number: f"{number}:{digest}" for number, digest in ((e.number, e.digest) for e in lines(app))}
    assert before.startswith("Sound: 9 lines. Keep")
    sweeper = Sweeper(resources_of(app))
    sweeper.purge_when_due()
    assert [(entry.number, entry.action) for entry in lines(app)][:2] == [(6, "test 5"), (7, "test 6")]
    assert [entry.details["through"] for entry in lines(app) if entry.action == audit.CUT] == [3, 5]
    said = invoke(app, "verify")
    assert said.startswith("Sound: 6 lines. Those before line 6 were cut off by their age. Keep this elsewhere: 11:")
    for number in (5, 6, 9):
        assert "Sound" in invoke(app, "verify", "--noted", noted[number])
    assert "Line 4 was cut off by its age; the log begins with line 6" in invoke(app, "verify", "--noted", noted[4])
    assert "Line 5 is not" in invoke(app, "verify", "--noted", "5:" + "0" * 64)
    # Nothing is old any more: no line about nothing.
    assert audit.cut(resources_of(app).database, 365, by="test") == 0
    assert len(lines(app)) == 6


@pytest.mark.parametrize(("missing", "broken"), [(6, 6), (7, 7), (11, 1)])
def test_a_line_that_was_taken_out_after_a_cut_is_found(app: Flask, missing: int, broken: int) -> None:
    written(app, old=5, young=5)
    assert audit.cut(resources_of(app).database, 365, by="test") == 5
    with resources_of(app).database.write() as session:
        session.delete(session.get_one(AuditEntry, missing))
    assert f"Line {broken} is not as it was written, or is missing" in invoke(app, "verify")


def test_a_log_of_old_lines_alone_ends_with_the_line_that_says_so(app: Flask) -> None:
    written(app, old=3, young=0)
    assert audit.cut(resources_of(app).database, 365, by="test") == 3
    assert [(entry.number, entry.action) for entry in lines(app)] == [(4, audit.CUT)]
    assert "Sound: 1 lines" in invoke(app, "verify")
    last = json.loads(invoke(app, "export"))
    assert re.fullmatch(r"[0-9a-f]{64}", last["details"]["digest"])


def test_with_users_nothing_is_cut_unless_it_is_set(make_app: Callable[..., Flask]) -> None:
    for environ, days in (({}, None), ({"GLIOSCOPE_AUDIT_DAYS": "30"}, 30)):
        app = make_app(GLIOSCOPE_AUTH="password", **environ)
        assert resources_of(app).settings.audit_days == days
    assert resources_of(make_app(GLIOSCOPE_AUDIT_DAYS="off")).settings.audit_days is None

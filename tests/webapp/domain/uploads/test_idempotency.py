"""Idempotency-Key: the same POST does its work once, on both databases; what is kept names nobody."""

import threading
import time
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.support.resources import png_bytes
from tests.webapp.clients import NOTHING, SCANS, finished, resources_of, send, traces
from webapp.domain.database.clock import database_now
from webapp.domain.database.engine import Database
from webapp.domain.errors import DatabaseUnavailable, KeyInUse, OutcomeUnknown
from webapp.domain.resources import Resources
from webapp.domain.uploads import idempotency
from webapp.domain.uploads.models import IdempotencyKey

KEY = {"Idempotency-Key": "0123-abc"}


def test_the_same_request_again_gets_the_first_answer(any_app: Flask) -> None:
    client = any_app.test_client()
    answers = [send(client, ("a.png", png_bytes()), headers=KEY) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["scans"][0]["id"] for answer in answers}) == 1
    assert (traces(any_app).scans, traces(any_app).segmentations) == (1, 1)


@pytest.mark.parametrize(
    ("name", "data", "form"),
    [("b.png", png_bytes(), {}), ("a.png", png_bytes(70, 70), {}), ("a.png", png_bytes(), {"threshold": "0.4"})],
    ids=["name", "bytes", "threshold"],
)
def test_another_request_under_the_key_is_422(any_app: Flask, name: str, data: bytes, form: dict[str, str]) -> None:
    client = any_app.test_client()
    send(client, ("a.png", png_bytes()), headers=KEY)
    response = send(client, (name, data), form=form, headers=KEY)
    assert (response.status_code, response.json["code"]) == (422, "idempotency_key_reused")
    assert (traces(any_app).scans, len(traces(any_app).files)) == (1, 2)


def test_a_key_whose_request_still_runs_is_409(any_app: Flask) -> None:
    client, resources = any_app.test_client(), resources_of(any_app)
    entered, release, first = threading.Event(), threading.Event(), []
    decode = resources.decoder.decode

    def slow(source, stack, **limits):
        entered.set()
        release.wait(20)
        return decode(source, stack, **limits)

    resources.decoder.decode = slow
    try:
        thread = threading.Thread(target=lambda: first.append(send(client, ("a.png", png_bytes()), headers=KEY)))
        thread.start()
        assert entered.wait(20)
        response = send(any_app.test_client(), ("a.png", png_bytes()), headers=KEY)
    finally:
        release.set()
        thread.join()
        del resources.decoder.decode
    assert (response.status_code, response.json["code"]) == (409, "idempotency_key_in_use")
    assert first[0].status_code == 202
    assert traces(any_app).scans == 1


def test_a_refused_file_keeps_its_answer_and_a_refused_value_frees_the_key(any_app: Flask) -> None:
    client = any_app.test_client()
    for _ in range(2):
        response = send(client, ("a.png", b"%PDF-1.7 no picture"), headers=KEY)
        assert (response.status_code, response.json["rejected"][0]["filename"]) == (415, "a.png")
    other = {"Idempotency-Key": "other"}
    assert send(client, ("a.png", png_bytes()), form={"model": "none-such"}, headers=other).status_code == 422
    assert send(client, ("a.png", png_bytes()), headers=other).status_code == 202


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_an_empty_or_enormous_key_is_422(app: Flask, key: str) -> None:
    response = send(app.test_client(), ("a.png", png_bytes()), headers={"Idempotency-Key": key})
    assert response.status_code == 422
    assert traces(app) == NOTHING


def test_a_run_is_started_once_under_a_key(any_app: Flask) -> None:
    client = any_app.test_client()
    path = f"{SCANS}/{finished(any_app)['id']}/segmentations"
    ids = {client.post(path, json={"threshold": 0.3}, headers=KEY).json["id"] for _ in range(3)}
    assert len(ids) == 1
    assert client.post(path, json={"threshold": 0.4}, headers=KEY).json["code"] == "idempotency_key_reused"


def test_the_answer_of_a_key_whose_scan_was_deleted_is_empty(any_app: Flask) -> None:
    client = any_app.test_client()
    scan = send(client, ("a.png", png_bytes()), headers=KEY).json["scans"][0]
    client.delete(f"{SCANS}/{scan['id']}")
    again = send(client, ("a.png", png_bytes()), headers=KEY)
    assert (again.status_code, again.json["scans"]) == (202, [])
    assert traces(any_app).files == ()


def test_kept_rows_hold_no_name_and_no_key(any_app: Flask) -> None:
    send(any_app.test_client(), ("Canary^Patient.png", png_bytes()), ("Canary.pdf", b"%PDF-1.7 none"), headers=KEY)
    with resources_of(any_app).database.read() as session:
        kept = repr(session.execute(select(IdempotencyKey.__table__)).all())
    assert "Canary" not in kept and KEY["Idempotency-Key"] not in kept


def test_two_at_once_do_the_work_once(resources: Resources) -> None:
    barrier, done, refused = threading.Barrier(8), [], []

    def work() -> dict[str, int]:
        done.append(1)
        return {"number": len(done)}

    def call() -> None:
        barrier.wait()
        try:
            idempotency.once(resources, scope="s", key="k", body_sha256="0" * 64, work=work)
        except KeyInUse:
            refused.append(1)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1


def test_a_key_is_kept_while_its_work_runs_however_long(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "ABANDONED_S", 2.0)
    monkeypatch.setattr(idempotency, "RENEW_EVERY_S", 0.05)
    done = []

    def once(work: Callable[[], None]) -> dict[str, int]:
        def count() -> dict[str, int]:
            done.append(1)
            work()
            return {"n": len(done)}

        return idempotency.once(resources, scope="s", key="k", body_sha256="0" * 64, work=count)

    def work() -> None:
        end = time.monotonic() + 1.5 * idempotency.ABANDONED_S
        while time.monotonic() < end:
            with pytest.raises(KeyInUse):
                once(lambda: None)
            time.sleep(0.1)

    assert once(work) == once(lambda: None) == {"n": 1}


def test_work_that_is_done_is_answered_also_where_the_answer_cannot_be_kept(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> dict[str, int]:
        monkeypatch.setattr(Database, "write", away)
        return {"n": 1}

    def away(_database: Database) -> None:
        raise DatabaseUnavailable("It does not answer.")

    assert idempotency.once(resources, scope="s", key="k", body_sha256="0" * 64, work=work) == {"n": 1}


def test_a_key_stays_taken_where_its_work_may_have_been_done(resources: Resources) -> None:
    def once(work: Callable[[], dict[str, int]]) -> dict[str, int]:
        return idempotency.once(resources, scope="s", key="k", body_sha256="0" * 64, work=work)

    def unknown() -> dict[str, int]:
        raise OutcomeUnknown("Look before you try again.")

    with pytest.raises(OutcomeUnknown):
        once(unknown)
    with pytest.raises(KeyInUse):
        once(lambda: {"n": 1})


@pytest.mark.parametrize(("age_s", "has_answer"), [(idempotency.ABANDONED_S, False), (idempotency.KEPT_S, True)])
def test_an_abandoned_or_old_key_is_free_again(resources: Resources, age_s: float, has_answer: bool) -> None:
    def once() -> dict[str, int]:
        return idempotency.once(resources, scope="s", key="k", body_sha256="0" * 64, work=lambda: {"n": 1})

    once()
    answer = {"n": 0} if has_answer else None
    with resources.database.write() as session:
        session.execute(update(IdempotencyKey).values(answer=answer, created_at=database_now(-age_s - 1)))
    assert once() == {"n": 1}
    with resources.database.write() as session:
        session.execute(update(IdempotencyKey).values(created_at=database_now(-idempotency.KEPT_S - 1)))
    idempotency.forget_old(resources)
    with resources.database.read() as session:
        assert session.execute(select(IdempotencyKey.id)).all() == []

"""What becomes of an evaluation when the disk, the database, the engine, the lease or a person ends a chunk."""

import errno
from dataclasses import replace

import pytest
from jinja2 import TemplateNotFound
from sqlalchemy import select, update

from ml.engines import EngineError
from ml.sandbox.launcher import Conversation, SandboxError
from tests.support.evaluations import (
    begin,
    case_rows,
    evaluation_row,
    queued_chunks,
    read_report,
    run_all,
)
from tests.support.jobs import claim, end_delays, run_chunk
from tests.support.resources import row, upload
from webapp.domain.database.clock import database_now
from webapp.domain.errors import DatabaseUnavailable, OutcomeUnknown, StorageFull
from webapp.domain.evaluations import deletion, progress, submission
from webapp.domain.evaluations.models import ChunkKind, EvaluationChunk
from webapp.domain.jobs import lifecycle
from webapp.domain.jobs.models import Status
from worker.evaluation import cases as evaluation_cases
from worker.evaluation import report as evaluation_report
from worker.recovery.orphans import delete_orphans
from worker.recovery.sweeper import Sweeper


def test_a_full_disk_puts_a_chunk_back_and_nothing_done_is_lost(runtime, resources, engine, data, monkeypatch):
    monkeypatch.setattr(evaluation_cases, "GROUP", 4)
    evaluation_id = begin(resources, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    (chunk_id,) = queued_chunks(resources, evaluation_id)
    real, calls = evaluation_cases.write_maps, []

    def full_at_the_third(*arguments: object) -> bool:
        calls.append(1)
        if len(calls) == 3:
            raise StorageFull("The storage has no room left.")
        return real(*arguments)

    monkeypatch.setattr(evaluation_cases, "write_maps", full_at_the_third)
    run_chunk(runtime, chunk_id)
    assert len(case_rows(resources, evaluation_id)) == 8
    assert queued_chunks(resources, evaluation_id) == [chunk_id]
    with resources.database.read() as session:
        waiting = session.get_one(EvaluationChunk, chunk_id)
        assert (waiting.releases, waiting.error_code) == (1, "storage_full"), "it waits, and the page says for what"
        assert progress.progress(session, evaluation_row(resources, evaluation_id)).waits_for
    end_delays(resources)
    seen = sum(engine.pieces)
    done = run_all(runtime, evaluation_id)
    assert done.status is Status.SUCCEEDED
    assert sum(engine.pieces) - seen == 7, "finished cases are not done again"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (TemplateNotFound("report.html"), Status.FAILED, "internal"),
        (FileNotFoundError(errno.ENOENT, "no such file"), Status.FAILED, "internal"),
        (OSError(errno.EAGAIN, "no process"), Status.QUEUED, "storage_unavailable"),
        (OSError(errno.ENOSPC, "no room"), Status.QUEUED, "storage_full"),
        (SandboxError("silent"), Status.QUEUED, "decoder_unavailable"),
    ],
    ids=["template", "file", "no process", "full", "sandbox"],
)
def test_an_error_inside_the_report_is_told_by_its_kind(runtime, resources, data, monkeypatch, error, status, code):
    """What waiting does not mend is not waited for."""
    evaluation_id = begin(resources, data)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(evaluation_report, "fill_folder", fail)
    for _ in range(3):
        for chunk_id in queued_chunks(resources, evaluation_id):
            run_chunk(runtime, chunk_id)
    with resources.database.read() as session:
        report = session.scalars(select(EvaluationChunk).where(EvaluationChunk.kind == ChunkKind.REPORT)).one()
    assert (report.status, report.error_code) == (status, code)
    assert resources.folders.names(0) == []


def test_a_reader_that_cannot_be_started_costs_no_case(runtime, resources, data, monkeypatch):
    evaluation_id = begin(resources, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])

    def silent(*_: object) -> None:
        raise SandboxError("silent")

    with monkeypatch.context() as patch:
        patch.setattr(Conversation, "ask", silent)
        run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    assert case_rows(resources, evaluation_id) == []
    end_delays(resources)
    assert run_all(runtime, evaluation_id).status is Status.SUCCEEDED
    assert {case.error_code for case in case_rows(resources, evaluation_id)} == {None}


def test_memory_that_runs_out_is_tried_once_more_slice_by_slice(runtime, resources, engine, data):
    evaluation_id = begin(resources, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    engine.failures = [MemoryError()]
    done = run_all(runtime, evaluation_id)
    assert done.status is Status.SUCCEEDED
    assert engine.pieces[1:] == [1] * 15


def test_an_engine_that_cannot_answer_ends_the_evaluation(runtime, resources, engine, data):
    evaluation_id = begin(resources, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    engine.failures = [EngineError("no")]
    done = run_all(runtime, evaluation_id)
    assert (done.status, done.error_code) == (Status.FAILED, "model_unavailable")


def test_a_lost_lease_writes_nothing_and_leaves_no_file(runtime, resources, engine, data):
    evaluation_id = begin(resources, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    (chunk_id,) = queued_chunks(resources, evaluation_id)

    def lose() -> None:
        with resources.database.write() as session:
            session.execute(
                update(EvaluationChunk).where(EvaluationChunk.id == chunk_id).values(lease_until=database_now(-1))
            )
            (lease,) = lifecycle.expired_leases(session, EvaluationChunk)
            lifecycle.recover(session, EvaluationChunk, lease, max_attempts=3, timeout_s=300)

    engine.before = lose
    run_chunk(runtime, chunk_id)
    engine.before = lambda: None
    assert case_rows(resources, evaluation_id) == []
    assert [key for key in resources.storage.keys(older_than_s=0) if "/cases/" in key] == []
    assert run_all(runtime, evaluation_id).status is Status.SUCCEEDED
    assert delete_orphans(resources, older_than_s=0) == 0, "every file has its row"


def test_a_chunk_that_stops_its_workers_costs_its_own_cases_alone(runtime, resources, data):
    runtime.resources = replace(resources, settings=replace(resources.settings, evaluation_chunk=5))
    evaluation_id = begin(resources, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    first, *others = queued_chunks(resources, evaluation_id)
    sweeper = Sweeper(replace(resources, settings=replace(resources.settings, heartbeat_s=1e-6)))
    for _ in range(3):
        with resources.database.write() as session:
            assert claim(session, EvaluationChunk, first, worker_id="dead", lease_s=15)
        with resources.database.write() as session:
            session.execute(
                update(EvaluationChunk).where(EvaluationChunk.id == first).values(lease_until=database_now(-1))
            )
        sweeper.sweep()
        sweeper.sweep()
    done = run_all(runtime, evaluation_id)
    assert done.status is Status.SUCCEEDED
    failed = [item for item in case_rows(resources, evaluation_id) if item.outcome == "failed"]
    assert [(item.position, item.error_code) for item in failed] == [(position, "poison") for position in range(5)]
    assert len(case_rows(resources, evaluation_id)) == 15 and others


def test_the_last_chunk_may_be_a_poisoned_one(runtime, resources, data):
    evaluation_id = begin(resources, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    (chunk_id,) = queued_chunks(resources, evaluation_id)
    sweeper = Sweeper(replace(resources, settings=replace(resources.settings, heartbeat_s=1e-6, max_attempts=1)))
    with resources.database.write() as session:
        claim(session, EvaluationChunk, chunk_id, worker_id="dead", lease_s=15)
        session.execute(
            update(EvaluationChunk).values(lease_until=database_now(-1)).where(EvaluationChunk.id == chunk_id)
        )
    sweeper.sweep()
    sweeper.sweep()
    done = run_all(runtime, evaluation_id)
    assert (done.status, done.error_code) == (Status.FAILED, "nothing_evaluated")
    assert "stopped the worker" in done.error_message


def test_a_cancelled_evaluation_keeps_what_is_done_and_does_no_more(runtime, resources, engine, data, monkeypatch):
    monkeypatch.setattr(evaluation_cases, "GROUP", 4)
    evaluation_id = begin(resources, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    (chunk_id,) = queued_chunks(resources, evaluation_id)
    calls = []

    def cancel_at_the_fourth() -> None:
        calls.append(1)
        if len(calls) == 4:  # the first group is written by now; the two after it may be
            submission.cancel(resources, evaluation_id)

    engine.before = cancel_at_the_fourth
    run_chunk(runtime, chunk_id)
    assert evaluation_row(resources, evaluation_id).status is Status.CANCELLED
    assert len(case_rows(resources, evaluation_id)) in (4, 8, 12)
    assert queued_chunks(resources, evaluation_id) == []
    run_chunk(runtime, chunk_id)
    assert delete_orphans(resources, older_than_s=0) == 0


def test_deleting_while_it_runs_leaves_nothing(runtime, resources, engine, data):
    evaluation_id = begin(resources, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    engine.before = lambda: deletion.delete(resources, evaluation_id)
    (chunk_id,) = queued_chunks(resources, evaluation_id)
    run_chunk(runtime, chunk_id)
    assert case_rows(resources, evaluation_id) == []
    assert list(resources.storage.keys(older_than_s=0)) == [] and resources.folders.names(0) == []


@pytest.mark.parametrize("write", ["complete_check", "write_cases", "complete_cases", "complete_report"])
@pytest.mark.parametrize("is_committed", [False, True], ids=["before", "after"])
def test_a_database_that_is_away_for_a_moment_costs_nothing(runtime, resources, data, monkeypatch, write, is_committed):
    """It goes away before it has committed, or after that and says nothing about it."""
    from webapp.domain.evaluations import chunks

    away = OutcomeUnknown("away") if is_committed else DatabaseUnavailable("away")
    real, failures = getattr(chunks, write), [away]

    def flaky(*arguments: object, **facts: object) -> bool:
        is_written = (is_committed or not failures) and real(*arguments, **facts)
        if failures:
            raise failures.pop()
        return is_written

    monkeypatch.setattr(chunks, write, flaky)
    evaluation_id = begin(resources, data)
    assert run_all(runtime, evaluation_id).status is Status.SUCCEEDED
    assert [case.position for case in case_rows(resources, evaluation_id)] == list(range(15))
    assert delete_orphans(resources, older_than_s=0) == 0, "every file has its row"
    assert read_report(resources, evaluation_id)


def test_an_upload_need_not_wait_for_a_chunk_to_end(runtime, resources, engine, data, monkeypatch):
    monkeypatch.setattr(evaluation_cases, "GROUP", 4)
    evaluation_id = begin(resources, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    accepted = upload(resources)
    (chunk_id,) = queued_chunks(resources, evaluation_id)
    states = []
    engine.before = lambda: states.append(row(resources, accepted.segmentation_id).status)
    run_chunk(runtime, chunk_id)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED
    assert states.count(Status.SUCCEEDED) >= 2, "it was done between two groups of cases"


def test_another_version_of_the_model_is_not_mixed_in(runtime, resources, engine, data):
    evaluation_id = begin(resources, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    engine.card = replace(engine.card, version="9.9.9")
    done = run_all(runtime, evaluation_id)
    assert (done.status, done.error_code) == (Status.FAILED, "model_unavailable")

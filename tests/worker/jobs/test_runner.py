"""Messages wake workers, workers claim rows: none is lost with a message, and none done twice."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.support.evaluations import begin, evaluation_row, queued_chunks, write_data_set
from tests.support.jobs import end_delays, run_chunk
from tests.support.resources import make_settings, row, upload
from tests.worker.jobs.conftest import lose_messages
from webapp.domain.database import migration
from webapp.domain.database.clock import database_now
from webapp.domain.errors import DatabaseUnavailable, OutcomeUnknown, StorageFull
from webapp.domain.evaluations.models import ChunkKind, EvaluationChunk
from webapp.domain.jobs import kinds
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources
from webapp.domain.scans import segmentations
from webapp.domain.scans.models import Segmentation
from worker import segmentation
from worker.jobs import runner
from worker.jobs.lease import Lease
from worker.jobs.runner import run_next
from worker.jobs.time_limit import JobTimeout
from worker.recovery.sweeper import Sweeper


@pytest.fixture
def resources(tmp_path: Path, broker: str) -> Iterator[Resources]:
    """A portal with a broker, without a worker."""
    opened = Resources.open(make_settings(tmp_path, REDIS_URL=broker, GLIOSCOPE_EVALUATION_CHUNK="4"))
    migration.upgrade(opened.settings.database_url)
    lose_messages(opened)
    yield opened
    opened.close()


def statuses(resources: Resources, ids: list[str]) -> list[Status]:
    return [row(resources, segmentation_id).status for segmentation_id in ids]


def test_a_lost_message_costs_nothing_while_a_worker_is_awake(runtime, resources, engine) -> None:
    ids = [upload(resources).segmentation_id for _ in range(3)]
    engine.before = lambda: lose_messages(resources)
    run_next(runtime)
    assert statuses(resources, ids).count(Status.SUCCEEDED) == 1
    assert resources.queue.length() == 1, "the worker published one for what is left"
    run_next(runtime)
    run_next(runtime)
    assert statuses(resources, ids) == [Status.SUCCEEDED] * 3


def test_an_idle_worker_is_woken_before_a_job_runs(runtime, resources, engine) -> None:
    for _ in range(2):
        upload(resources)
    lose_messages(resources)
    lengths = []
    engine.before = lambda: lengths.append(resources.queue.length())
    run_next(runtime)
    assert lengths == [1]


def test_a_claimed_job_is_run_though_no_worker_can_be_woken(runtime, resources, monkeypatch) -> None:
    accepted = upload(resources)

    def away(_resources: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(runner.kinds, "publish_if_ready", away)
    run_next(runtime)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED


def test_a_single_upload_leaves_no_message_behind(runtime, resources) -> None:
    upload(resources)
    lose_messages(resources)
    run_next(runtime)
    assert resources.queue.length() == 0


def test_the_sweeper_wakes_a_worker_for_a_lost_message_with_many_rows(runtime, resources) -> None:
    ids = [upload(resources).segmentation_id for _ in range(4)]
    lose_messages(resources)
    assert Sweeper(resources).sweep().has_published
    taken = 0
    while resources.queue.length():
        lose_messages(resources)  # taken by the worker
        run_next(runtime)
        taken += 1
    assert taken == 4
    assert statuses(resources, ids) == [Status.SUCCEEDED] * 4


def test_a_full_disk_delays_a_job_and_the_sweeper_wakes_a_worker_for_it(runtime, resources, monkeypatch) -> None:
    accepted = upload(resources)

    def full(*_: object) -> None:
        raise StorageFull("full")

    with monkeypatch.context() as patch:
        patch.setattr(segmentation, "write_array", full)
        run_next(runtime)
        run_next(runtime)
    lose_messages(resources)
    assert row(resources, accepted.segmentation_id).releases == 1, "it was not tried again at once"
    assert not Sweeper(resources).sweep().has_published
    end_delays(resources)
    assert Sweeper(resources).sweep().has_published
    run_next(runtime)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED


def test_a_whole_evaluation_follows_from_one_message(runtime, resources) -> None:
    data = write_data_set(resources.settings.evaluation_roots[0] / "set")
    evaluation_id = begin(resources, data)
    taken = 0
    while resources.queue.length():
        lose_messages(resources)  # taken by the worker
        run_next(runtime)
        taken += 1
    assert evaluation_row(resources, evaluation_id).status is Status.SUCCEEDED
    assert taken == 6, "a check, four chunks of 15 cases, a report"


def test_a_chunk_steps_aside_for_an_upload_and_goes_on_where_none_can_be_claimed(
    runtime, resources, engine, monkeypatch
) -> None:
    data = write_data_set(resources.settings.evaluation_roots[0] / "set")
    evaluation_id = begin(resources, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    accepted = upload(resources)
    real, failures = kinds.claim_next, [DatabaseUnavailable("away")]

    def flaky(*arguments: object) -> object:
        if failures:
            raise failures.pop()
        return real(*arguments)

    monkeypatch.setattr(runner.kinds, "claim_next", flaky)
    first, second, *_ = queued_chunks(resources, evaluation_id)
    run_chunk(runtime, first)
    assert row(resources, accepted.segmentation_id).status is Status.QUEUED
    run_chunk(runtime, second)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED
    assert len(queued_chunks(resources, evaluation_id)) == 2, "the chunk that could not step aside is done, too"


def test_a_job_that_cannot_be_read_fails_and_the_next_one_runs(runtime, resources) -> None:
    broken = begin(resources, write_data_set(resources.settings.evaluation_roots[0] / "broken"))
    run_next(runtime)
    with resources.database.write() as session:
        # As a later version may write cases: nobody here knows what the last value is.
        for chunk in session.scalars(select(EvaluationChunk).where(EvaluationChunk.kind == ChunkKind.CASES)):
            chunk.cases = [[*case, "unknown"] for case in chunk.cases]
    whole = begin(resources, write_data_set(resources.settings.evaluation_roots[0] / "whole"))
    for _ in range(20):
        run_next(runtime)
    assert evaluation_row(resources, whole).status is Status.SUCCEEDED
    failed = evaluation_row(resources, broken)
    assert (failed.status, failed.error_code) == (Status.FAILED, "internal")


def test_a_job_over_its_time_fails_by_name(runtime, resources, engine, monkeypatch) -> None:
    accepted = upload(resources)
    job = kinds.claim_next(resources, "w")
    assert job is not None
    monkeypatch.setattr(runner, "time_limit", lambda _seconds, _silence_s: real(0.2))
    from worker.jobs.time_limit import time_limit as real

    engine.before = lambda: time.sleep(20)
    runner.run(runtime, job)
    failed = row(resources, accepted.segmentation_id)
    assert (failed.status, failed.error_code) == (Status.FAILED, "timeout")
    assert failed.error_message == kinds.SEGMENTATION.messages["timeout"]


def test_a_job_whose_process_stood_still_over_its_time_is_left_to_another_attempt(
    runtime, resources, engine, monkeypatch
) -> None:
    accepted = upload(resources)
    job = kinds.claim_next(resources, "w")
    assert job is not None

    def wake() -> None:
        monkeypatch.setattr(Lease, "is_over", lambda _lease: True)
        raise JobTimeout

    engine.before = wake
    runner.run(runtime, job)
    assert row(resources, accepted.segmentation_id).status is Status.RUNNING, "until the sweeper sees its lease"


def test_a_lease_is_renewed_though_the_clock_of_the_database_went_on_for_hours(runtime, resources, engine) -> None:
    """A machine that slept wakes with its processes, and with hours between the start and now."""
    accepted = upload(resources)

    def sleep_for_hours() -> None:
        with resources.database.write() as session:
            session.execute(
                update(Segmentation).values(started_at=database_now(-36_000), lease_until=database_now(-35_985))
            )
        time.sleep(2 * resources.settings.heartbeat_s)
        assert row(resources, accepted.segmentation_id).lease_until > before

    before = row(resources, accepted.segmentation_id).created_at
    engine.before = sleep_for_hours
    run_next(runtime)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED


def test_a_result_that_was_committed_unseen_keeps_its_map(runtime, resources, monkeypatch) -> None:
    """The database went away between its commit and its answer."""
    accepted = upload(resources)
    real, failures = segmentations.complete, [OutcomeUnknown("away")]

    def committed_unseen(*arguments: object, **facts: object) -> bool:
        is_written = real(*arguments, **facts)
        if failures:
            raise failures.pop()
        return is_written

    monkeypatch.setattr(segmentations, "complete", committed_unseen)
    run_next(runtime)
    done = row(resources, accepted.segmentation_id)
    assert done.status is Status.SUCCEEDED
    assert resources.storage.exists(done.map_key)

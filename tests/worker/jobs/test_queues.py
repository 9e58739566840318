"""Uploads and evaluations have queues of their own; whoever serves both does uploads first, also within a chunk."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.evaluations import begin, evaluation_row, queued_chunks, run_all, write_data_set
from tests.support.jobs import run_chunk
from tests.support.resources import make_settings, row, upload
from tests.worker.jobs.conftest import lose_messages
from webapp.domain.database import migration
from webapp.domain.jobs import kinds, workers
from webapp.domain.jobs.broker import BATCH, INTERACTIVE, QUEUES, celery_settings, served
from webapp.domain.jobs.models import Status
from webapp.domain.monitoring import health
from webapp.domain.resources import Resources
from worker.jobs.runner import run_next
from worker.process.runtime import Runtime


@pytest.fixture
def resources(tmp_path: Path, broker: str) -> Iterator[Resources]:
    """A portal with a broker, without a worker; one thread, so that a chunk goes on by two slices."""
    opened = Resources.open(make_settings(tmp_path, REDIS_URL=broker, GLIOSCOPE_WORKER_THREADS="1"))
    migration.upgrade(opened.settings.database_url)
    lose_messages(opened)
    yield opened
    opened.close()


def serve(runtime: Runtime, jobs: str) -> None:
    """Let the worker do these jobs alone."""
    runtime.resources = replace(runtime.resources, settings=replace(runtime.resources.settings, worker_jobs=jobs))


def lengths(resources: Resources) -> dict[str, int | None]:
    return {name: resources.queue.length(name) for name in QUEUES}


def begin_evaluation(resources: Resources) -> str:
    return begin(resources, write_data_set(resources.settings.evaluation_roots[0] / "set"))


def test_each_job_is_announced_in_its_own_queue_and_again_where_the_message_was_lost(resources) -> None:
    upload(resources)
    assert lengths(resources) == {INTERACTIVE: 1, BATCH: 0}
    begin_evaluation(resources)
    assert lengths(resources) == {INTERACTIVE: 1, BATCH: 1}
    lose_messages(resources)
    assert kinds.publish_if_ready(resources)
    assert lengths(resources) == {INTERACTIVE: 1, BATCH: 1}
    assert not kinds.publish_if_ready(resources)


def test_a_worker_listens_to_the_queues_whose_jobs_it_does() -> None:
    def heard(jobs: str) -> list[str]:
        return [queue.name for queue in celery_settings("redis://x", served(jobs))["task_queues"]]

    assert heard("all") == ["glioscope", "glioscope-evaluations"], "as workers of the version before"
    assert heard("interactive") == ["glioscope"] and heard("batch") == ["glioscope-evaluations"]
    assert {kind.queue for kind in kinds.KINDS} == set(QUEUES), "every queue has jobs, and every job a queue"


def test_a_worker_of_one_queue_leaves_the_jobs_of_the_other(runtime, resources) -> None:
    accepted, evaluation_id = upload(resources), begin_evaluation(resources)
    serve(runtime, "batch")
    run_next(runtime)
    assert row(resources, accepted.segmentation_id).status is Status.QUEUED
    assert len(queued_chunks(resources, evaluation_id)) == 1, "the check is done, and queued the cases"
    run_all(runtime, evaluation_id)
    assert row(resources, accepted.segmentation_id).status is Status.QUEUED, "nor did a chunk step aside"
    other = begin(resources, resources.settings.evaluation_roots[0] / "set")
    serve(runtime, "interactive")
    run_next(runtime)
    run_next(runtime)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED
    assert evaluation_row(resources, other).status is Status.QUEUED


def test_no_chunk_starts_or_goes_on_while_an_upload_waits(runtime, resources, engine) -> None:
    evaluation_id = begin_evaluation(resources)
    run_next(runtime)
    uploads, waiting = [], []

    def submit() -> None:
        waiting.append(sum(row(resources, item).status is Status.QUEUED for item in uploads))
        if len(uploads) < 6:  # two at once, three times, each in the middle of the chunk or of an upload
            uploads.extend(upload(resources).segmentation_id for _ in range(2))

    engine.before = submit
    (chunk,) = queued_chunks(resources, evaluation_id)
    run_chunk(runtime, chunk)
    assert {row(resources, item).status for item in uploads} == {Status.SUCCEEDED}
    # Fifteen slices of the chunk, two at once, and six uploads of one slice: after a first piece all uploads in a row.
    assert engine.pieces == [2, *[1] * 6, *[2] * 6, 1]
    assert max(waiting[7:]) == 0
    # And with both ready, the upload is claimed first.
    begin(resources, resources.settings.evaluation_roots[0] / "set")
    last = upload(resources).segmentation_id
    run_next(runtime)
    assert row(resources, last).status is Status.SUCCEEDED


def test_workers_of_evaluations_alone_do_not_make_the_portal_ready(resources) -> None:
    batch = replace(resources, settings=replace(resources.settings, worker_jobs="batch"))
    workers.register_worker(batch, "b", engine="e", model="m")
    assert not health.has_worker(resources)
    with resources.database.read() as session:
        assert [workers.live_workers(session, 15, name) for name in (INTERACTIVE, BATCH, None)] == [0, 1, 1]
    workers.register_worker(resources, "a", engine="e", model="m")
    assert health.has_worker(resources)

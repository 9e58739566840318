"""Every way in which a segmentation can go wrong, and what it costs."""

import errno
import itertools
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from ml.cards import Cascade
from ml.engines import EngineError
from ml.sandbox.launcher import SandboxError
from tests.support.jobs import end_delays, run_segmentation
from tests.support.resources import row, upload
from tests.worker.segmentation.conftest import stored_files, tiff_bytes
from webapp.domain.errors import DatabaseUnavailable, NotFound, StorageFull
from webapp.domain.jobs import lifecycle
from webapp.domain.jobs.models import Status
from webapp.domain.scans import lookup, segmentations
from webapp.domain.scans.models import Segmentation
from webapp.domain.storage.keys import stack_key
from worker import segmentation
from worker.jobs.time_limit import JobTimeout


def test_progress_that_cannot_be_noted_stops_no_job(runtime, resources, monkeypatch) -> None:
    def away(*_arguments):
        raise DatabaseUnavailable("The database is away.")

    monkeypatch.setattr(segmentation, "NOTE_EVERY_S", 0.0)
    monkeypatch.setattr(segmentations, "note_progress", away)
    accepted = upload(resources, tiff_bytes(20), "stack.tif")
    run_segmentation(runtime, accepted.segmentation_id)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (EngineError("no"), "model_unavailable"),
        (JobTimeout(), "timeout"),
        (ZeroDivisionError("secret"), "internal"),
    ],
)
def test_a_failure_is_named_and_never_looks_complete(runtime, resources, engine, failure, code) -> None:
    accepted = upload(resources)
    engine.failures = [failure]
    run_segmentation(runtime, accepted.segmentation_id)
    failed = row(resources, accepted.segmentation_id)
    assert (failed.status, failed.error_code, failed.verdict) == (Status.FAILED, code, None)
    assert "secret" not in failed.error_message
    assert stored_files(resources, accepted.scan_id) == ["original", "stack.npy"]


def test_memory_that_runs_out_is_tried_once_more_in_smaller_pieces(runtime, resources, engine) -> None:
    accepted = upload(resources, tiff_bytes(10), "stack.tif")
    engine.failures = [MemoryError()]
    run_segmentation(runtime, accepted.segmentation_id)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED
    assert engine.pieces == [8] + [1] * 10
    again = segmentations.request(resources, accepted.scan_id, model="unet-vgg16-lgg", threshold=None)
    engine.failures = [MemoryError(), MemoryError()]
    run_segmentation(runtime, again)
    assert row(resources, again).error_code == "out_of_memory"


def test_pieces_of_a_stack_have_the_neighbors_that_a_cascade_asks_about(runtime, resources, engine) -> None:
    engine.card = replace(engine.card, cascade=Cascade(0.1, neighbors=1))
    accepted = upload(resources, tiff_bytes(10), "stack.tif")
    run_segmentation(runtime, accepted.segmentation_id)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED
    assert engine.pieces == [9, 3], "eight and two are asked for"
    assert len(row(resources, accepted.segmentation_id).slices) == 10


def test_a_full_disk_puts_the_job_back(runtime, resources, monkeypatch) -> None:
    accepted = upload(resources)

    def full(*_: object) -> None:
        raise StorageFull("full")

    with monkeypatch.context() as patch:
        patch.setattr(segmentation, "write_array", full)
        run_segmentation(runtime, accepted.segmentation_id)
    run_segmentation(runtime, accepted.segmentation_id)
    waiting = row(resources, accepted.segmentation_id)
    assert (waiting.status, waiting.attempt, waiting.releases) == (Status.QUEUED, 1, 1), "it waits, and is counted"
    assert waiting.error_code is None
    end_delays(resources)
    run_segmentation(runtime, accepted.segmentation_id)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 200)], ids=["missing", "cut"])
def test_a_scan_whose_stack_is_lost_fails_by_name_after_the_attempts_allowed(
    runtime, resources, damage: Callable[[Path], None]
) -> None:
    accepted = upload(resources)
    with resources.storage.local_copy(stack_key(accepted.scan_id)) as path:
        damage(path)
    for attempt in (1, 2):
        run_segmentation(runtime, accepted.segmentation_id)
        waiting = row(resources, accepted.segmentation_id)
        assert (waiting.status, waiting.attempt, waiting.releases) == (Status.QUEUED, attempt, attempt)
        end_delays(resources)
    run_segmentation(runtime, accepted.segmentation_id)
    failed = row(resources, accepted.segmentation_id)
    assert (failed.status, failed.attempt, failed.error_code) == (Status.FAILED, 3, "data_lost")
    assert "missing or damaged" in failed.error_message


def test_a_stack_that_is_away_for_a_moment_costs_an_attempt_alone(runtime, resources) -> None:
    accepted = upload(resources)
    with resources.storage.local_copy(stack_key(accepted.scan_id)) as path:
        moved = path.rename(path.with_name("moved"))
        run_segmentation(runtime, accepted.segmentation_id)
        moved.rename(path)
    end_delays(resources)
    run_segmentation(runtime, accepted.segmentation_id)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    "error",
    [StorageFull("The storage has no room left."), OSError(errno.EAGAIN, "no process"), SandboxError("silent")],
    ids=["full", "no process", "sandbox"],
)
def test_a_fault_of_the_machine_that_lasts_for_a_day_ends_the_job_by_name(runtime, resources, engine, error) -> None:
    accepted = upload(resources)
    releases = next(count for count in itertools.count() if lifecycle.has_waited_enough(count))
    assert 24 * 3600 <= sum(map(lifecycle.release_delay_s, range(releases))) < 25 * 3600
    engine.failures = [error] * 2
    run_segmentation(runtime, accepted.segmentation_id)
    assert row(resources, accepted.segmentation_id).status is Status.QUEUED
    with resources.database.write() as session:
        session.execute(update(Segmentation).values(releases=releases, not_before=None))
    run_segmentation(runtime, accepted.segmentation_id)
    failed = row(resources, accepted.segmentation_id)
    assert (failed.status, failed.error_code) == (Status.FAILED, "machine_unavailable")
    assert failed.error_message.startswith("The server could not do this for a day")
    segmentations.retry(resources, accepted.segmentation_id)
    run_segmentation(runtime, accepted.segmentation_id)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED


def test_a_step_that_hangs_is_left_when_its_lease_is_lost(runtime, resources, engine) -> None:
    """Its own limit is minutes away; nobody waits for its result any more."""
    accepted = upload(resources)

    def hang() -> None:
        segmentations.cancel(resources, accepted.segmentation_id)
        time.sleep(60)

    engine.before = hang
    began = time.monotonic()
    run_segmentation(runtime, accepted.segmentation_id)
    assert time.monotonic() - began < 20
    assert row(resources, accepted.segmentation_id).status is Status.CANCELLED


def test_a_result_waits_for_a_database_that_is_away(runtime, resources, monkeypatch) -> None:
    accepted = upload(resources)
    real, failures = segmentations.complete, [DatabaseUnavailable("away")]

    def flaky(*args: object, **values: object) -> bool:
        if failures:
            raise failures.pop()
        return real(*args, **values)

    monkeypatch.setattr(segmentations, "complete", flaky)
    run_segmentation(runtime, accepted.segmentation_id)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED


def test_a_scan_deleted_while_it_runs_leaves_nothing(runtime, resources, engine) -> None:
    accepted = upload(resources)
    engine.before = lambda: lookup.delete(resources, accepted.scan_id)
    run_segmentation(runtime, accepted.segmentation_id)
    with resources.database.read() as session, pytest.raises(NotFound):
        lookup.get(session, accepted.scan_id)
    assert list(resources.storage.keys(older_than_s=0)) == []


def test_a_run_cancelled_in_its_middle_is_discarded(runtime, resources, engine) -> None:
    accepted = upload(resources)
    engine.before = lambda: segmentations.cancel(resources, accepted.segmentation_id)
    run_segmentation(runtime, accepted.segmentation_id)
    assert row(resources, accepted.segmentation_id).status is Status.CANCELLED
    assert stored_files(resources, accepted.scan_id) == ["original", "stack.npy"]


def test_the_lease_is_renewed_while_a_long_job_runs(runtime, resources, engine) -> None:
    accepted = upload(resources)
    engine.before = lambda: time.sleep(resources.settings.lease_s + 0.3)
    run_segmentation(runtime, accepted.segmentation_id)
    done = row(resources, accepted.segmentation_id)
    assert (done.status, done.attempt) == (Status.SUCCEEDED, 1)

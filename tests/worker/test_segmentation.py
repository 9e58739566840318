"""What a worker does with a job, and with every way in which it can go wrong."""

import errno
import io
import itertools
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from sqlalchemy import update

from ml.cards import DepthRule, DoubtRule
from ml.engines import EngineError
from ml.measurements import Verdict
from ml.sandbox.launcher import SandboxError
from ml.skull import BRIGHTNESS
from tests.support import volume_files
from tests.support.jobs import end_delays, run_segmentation
from tests.support.resources import png_bytes, row, upload
from webapp.domain.errors import DatabaseUnavailable, NotFound, StorageFull
from webapp.domain.jobs import lifecycle
from webapp.domain.jobs.models import Status
from webapp.domain.scans import images, lookup, segmentations
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.storage.arrays import read_array
from webapp.domain.storage.keys import scan_prefix, stack_key
from worker import segmentation
from worker.jobs.time_limit import JobTimeout


def stored_files(resources, scan_id):
    prefix = f"{scan_prefix(scan_id)}/"
    return sorted(key.removeprefix(prefix) for key in resources.storage.keys(0) if key.startswith(prefix))


def test_a_queued_segmentation_runs_to_its_result(runtime, resources) -> None:
    accepted = upload(resources, png_bytes(64, 48))
    run_segmentation(runtime, accepted.segmentation_id)
    done = row(resources, accepted.segmentation_id)
    assert (done.status, done.verdict, done.attempt) == (Status.SUCCEEDED, Verdict.TUMOR_DETECTED, 1)
    # A quarter of the rows is bright: 12 of 48 rows of 64 pixels.
    assert (done.tumor_pixels, done.total_pixels, done.coverage_percent) == (12 * 64, 64 * 48, 25.0)
    assert done.max_probability == pytest.approx(200 / 255)
    assert set(done.timings_ms) == {"queued", "infer", "total"}
    np.testing.assert_array_equal(np.unique(read_array(resources.storage, done.map_key)), [90, 200])


def test_of_a_volume_without_skull_the_network_sees_a_rim_and_the_scan_stays_as_it_is(runtime, resources) -> None:
    shape = (64, 80, 12)
    affine = volume_files.affine_of("LPS", (3.0, 3.0, 12.0), shape)
    accepted = upload(resources, volume_files.nifti(volume_files.head(affine, shape), affine))
    run_segmentation(runtime, accepted.segmentation_id)
    done = row(resources, accepted.segmentation_id)
    found = np.asarray(read_array(resources.storage, done.map_key))
    stack = np.asarray(read_array(resources.storage, stack_key(accepted.scan_id)))
    differs = found != stack[..., 0]
    assert differs.any() and (found[differs] == BRIGHTNESS).all() and not stack[differs].any()
    assert "sequence_unchecked" in done.warnings


def test_a_second_message_for_a_finished_job_changes_nothing(runtime, resources, engine) -> None:
    accepted = upload(resources)
    run_segmentation(runtime, accepted.segmentation_id)
    run_segmentation(runtime, accepted.segmentation_id)
    assert len(engine.pieces) == 1
    assert row(resources, accepted.segmentation_id).attempt == 1


def test_a_message_for_nothing_is_no_error(runtime) -> None:
    run_segmentation(runtime, "0" * 32)


def test_another_threshold_uses_the_stored_map_and_no_network(runtime, resources, engine) -> None:
    accepted = upload(resources)
    run_segmentation(runtime, accepted.segmentation_id)
    second = segmentations.request(resources, accepted.scan_id, model=None, threshold=0.9)
    run_segmentation(runtime, second)
    third = segmentations.request(resources, accepted.scan_id, model=None, threshold=0.2)
    run_segmentation(runtime, third)
    assert len(engine.pieces) == 1
    assert [row(resources, i).verdict for i in (second, third)] == [Verdict.NO_TUMOR, Verdict.TUMOR_DETECTED]
    assert row(resources, third).coverage_percent == 100.0
    assert (
        row(resources, second).map_key
        == row(resources, third).map_key
        == row(resources, accepted.segmentation_id).map_key
    )


def tiff_bytes(slices: int) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.full((slices, 32, 32), 128, np.uint8), photometric="minisblack")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("is_out_of_distribution", "warnings"),
    [
        (None, []),
        ([False] * 10, []),
        ([True] * 5 + [False] * 5, []),
        ([True] * 4 + [False] * 4 + [True] * 2, ["unlike_training_data"]),
    ],
    ids=["no check", "none", "half", "more than half"],
)
def test_a_scan_unlike_the_training_data_is_warned_about_beside_its_verdict(
    runtime, resources, engine, is_out_of_distribution, warnings
) -> None:
    accepted = upload(resources, tiff_bytes(10), "stack.tif")
    engine.is_out_of_distribution = is_out_of_distribution
    run_segmentation(runtime, accepted.segmentation_id)
    done = row(resources, accepted.segmentation_id)
    assert (done.status, done.warnings) == (Status.SUCCEEDED, warnings)
    assert done.verdict is not None


def test_an_empty_mask_of_a_scan_that_the_model_cannot_read_is_no_all_clear(runtime, resources, engine) -> None:
    accepted = upload(resources, tiff_bytes(1), "gray.tif")
    engine.is_out_of_distribution = [True]
    run_segmentation(runtime, accepted.segmentation_id)
    assert row(resources, accepted.segmentation_id).verdict is Verdict.NOT_ASSESSED


def test_what_the_mask_does_not_count_makes_a_verdict_uncertain(runtime, resources, engine) -> None:
    engine.card = replace(engine.card, threshold=0.5, min_tumor_pixels=4096, doubt=DoubtRule(0.2, 64))
    pixels = np.zeros((3, 256, 256), np.uint8)
    pixels[:, 250:, 250:] = 9  # so that no slice is of one color
    pixels[1, 40:60, 40:60] = 150  # above the threshold, below the smallest area
    pixels[2, 100:110, 100:110] = 120
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="minisblack")
    accepted = upload(resources, buffer.getvalue(), "doubt.tif")
    with resources.database.write() as session:
        session.get_one(Segmentation, accepted.segmentation_id).threshold = 0.5
    run_segmentation(runtime, accepted.segmentation_id)
    done = row(resources, accepted.segmentation_id)
    assert (done.verdict, done.tumor_pixels) == (Verdict.UNCERTAIN, 0)
    assert done.doubt_rule == {"threshold": 0.2, "min_pixels": 64}
    assert done.doubt is not None
    assert (done.doubt["slice"], done.doubt["pixels"], done.doubt["regions"]) == (1, 400, 2)


def test_a_running_stack_says_how_many_slices_are_done(runtime, resources, engine, monkeypatch) -> None:
    monkeypatch.setattr(segmentation, "NOTE_EVERY_S", 0.0)
    accepted = upload(resources, tiff_bytes(20), "stack.tif")
    seen, infer = [], engine.infer

    def watched(pixels):
        seen.append(row(resources, accepted.segmentation_id).slices_done)
        return infer(pixels)

    monkeypatch.setattr(engine, "infer", watched)
    run_segmentation(runtime, accepted.segmentation_id)
    assert seen == [None, 8, 16]
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED


def test_progress_that_cannot_be_noted_stops_no_job(runtime, resources, monkeypatch) -> None:
    def away(*_arguments):
        raise DatabaseUnavailable("The database is away.")

    monkeypatch.setattr(segmentation, "NOTE_EVERY_S", 0.0)
    monkeypatch.setattr(segmentations, "note_progress", away)
    accepted = upload(resources, tiff_bytes(20), "stack.tif")
    run_segmentation(runtime, accepted.segmentation_id)
    assert row(resources, accepted.segmentation_id).status is Status.SUCCEEDED


def test_the_rule_for_stacks_says_where_it_dropped_something(runtime, resources, engine) -> None:
    engine.card = replace(engine.card, min_tumor_pixels=4, doubt=DoubtRule(0.2, 4), depth=DepthRule(0.1), crops=())
    pixels = np.zeros((3, 256, 256), np.uint8)
    pixels[:, 40:80, 40:80] = 250
    pixels[1, 200:206, 200:206] = 250
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="minisblack")
    accepted = upload(resources, buffer.getvalue(), "depth.tif")
    run_segmentation(runtime, accepted.segmentation_id)
    done = row(resources, accepted.segmentation_id)
    assert done.slices is not None
    assert [item["tumor_pixels"] for item in done.slices] == [1600, 1600, 1600]
    assert [item["dropped"] for item in done.slices] == [[], [[200, 200]], []]
    with resources.database.read() as session:
        scan = session.get_one(Scan, accepted.scan_id)
        wanted = images.source(session, scan, kind="mask", slice_index=1, segmentation_id=None)
    mask = np.asarray(Image.open(io.BytesIO(images.render(resources, wanted, "mask"))))
    assert int((mask > 0).sum()) == 1600


NAN = float("nan")


@pytest.mark.parametrize(
    ("log_odds", "warnings", "verdict"),
    [
        ([(2.0, NAN)] * 10, ["not_flair"], Verdict.NOT_ASSESSED),
        ([(4.5, NAN)] * 10, ["not_flair", "plainly_not_flair"], Verdict.NOT_ASSESSED),
        ([(NAN, 2.0)] * 10, ["channel_order"], Verdict.NOT_ASSESSED),
        ([(-2.0, NAN)] * 6 + [(3.5, NAN)] * 4, ["mixed_sequences"], Verdict.NOT_ASSESSED),
        ([(0.5, NAN)] * 10, [], Verdict.NO_TUMOR),
        ([(2.0, NAN)] * 4 + [(NAN, NAN)] * 6, [], Verdict.NO_TUMOR),
        ([(4.0, NAN)] + [(NAN, NAN)] * 9, ["not_flair"], Verdict.NOT_ASSESSED),
        ([(NAN, NAN)] * 10, [], Verdict.NO_TUMOR),
    ],
    ids=[
        "another sequence",
        "plainly another",
        "another order",
        "two sequences",
        "FLAIR",
        "too few slices for the stacks' limit",
        "one tells",
        "none tells",
    ],
)
def test_a_scan_of_another_sequence_is_no_all_clear(runtime, resources, engine, log_odds, warnings, verdict) -> None:
    accepted = upload(resources, tiff_bytes(10), "stack.tif")
    engine.sequence_log_odds = list(log_odds)
    run_segmentation(runtime, accepted.segmentation_id)
    second = segmentations.request(resources, accepted.scan_id, model=None, threshold=0.9)
    run_segmentation(runtime, second)
    done = row(resources, second)
    assert (done.warnings, done.verdict) == (warnings, verdict)
    assert row(resources, accepted.segmentation_id).warnings == warnings


@pytest.mark.parametrize(
    ("kind", "log_odds", "warnings", "verdict"),
    [
        ("t1", -2.0, ["not_flair", "plainly_not_flair"], Verdict.NOT_ASSESSED),
        ("flair", 3.9, [], Verdict.TUMOR_DETECTED),
        ("flair", 4.1, ["not_flair"], Verdict.TUMOR_DETECTED),
        (None, 3.9, ["not_flair"], Verdict.TUMOR_DETECTED),
        (None, 4.1, ["not_flair", "plainly_not_flair"], Verdict.NOT_ASSESSED),
    ],
    ids=["says T1", "says FLAIR", "says FLAIR and is plainly not", "doubtful", "plainly not"],
)
def test_what_a_scan_says_of_itself_outweighs_what_its_pictures_look_like(
    runtime, resources, engine, kind, log_odds, warnings, verdict
) -> None:
    accepted = upload(resources, tiff_bytes(10), "stack.tif")
    with resources.database.write() as session:
        session.execute(update(Scan).values(sequence=kind and {"kind": kind, "source": "header"}))
        session.execute(update(Segmentation).values(threshold=0.4))
    engine.sequence_log_odds = [(log_odds, NAN)] * 10
    run_segmentation(runtime, accepted.segmentation_id)
    done = row(resources, accepted.segmentation_id)
    assert (done.warnings, done.verdict) == (warnings, verdict)
    assert done.tumor_pixels > 0, "the mask stays, whatever the verdict"
    second = segmentations.request(resources, accepted.scan_id, model=None, threshold=0.2)
    run_segmentation(runtime, second)
    assert row(resources, second).verdict is verdict


def test_a_model_that_does_not_read_flair_is_told_nothing_of_it(runtime, resources, engine) -> None:
    accepted = upload(resources, tiff_bytes(10), "stack.tif")
    with resources.database.write() as session:
        session.execute(update(Scan).values(sequence={"kind": "t1", "source": "header"}))
        session.execute(update(Segmentation).values(threshold=0.4))
    engine.card = replace(engine.card, input=replace(engine.card.input, channels=("T1",) * 3))
    run_segmentation(runtime, accepted.segmentation_id)
    assert row(resources, accepted.segmentation_id).verdict is Verdict.TUMOR_DETECTED


def test_another_threshold_loads_no_engine(runtime, resources, monkeypatch) -> None:
    accepted = upload(resources)
    run_segmentation(runtime, accepted.segmentation_id)

    def load(model: str) -> None:
        raise AssertionError(f"{model} was loaded")

    monkeypatch.setattr(runtime, "engine", load)
    second = segmentations.request(resources, accepted.scan_id, model=None, threshold=0.9)
    run_segmentation(runtime, second)
    done, first = row(resources, second), row(resources, accepted.segmentation_id)
    assert (done.status, done.engine) == (Status.SUCCEEDED, "brightness")
    assert (done.model_version, done.min_tumor_pixels) == (first.model_version, first.min_tumor_pixels)


def test_another_threshold_keeps_the_warning_of_its_map(runtime, resources, engine) -> None:
    accepted = upload(resources)
    engine.is_out_of_distribution = [True]
    run_segmentation(runtime, accepted.segmentation_id)
    second = segmentations.request(resources, accepted.scan_id, model=None, threshold=0.9)
    run_segmentation(runtime, second)
    assert row(resources, second).warnings == ["unlike_training_data"]


def test_slices_that_the_first_look_answered_alone_are_named_also_at_another_threshold(
    runtime, resources, engine
) -> None:
    accepted = upload(resources, tiff_bytes(3), "stack.tif")
    engine.is_first_look = [True, False, True]
    run_segmentation(runtime, accepted.segmentation_id)
    second = segmentations.request(resources, accepted.scan_id, model=None, threshold=0.9)
    run_segmentation(runtime, second)
    for run in (accepted.segmentation_id, second):
        assert [item["is_first_look"] for item in row(resources, run).slices] == [True, False, True]


def test_a_named_model_runs_the_network_again(runtime, resources, engine) -> None:
    accepted = upload(resources)
    run_segmentation(runtime, accepted.segmentation_id)
    again = segmentations.request(resources, accepted.scan_id, model="unet-vgg16-lgg", threshold=None)
    run_segmentation(runtime, again)
    assert len(engine.pieces) == 2


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

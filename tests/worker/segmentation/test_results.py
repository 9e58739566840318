"""What a worker does with a segmentation: network or stored map, progress, rules, the row."""

import io
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image
from sqlalchemy import update

from ml.cards import DepthRule, DoubtRule
from ml.measurements import Verdict
from ml.skull import BRIGHTNESS
from tests.support import volume_files
from tests.support.jobs import run_segmentation
from tests.support.resources import png_bytes, row, upload
from tests.worker.segmentation.conftest import tiff_bytes
from webapp.domain.database.clock import database_now
from webapp.domain.jobs.models import Status
from webapp.domain.monitoring import statistics
from webapp.domain.scans import images, segmentations
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.storage.arrays import read_array
from webapp.domain.storage.keys import stack_key
from worker import segmentation


def test_a_queued_segmentation_runs_to_its_result(runtime, resources) -> None:
    accepted = upload(resources, png_bytes(64, 48))
    run_segmentation(runtime, accepted.segmentation_id)
    done = row(resources, accepted.segmentation_id)
    assert (done.status, done.verdict, done.attempt) == (Status.SUCCEEDED, Verdict.TUMOR_DETECTED, 1)
    # A quarter of the rows is bright: 12 of 48 rows of 64 pixels.
    assert (done.tumor_pixels, done.total_pixels, done.coverage_percent) == (12 * 64, 64 * 48, 25.0)
    assert done.max_probability == pytest.approx(200 / 255)
    assert set(done.timings_ms) == {"queued", "infer", "store", "total"}
    np.testing.assert_array_equal(np.unique(read_array(resources.storage, done.map_key)), [90, 200])


def test_a_run_that_is_tried_again_counts_no_time_before_that(runtime, resources) -> None:
    accepted = upload(resources, png_bytes(64, 48))
    segmentations.cancel(resources, accepted.segmentation_id)
    with resources.database.write() as session:
        long_ago = {"created_at": database_now(-3 * 86_400.0)}
        session.execute(update(Segmentation).where(Segmentation.id == accepted.segmentation_id).values(long_ago))
    segmentations.retry(resources, accepted.segmentation_id)
    assert statistics.read(resources).queue_age_s < 86_400
    run_segmentation(runtime, accepted.segmentation_id)
    done = row(resources, accepted.segmentation_id)
    assert done.status is Status.SUCCEEDED
    assert done.timings_ms["queued"] < done.timings_ms["total"] < 86_400_000


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


def test_a_running_stack_says_how_many_slices_are_done(runtime, resources, engine, monkeypatch) -> None:
    monkeypatch.setattr(segmentation, "NOTE_EVERY_S", 0.0)
    accepted = upload(resources, tiff_bytes(20), "stack.tif")
    seen, infer = [], engine.infer

    def watched(pixels, context):
        seen.append(row(resources, accepted.segmentation_id).slices_done)
        return infer(pixels, context)

    monkeypatch.setattr(engine, "infer", watched)
    run_segmentation(runtime, accepted.segmentation_id)
    assert seen == [None, 8, 16]
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


def test_a_threshold_for_whose_map_another_package_is_installed_by_now_is_read_anew(
    runtime, resources, engine, monkeypatch
) -> None:
    accepted = upload(resources)
    run_segmentation(runtime, accepted.segmentation_id)
    second = segmentations.request(resources, accepted.scan_id, model=None, threshold=0.9)
    segmentations.cancel(resources, second)
    card_of = resources.catalog.card
    engine.card = replace(engine.card, version="9.9")
    monkeypatch.setattr(resources.catalog, "card", lambda name=None: replace(card_of(name), version="9.9"))
    segmentations.retry(resources, second)
    run_segmentation(runtime, second)
    first, done = row(resources, accepted.segmentation_id), row(resources, second)
    assert (done.status, done.model_version, len(engine.pieces)) == (Status.SUCCEEDED, "9.9", 2)
    assert done.map_key != first.map_key and first.model_version != "9.9"

    third = segmentations.request(resources, accepted.scan_id, model=None, threshold=0.2)
    run_segmentation(runtime, third)
    assert row(resources, third).map_key == done.map_key and len(engine.pieces) == 2


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

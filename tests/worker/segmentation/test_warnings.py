"""Warnings and verdicts of scans that the model was not made for."""

import io
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from sqlalchemy import update

from ml.cards import DoubtRule
from ml.measurements import Verdict
from tests.support.jobs import run_segmentation
from tests.support.resources import row, upload
from tests.worker.segmentation.conftest import tiff_bytes
from webapp.domain.jobs.models import Status
from webapp.domain.scans import segmentations
from webapp.domain.scans.models import Scan, Segmentation


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


def test_a_mark_on_a_picture_that_is_no_slice_of_a_head_is_no_finding(runtime, resources, engine) -> None:
    accepted = upload(resources, tiff_bytes(10), "photographs.tif")
    engine.card = replace(engine.card, threshold=0.0, min_tumor_pixels=0)
    engine.is_out_of_distribution, engine.is_bright = [True] * 10, [True] * 4 + [False] * 4 + [True] * 2
    run_segmentation(runtime, accepted.segmentation_id)
    done = row(resources, accepted.segmentation_id)
    assert (done.verdict, done.warnings) == (Verdict.NOT_ASSESSED, ["unlike_training_data", "bright_background"])


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
        ("flair", 2.4, [], Verdict.TUMOR_DETECTED),
        ("flair", 2.6, ["not_flair"], Verdict.TUMOR_DETECTED),
        (None, 2.4, ["not_flair"], Verdict.TUMOR_DETECTED),
        (None, 2.6, ["not_flair", "plainly_not_flair"], Verdict.NOT_ASSESSED),
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

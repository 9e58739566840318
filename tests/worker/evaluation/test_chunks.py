"""An evaluation by workers gives the numbers of the command line, each case once, and a name to every fault."""

import csv
import io
import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ml.cards import DepthRule, DoubtRule
from ml.datasets import list_cases
from ml.evaluation.report import Settings, headline, make_report
from ml.evaluation.run import evaluate_cases
from ml.metrics.intervals import DEFAULT_SEED
from ml.reports.folder import write_results
from tests.support.evaluations import (
    begin,
    case_rows,
    evaluation_row,
    queued_chunks,
    read_report,
    run_all,
    slice_pixels,
    square,
    write_data_set,
    write_slice,
)
from tests.support.jobs import run_chunk
from tests.support.reports import TITLE
from webapp.domain.evaluations import chunks
from webapp.domain.evaluations.maps import read_maps
from webapp.domain.jobs.models import Status
from webapp.domain.storage.keys import report_key
from worker.evaluation import cases as worker_cases


def without_times(report: dict) -> dict:
    report["summary"].pop("slices_per_second")
    assert report.pop("title")["data_set"] == "set"
    return report


def rows_without_times(text: str) -> list[dict]:
    return [{**row, "seconds": bool(row["seconds"])} for row in csv.DictReader(io.StringIO(text, newline=""))]


def test_the_checks_of_two_evaluations_have_one_server(runtime, resources, data):
    servers = []
    for _ in range(2):
        assert run_all(runtime, begin(resources, data)).status is Status.SUCCEEDED
        servers.append(runtime.file_checker.server_pid)
    assert servers[0] is not None and servers[1] == servers[0]


def test_a_group_is_written_while_the_engine_works_on_the_next(runtime, resources, engine, data, monkeypatch):
    monkeypatch.setattr(worker_cases, "GROUP", 5)
    is_third_begun, waited, write_cases = threading.Event(), [], chunks.write_cases

    def begin_slices():
        if sum(engine.pieces) > 10:
            is_third_begun.set()

    def write(*args):
        waited.append(is_third_begun.wait(30))
        return write_cases(*args)

    engine.before = begin_slices
    monkeypatch.setattr(chunks, "write_cases", write)
    evaluation_id = begin(resources, data)
    assert run_all(runtime, evaluation_id).status is Status.SUCCEEDED
    assert waited == [True] * 3 and len(case_rows(resources, evaluation_id)) == 15


@pytest.mark.parametrize("has_depth", [False, True])
@pytest.mark.parametrize("size", [1, 4, 7, 64])
def test_numbers_are_those_of_the_command_line_whatever_the_chunks(
    runtime, resources, engine, data, size, has_depth, tmp_path, monkeypatch
):
    if has_depth:
        engine.card = replace(engine.card, doubt=DoubtRule(0.35, 400), depth=DepthRule(0.3))
        monkeypatch.setattr(resources.catalog, "card", lambda name: engine.card)
    runtime.resources = replace(resources, settings=replace(resources.settings, evaluation_chunk=size))
    evaluation_id = begin(resources, data)
    done = run_all(runtime, evaluation_id)
    assert (done.status, done.case_count, done.has_truth) == (Status.SUCCEEDED, 15, True), done.error_message
    outcome = evaluate_cases(engine, list_cases(data), engine.card.threshold)
    report = make_report(engine, outcome, Settings(engine.card.threshold, False, DEFAULT_SEED))
    write_results(tmp_path / "out", engine, report, TITLE)
    ours, theirs = (
        json.loads(read_report(resources, evaluation_id)),
        json.loads((tmp_path / "out/report.json").read_text()),
    )
    assert without_times(ours) == without_times(theirs)
    assert read_report(resources, evaluation_id, "patients.csv") == (tmp_path / "out/patients.csv").read_text()
    metrics = rows_without_times(read_report(resources, evaluation_id, "metrics.csv"))
    assert metrics == rows_without_times((tmp_path / "out/metrics.csv").read_text())
    for path in (tmp_path / "out").rglob("*"):
        if path.suffix in (".svg", ".png"):
            name = path.relative_to(tmp_path / "out").as_posix()
            with resources.storage.open(report_key(evaluation_id, done.report_attempt, name)) as stored:
                assert stored.read() == path.read_bytes(), name
    assert done.headline == ours["headline"]
    dropped = [item.dropped for item in case_rows(resources, evaluation_id)]
    assert any(dropped) == has_depth


def test_findings_of_the_check_are_kept_and_a_bad_file_is_one_failed_row(runtime, resources, data):
    (data / "patient_0" / "p0_001.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    Image.fromarray(np.ones((16, 16), dtype=bool)).save(data / "patient_1" / "p1_000_mask.png")
    (data / "patient_2" / "p2_000_mask.png").unlink()
    evaluation_id = begin(resources, data)
    done = run_all(runtime, evaluation_id)
    assert (done.status, done.case_count) == (Status.SUCCEEDED, 14)
    assert done.findings["counts"] == {"missing_mask": 1, "unequal_size": 1, "unreadable_image": 1}
    failed = [item for item in case_rows(resources, evaluation_id) if item.outcome == "failed"]
    assert [item.image for item in failed] == ["patient_0/p0_001.png", "patient_1/p1_000.png"]
    assert "cannot be read" in failed[0].error_message and "its mask 16 x 16" in failed[1].error_message
    assert "2 of 14 slices could not be used" in done.headline


def test_doubtful_masks_are_found_and_stand_in_the_headline(runtime, resources, engine, data):
    Image.fromarray(~square(8, 8, 14)).save(data / "patient_0" / "p0_000_mask.png")
    evaluation_id = begin(resources, data)
    done = run_all(runtime, evaluation_id)
    report = make_report(
        engine,
        evaluate_cases(engine, list_cases(data), engine.card.threshold),
        Settings(engine.card.threshold, False, DEFAULT_SEED),
    )
    assert done.headline == headline(report) and "most of the slice covered: 1" in done.headline
    assert done.findings["is_sound"] and done.findings["warning_counts"]["mask_covers_slice"] == 1
    named = [warning["files"] for warning in done.findings["warnings"] if warning["code"] == "mask_covers_slice"]
    assert named == [["patient_0/p0_000_mask.png"]]
    assert done.summary["doubtful_masks"] == done.findings["doubtful_masks"]["slices"]


def test_slices_without_masks_get_verdicts_alone(runtime, resources, tmp_path):
    folder = write_data_set(resources.settings.evaluation_roots[0] / "bare", has_masks=False)
    evaluation_id = begin(resources, folder, threshold=0.5)
    done = run_all(runtime, evaluation_id)
    assert (done.status, done.has_truth) == (Status.SUCCEEDED, False)
    assert (done.findings["analysis"]["slices"], done.findings["analysis"]["empty_masks"]) == (15, 0)
    assert done.findings["counts"] == {}
    cases = case_rows(resources, evaluation_id)
    assert {item.outcome.value for item in cases} == {"tumor_detected", "no_tumor"}
    assert all(item.dice is None and not item.has_truth for item in cases)
    assert done.headline.startswith("Tumor detected in 9 of 15 slices, in 3 of 3 patients; there are no expert masks")
    metrics = list(csv.DictReader(io.StringIO(read_report(resources, evaluation_id, "metrics.csv"))))
    assert metrics[0]["dice"] == "" and metrics[0]["predicted_pixels"] == "196"


def test_maps_and_truths_are_kept_beside_the_history(runtime, resources, data):
    from webapp.domain.scans import history
    from webapp.domain.scans.history import HistoryFilter

    evaluation_id = begin(resources, data)
    run_all(runtime, evaluation_id)
    first = case_rows(resources, evaluation_id)[0]
    probability_u8, truth = read_maps(resources, first.map_key, 0)
    assert np.array_equal(probability_u8, slice_pixels(1, 8, 8, 14)[..., 0])
    assert np.array_equal(truth, square(8, 8, 14))
    with resources.database.read() as session:
        assert history.page(session, HistoryFilter()).rows == []


def test_files_that_change_or_vanish_after_the_check_are_named(runtime, resources, data):
    evaluation_id = begin(resources, data)
    run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
    write_slice(data, "patient_0", "p0_000", slice_pixels(99, 0, 0, 9), None)
    (data / "patient_1" / "p1_000.png").unlink()
    write_slice(data, "patient_9", "new", slice_pixels(98, 0, 0, 9), square(0, 0, 9))
    done = run_all(runtime, evaluation_id)
    failed = {item.image: item.error_code for item in case_rows(resources, evaluation_id) if item.outcome == "failed"}
    assert failed == {"patient_0/p0_000.png": "changed", "patient_1/p1_000.png": "unreadable"}
    assert (done.status, done.case_count) == (Status.SUCCEEDED, 15)


def test_links_that_lead_out_are_not_followed(runtime, resources, data, tmp_path):
    secret = write_slice(tmp_path / "elsewhere", "x", "secret", slice_pixels(1, 0, 0, 9), square(0, 0, 9))
    (data / "patient_0" / "linked.png").symlink_to(secret)
    (data / "patient_0" / "linked_mask.png").symlink_to(secret.with_name("secret_mask.png"))
    evaluation_id = begin(resources, data)
    check, *_ = queued_chunks(resources, evaluation_id)
    run_chunk(runtime, check)
    later = data / "patient_1" / "p1_002.png"
    later.unlink()
    later.symlink_to(secret)
    run_all(runtime, evaluation_id)
    failed = {
        item.image: item.error_message for item in case_rows(resources, evaluation_id) if item.outcome == "failed"
    }
    assert set(failed) == {"patient_0/linked.png", "patient_1/p1_002.png"}
    codes = {item.error_code for item in case_rows(resources, evaluation_id) if item.outcome == "failed"}
    assert codes == {"outside_roots"}
    assert all("leads out of the allowed roots" in message for message in failed.values())
    assert evaluation_row(resources, evaluation_id).findings["counts"] == {"outside_roots": 1}


def test_a_folder_that_is_a_link_out_ends_the_evaluation(runtime, resources, data, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (data / "patient_x").symlink_to(tmp_path / "elsewhere")
    done = run_all(runtime, begin(resources, data))
    assert (done.status, done.error_code) == (Status.FAILED, "outside_roots")


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda folder: folder.mkdir(), "no_images"),
        (lambda folder: (folder / "a" / "b").mkdir(parents=True), "no_images"),
        (lambda folder: write_slice(folder, "p", "x_mask", slice_pixels(1, 0, 0, 9), None), "no_images"),
        (lambda folder: (folder.mkdir(), (folder / "_annotations.coco.json").write_text("[")), "bad_annotations"),
    ],
)
def test_a_folder_without_a_data_set_is_a_named_end(runtime, resources, make, code):
    resources.settings.evaluation_roots[0].mkdir(parents=True)
    folder = resources.settings.evaluation_roots[0] / "empty"
    make(folder)
    done = run_all(runtime, begin(resources, folder))
    assert (done.status, done.error_code) == (Status.FAILED, code)


def test_nothing_readable_is_a_named_end(runtime, resources):
    folder = resources.settings.evaluation_roots[0] / "bad"
    write_slice(folder, "p", "a", slice_pixels(1, 0, 0, 9), square(0, 0, 9)).write_bytes(b"nothing")
    done = run_all(runtime, begin(resources, folder))
    assert (done.status, done.error_code) == (Status.FAILED, "nothing_evaluated")

"""An evaluation of five slices whose figures were worked out by hand."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ml.cards import Cascade, DepthRule, DoubtRule
from ml.datasets import list_cases
from ml.datasets.loading import load_case
from ml.engines.ensemble import EnsembleEngine
from ml.evaluation.report import Settings, headline, make_report, summary_of
from ml.evaluation.run import evaluate_cases, score_cases
from ml.ood.sequences import SequenceEvidence
from ml.reports.csv import SLICE_COLUMNS
from ml.reports.folder import write_results
from ml.reports.json import json_text, report_document
from tests.ml.evaluation.conftest import CARD, SIDE, FakeEngine, square, write_case
from tests.support.level_engine import LevelEngine
from tests.support.reports import TITLE

SETTINGS = Settings(threshold=0.5, has_tta=False, seed=1)


def evaluate(engine, folder, chunk=16):
    outcome = evaluate_cases(engine, list_cases(folder), SETTINGS.threshold, chunk=chunk)
    return make_report(engine, outcome, SETTINGS)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_summary_of_five_slices(engine, data):
    summary = summary_of(evaluate(engine, data))
    # Patient one: 64 + 32 pixels right, 64 + 64 + 16 marked, 128 true; patient two: 16 missed.
    assert summary["patient_dice_mean"] == pytest.approx(2 * 96 / (144 + 128) / 2, abs=1e-6)
    assert summary["patient_dice_median"] == summary["patient_dice_mean"]
    assert summary["slice_dice_mean"] == 0.5  # 1, 0.5, 0; tumor-free slices do not enter
    assert summary["slice_iou_mean"] == pytest.approx((1 + 1 / 3 + 0) / 3, abs=1e-6)
    assert summary["precision"] == summary["recall"] == 0.5
    assert summary["pixel_accuracy"] == pytest.approx(1 - (32 + 32 + 16 + 16) / (5 * SIDE * SIDE), abs=1e-6)
    assert summary["slice_sensitivity"] == pytest.approx(2 / 3, abs=1e-6)
    assert summary["slice_specificity"] == 0.5
    assert summary["slice_auc"] == pytest.approx(5 / 6, abs=1e-6)  # 255, 200, 100 against 180, 0
    assert summary["hd95_median"] == 4
    assert (summary["patients"], summary["slices"], summary["tumor_slices"]) == (2, 5, 3)
    assert summary["patient_dice_ci95"] == [0, pytest.approx(2 * 96 / (144 + 128), abs=1e-6)]


class DepthEngine(FakeEngine):
    card = replace(FakeEngine.card, doubt=DoubtRule(0.2, 4), depth=DepthRule(0.5))


def test_a_model_with_depth_looks_at_a_patients_slices_together_whatever_the_pieces(tmp_path):
    big, small, faint = square(2, 2, 12), square(20, 20, 5), square(20, 20, 5, value=100)
    for number in (2, 1, 3):
        write_case(tmp_path, "one", f"one_{number}", big, big)
    write_case(tmp_path, "one", "one_5", small, square(0, 0, 0))  # a gap: a stack of its own, so nothing is larger
    write_case(tmp_path, "two", "two_1", np.maximum(big, small), big)
    write_case(tmp_path, "two", "two_2", small, small)  # below the larger one's square, not touching it
    write_case(tmp_path, "two", "two_3", faint, small)
    for chunk in (1, 2, 16):
        results = evaluate_cases(DepthEngine(), list_cases(tmp_path), 0.5, chunk=chunk).scores
        assert [score.case.name for score in results] == [f"one_{n}" for n in (1, 2, 3, 5)] + [
            f"two_{n}" for n in (1, 2, 3)
        ]
        assert [score.metrics["predicted_pixels"] for score in results] == [144, 144, 144, 25, 144, 0, 0]
        assert [score.metrics["doubtful_pixels"] for score in results] == [0, 0, 0, 0, 25, 25, 25]
        assert [score.dropped for score in results] == [(), (), (), (), ((20, 20),), ((20, 20),), ()]
    report = make_report(DepthEngine(), evaluate_cases(DepthEngine(), list_cases(tmp_path), 0.5), SETTINGS)
    summary = summary_of(report)
    assert (summary["slice_sensitivity"], summary["slice_sensitivity_with_uncertain"]) == (pytest.approx(4 / 6), 1)
    assert (report.uncertain.tumor, report.uncertain.tumor_free) == (2, 0)
    # By a slice's own threshold: the faint one has a mask at 100 of 255, the false alarm at 255.
    assert [score.metrics["verdict_probability"] for score in report.outcome.scores][-1] == pytest.approx(100 / 255)


def test_a_cascade_knows_a_slices_neighbors_whatever_the_pieces_and_the_order_of_the_files(tmp_path):
    card = replace(CARD, cascade=Cascade(0.1, neighbors=1))
    nothing, faint = square(0, 0, 0), square(20, 20, 5, value=30)
    shown = {"one_8": faint, "two_1": faint, "two_12": faint}
    names = [f"one_{n}" for n in (7, 8, 9, 10, 11)] + ["one_20"] + [f"two_{n}" for n in (1, 2, 3, 10, 11, 12)]
    for name in names:  # by name one_10 stands before one_7
        write_case(tmp_path, name[:3], name, shown.get(name, nothing), nothing)
    (tmp_path / "two" / "two_11.png").write_bytes(b"no picture")
    cases = sorted(list_cases(tmp_path), key=lambda case: (case.patient, case.name))
    for chunk in (1, 2, 16):
        engine = EnsembleEngine(card, [LevelEngine(0), LevelEngine(1)])
        scored = [item for piece in score_cases(engine, cases, 0.5, chunk=chunk) for item in piece]
        assert [item.result.case.name for item in scored] == [case.name for case in cases]
        # A slice of no neighbors is asked about, one_20; two_10 and two_12 are neighbors of a file that is none.
        assert {item.result.case.name for item in scored if item.is_first_look} == {"one_10", "one_11", "two_3"}


def test_every_key_of_the_design_is_there(engine, data):
    wanted = """patients slices tumor_slices patient_dice_mean patient_dice_median patient_dice_ci95 slice_dice_mean
        slice_iou_mean precision recall pixel_accuracy slice_sensitivity slice_specificity slice_auc hd95_median
        threshold min_tumor_pixels model engine slices_per_second"""
    assert set(wanted.split()) <= summary_of(evaluate(engine, data)).keys()


def test_headline_names_what_a_reader_takes_home(engine, data):
    assert headline(evaluate(engine, data)) == (
        "Patient Dice 0.353, 95 % CI 0.000 to 0.706, over 2 patients; 66.7 % of tumor slices found, 50.0 % false alarms"
    )


def test_headline_names_masks_that_no_expert_drew(engine, data, tmp_path):
    write_case(data, "two", "c", square(10, 10, 8), 255 - square(10, 10, 8))
    report = evaluate(engine, data)
    assert headline(report).endswith(
        "; 1 of 6 expert masks is doubtful (most of the slice covered: 1, a corner outside the head covered: 1)"
    )
    assert summary_of(report)["doubtful_masks"] == 1
    write_results(tmp_path / "out", engine, report, TITLE)
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert written["doubtful_masks"] == {
        "masks": 6,
        "slices": 1,
        "counts": {"mask_covers_slice": 1, "mask_outside_head": 1},
    }
    assert "1 of 6 expert masks is doubtful" in (tmp_path / "out" / "report.html").read_text()


def test_headline_names_masks_of_several_values_and_with_loss(engine, data):
    gray = square(4, 4, 8) // 2
    gray[0:4, 0:4] = 9
    Image.fromarray(gray).save(data / "one" / "a_mask.png")
    (data / "two" / "a_mask.png").unlink()
    Image.fromarray(square(4, 4, 4)).save(data / "two" / "a_mask.jpg", quality=70)
    assert "stored with loss: 1, other values than 0 and one more: 1" in headline(evaluate(engine, data))


@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_chunks_change_no_number(engine, data, chunk):
    whole, parts = evaluate(engine, data), evaluate(engine, data, chunk)
    assert parts.metrics == whole.metrics
    assert parts.patients == whole.patients
    assert max(engine.chunks[1:]) == chunk


def test_tables_leave_undefined_figures_empty(engine, data, tmp_path):
    write_results(tmp_path / "out", engine, evaluate(engine, data), TITLE)
    rows = rows_of(tmp_path / "out" / "metrics.csv")
    assert tuple(rows[0]) == SLICE_COLUMNS
    assert [row["image"] for row in rows] == ["a.png", "b.png", "c.png", "a.png", "b.png"]
    false_alarm, missed, blank = rows[2:]
    assert [false_alarm[name] for name in ("dice", "iou", "precision", "recall", "hd95")] == ["", "", "0", "", ""]
    assert [missed[name] for name in ("dice", "iou", "precision", "recall")] == ["0", "0", "0", "0"]
    assert float(missed["hd95"]) == pytest.approx(SIDE * 2**0.5, abs=1e-4)
    assert [blank[name] for name in ("dice", "iou", "precision", "recall", "hd95")] == [""] * 5
    patients = rows_of(tmp_path / "out" / "patients.csv")
    assert [row["patient"] for row in patients] == ["one", "two"]
    assert float(patients[0]["dice"]) == pytest.approx(2 * 96 / (144 + 128), abs=1e-5)


def test_a_broken_image_and_a_mask_of_another_size_are_failed_rows(engine, data, tmp_path):
    (data / "one" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    write_case(data, "two", "c", square(0, 0, 4), np.ones((16, 16), dtype=np.uint8))
    report = evaluate(engine, data)
    assert summary_of(report)["failed_slices"] == 2
    assert summary_of(report)["slices"] == 4
    assert "2 of 6 slices could not be used" in headline(report)
    messages = [failure.message for failure in report.outcome.failures]
    assert "one/b.png" in messages[0]
    assert "two/c.png is 32 x 32 pixels and its mask 16 x 16" in messages[1]
    write_results(tmp_path / "out", engine, report, TITLE)
    broken = rows_of(tmp_path / "out" / "metrics.csv")[1]
    assert (broken["patient"], broken["image"]) == ("one", "b.png")
    assert not any(broken[name] for name in SLICE_COLUMNS[2:])
    assert messages[0].split("(")[0] in (tmp_path / "out" / "report.html").read_text()


def test_slices_of_two_sizes_are_evaluated_in_order(engine, data):
    write_case(data, "one", "aa", np.full((16, 48), 255, dtype=np.uint8), np.ones((16, 48)))
    report = evaluate(engine, data)
    assert [score.case.image.name for score in report.outcome.scores][:3] == ["a.png", "aa.png", "b.png"]
    assert report.outcome.scores[1].counts.true_positive == 16 * 48


def test_without_tumor_there_is_no_dice_and_no_nan(engine, tmp_path):
    write_case(tmp_path / "data", "one", "a", square(0, 0, 0), square(0, 0, 0))
    report = evaluate(engine, tmp_path / "data")
    summary = summary_of(report)
    assert [summary[name] for name in ("patient_dice_mean", "patient_dice_ci95", "slice_auc", "precision")] == [
        None
    ] * 4
    assert headline(report) == "No patient with tumor, so no Dice; 0.0 % false alarms"
    assert json.loads(json_text(report_document(report, (), TITLE)))["roc"] is None
    write_results(tmp_path / "out", engine, report, TITLE)


def test_figures_depend_on_the_seed_in_their_intervals_alone(engine, data):
    for patient in range(4):
        write_case(data, f"more_{patient}", "a", square(4, 4, 8), square(4, 4 + patient, 8))
    outcome = evaluate_cases(engine, list_cases(data), 0.5)
    one, same, other = (make_report(engine, outcome, replace(SETTINGS, seed=seed)).metrics for seed in (1, 1, 2))
    assert one == same
    assert [figure.value for figure in one] == [figure.value for figure in other]
    assert one != other


def test_each_case_is_judged_by_its_own_sequence(engine, data, monkeypatch):
    infer = engine.infer

    def infer_with_sequences(pixels, context):
        log_odds = np.array([[np.nan, np.nan], [9.0, np.nan], [np.nan, 9.0]] * 9, np.float32)[: len(pixels)]
        return replace(infer(pixels, context), sequences=SequenceEvidence(log_odds, (3.0, 3.0), (0.0, 0.0)))

    monkeypatch.setattr(engine, "infer", infer_with_sequences)
    scored = [item for chunk in score_cases(engine, list_cases(data), 0.5, chunk=3) for item in chunk]
    assert [item.input_warning for item in scored][:3] == [None, "not_flair", "channel_order"]


def test_what_a_volumes_file_says_of_its_sequence_is_told_as_in_the_portal(engine, data):
    def read(case):
        return replace(load_case(case), is_flair={"a": False, "b": True}.get(case.name))

    engine.card = replace(CARD, input=replace(CARD.input, channels=("pre-contrast", "FLAIR", "post-contrast")))
    scored = [item for chunk in score_cases(engine, list_cases(data), 0.5, read=read) for item in chunk]
    assert [item.input_warning for item in scored][:3] == ["not_flair", None, None]


def test_masks_that_a_check_has_judged_are_not_judged_again_and_the_figures_are_the_same(engine, data):
    cases = list_cases(data)
    judged, read = (
        [item for piece in found for item in piece]
        for found in (
            score_cases(engine, cases, 0.5),
            score_cases(engine, cases, 0.5, read=lambda case: load_case(case, judges_mask=False)),
        )
    )
    assert all(item.mask is not None for item in judged)
    assert all(item.mask is None for item in read)
    assert [item.result.counts for item in read] == [item.result.counts for item in judged]

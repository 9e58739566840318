"""Threshold and smallest area: the best of the validation slices, the middle where several are as good."""

import pytest

from ml.datasets import list_cases
from ml.packaging.mask_rule import AREAS, THRESHOLDS, choose_mask_rule
from tests.ml.evaluation.conftest import FakeEngine, square, write_case


def choose(folder):
    return choose_mask_rule(FakeEngine(), list_cases(folder))


def test_among_equals_the_middle_threshold_wins(tmp_path):
    write_case(tmp_path, "one", "a", square(4, 4, 8), square(4, 4, 8))
    write_case(tmp_path, "one", "b", square(0, 0, 0), square(0, 0, 0))
    rule = choose(tmp_path)
    assert (rule.threshold, rule.min_tumor_pixels) == (0.5, 0)
    assert (rule.patient_dice, rule.slice_sensitivity, rule.slice_specificity) == (1, 1, 1)


@pytest.mark.parametrize(("level", "expected"), [(120, 0.45), (60, 0.2)])
def test_threshold_lies_below_the_tumor_and_nearest_to_the_middle(tmp_path, level, expected):
    write_case(tmp_path, "one", "a", square(4, 4, 8, value=level), square(4, 4, 8))
    write_case(tmp_path, "one", "b", square(0, 0, 0), square(0, 0, 0))
    assert choose(tmp_path).threshold == expected


def test_threshold_lies_above_what_is_wrongly_found(tmp_path):
    q = square(4, 4, 16, value=160)  # 0.63, far too large
    q[4:12, 4:12] = 240
    write_case(tmp_path, "one", "a", q, square(4, 4, 8))
    write_case(tmp_path, "one", "b", square(0, 0, 0), square(0, 0, 0))
    assert choose(tmp_path).threshold == 0.65


def test_area_spares_false_alarms_and_no_more_than_needed(tmp_path):
    for patient in ("one", "two"):
        write_case(tmp_path, patient, "a", square(4, 4, 10), square(4, 4, 10))
        write_case(tmp_path, patient, "b", square(20, 20, 3), square(0, 0, 0))  # 9 pixels that are none
    rule = choose(tmp_path)
    assert (rule.threshold, rule.min_tumor_pixels) == (0.5, 10)
    assert rule.slice_specificity == 1


def test_area_that_costs_dice_is_not_taken(tmp_path):
    for patient in ("one", "two"):
        write_case(tmp_path, patient, "a", square(4, 4, 3), square(4, 4, 3))
        write_case(tmp_path, patient, "b", square(20, 20, 2), square(0, 0, 0))
    assert choose(tmp_path).min_tumor_pixels == 0


@pytest.mark.parametrize("side", [0, 8])
def test_without_both_kinds_of_slices_nothing_is_chosen(tmp_path, side):
    for name in ("a", "b"):
        write_case(tmp_path, "one", name, square(4, 4, 8), square(4, 4, side))
    assert choose(tmp_path) is None


def test_words_say_what_was_tried_and_reached(tmp_path):
    write_case(tmp_path, "one", "a", square(4, 4, 8), square(4, 4, 8))
    write_case(tmp_path, "two", "b", square(0, 0, 0), square(0, 0, 0))
    words = choose(tmp_path).description
    assert f"threshold of {len(THRESHOLDS)} from 0.2 to 0.8" in words
    assert ", ".join(map(str, AREAS)) in words
    assert "on 2 validation patients, torch fp32: patient Dice 1.0000, sensitivity 1.000, specificity 1.000" in words

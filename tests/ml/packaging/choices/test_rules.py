"""The rule: a planted best threshold, area, depth and doubt are found, and the middle where several are as good."""

from pathlib import Path

import numpy as np
import pytest

from ml.datasets import Case, list_cases
from ml.masks import MaskRule, apply_rule
from ml.packaging.choices.maps import ChoiceMaps
from ml.packaging.choices.rules import (
    AREAS,
    SHARES,
    THRESHOLDS,
    UNCERTAIN_LIMIT,
    choose_doubt,
    choose_mask_rule,
    choose_rule,
    describe_rule,
)
from tests.ml.evaluation.conftest import FakeEngine, write_case

SIDE = 256
IDENTITY = np.arange(256, dtype=np.uint8)


def squares(*parts):
    """uint8 (SIDE, SIDE) with squares (top, left, side, value)."""
    q = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for top, left, side, value in parts:
        q[top : top + side, left : left + side] = value
    return q


def maps_of(*slices):
    """slices: (patient, name, q, truth) each."""
    cases = [Case(patient, Path(f"{patient}/{name}.png"), None) for patient, name, _, _ in slices]
    return ChoiceMaps(cases, [item[2] for item in slices], [item[3] > 0 for item in slices], (SIDE, SIDE))


def choose(*slices, scaled=IDENTITY):
    maps = maps_of(*slices)
    return choose_rule(maps, np.ones(len(maps), dtype=bool), scaled)


NOTHING = squares()
TUMOR = squares((40, 40, 20, 255))
FREE = ("one", "free", NOTHING, NOTHING)


def test_among_equals_the_middle_threshold_wins():
    rule = choose(("one", "a", TUMOR, TUMOR), FREE)
    assert (rule.threshold, rule.min_tumor_pixels, rule.depth, rule.doubt) == (0.5, 0, None, None)
    figures = rule.figures
    assert (figures.patient_dice, figures.slice_sensitivity, figures.slice_specificity) == (1, 1, 1)
    assert (figures.uncertain, figures.missed) == (0, 0)


@pytest.mark.parametrize(("level", "expected"), [(120, 0.45), (60, 0.2)])
def test_threshold_lies_below_the_tumor_and_nearest_to_the_middle(level, expected):
    assert choose(("one", "a", squares((40, 40, 20, level)), TUMOR), FREE).threshold == expected


def test_threshold_lies_above_what_is_wrongly_found():
    q = squares((40, 40, 60, 160), (40, 40, 20, 240))  # 0.63, far too large
    assert choose(("one", "a", q, TUMOR), FREE).threshold == 0.65


def test_rule_is_chosen_on_the_scaled_map():
    scaled = np.where(IDENTITY >= 60, 200, 0).astype(np.uint8)  # 60 of 255 becomes 0.78
    rule = choose(("one", "a", squares((40, 40, 20, 60), (100, 100, 50, 59)), TUMOR), FREE, scaled=scaled)
    assert (rule.threshold, rule.figures.patient_dice) == (0.5, 1)


def test_area_spares_false_alarms_and_no_more_than_needed():
    free = squares((200, 200, 4, 255))  # 16 pixels that are none
    rule = choose(("one", "a", TUMOR, TUMOR), ("one", "b", free, NOTHING), FREE)
    assert rule.min_tumor_pixels == 20
    assert rule.figures.slice_specificity == 1


def test_area_is_never_above_40_pixels_of_256():
    free = squares((200, 200, 8, 255))
    assert choose(("one", "a", TUMOR, TUMOR), ("one", "b", free, NOTHING), FREE).min_tumor_pixels == 0
    maps = maps_of(("one", "a", TUMOR, TUMOR), ("one", "b", squares((200, 200, 4, 255)), NOTHING), FREE)
    maps.grid = (128, 128)  # a quarter of the pixels
    assert choose_rule(maps, np.ones(3, dtype=bool), IDENTITY).min_tumor_pixels == 5


def test_area_that_costs_dice_is_not_taken():
    small = squares((40, 40, 4, 255))
    rule = choose(("one", "a", small, small), ("one", "b", squares((200, 200, 4, 255)), NOTHING))
    assert rule.min_tumor_pixels == 0


def stack_with_specks(patient="one"):
    """A tumor in three slices, and in the next two a speck of 49 pixels that touches nothing."""
    far = squares((200, 200, 7, 255))
    return [
        *((patient, f"s_{number}", TUMOR, TUMOR) for number in (9, 10, 11)),  # 1,200 voxels
        *((patient, f"s_{number}", far, NOTHING) for number in (12, 13)),  # 98
    ]


def test_depth_drops_what_is_small_beside_the_largest():
    rule = choose(*stack_with_specks())
    assert rule.depth.min_share == 0.1  # 0.05 is too little, and more gains nothing
    assert (rule.figures.patient_dice, rule.figures.slice_specificity) == (1, 1)


def test_depth_needs_consecutive_numbers():
    apart = [
        (patient, name.replace("_12", "_14").replace("_13", "_16"), q, t) for patient, name, q, t in stack_with_specks()
    ]
    assert choose(*apart).depth is None


def test_depth_that_gains_nothing_is_not_taken():
    two = squares((40, 40, 20, 255), (200, 200, 8, 255))  # both are tumor
    assert choose(*((("one", f"s_{number}", two, two)) for number in (1, 2)), FREE).depth is None


def free_slices(count, in_doubt, level):
    faint = squares((200, 200, 4, level))
    return [("two", f"free {number}x", faint if number < in_doubt else NOTHING, NOTHING) for number in range(count)]


def test_doubt_finds_faint_tumors_within_its_limit():
    faint = squares((40, 40, 10, 40))  # 100 pixels at 0.16: below every threshold
    slices = [("one", f"{n}x", TUMOR, TUMOR) for n in range(8)] + [("one", "faint", faint, TUMOR)]
    rule = choose(*slices, *free_slices(20, 3, 45))  # too many of them, of 16 pixels
    assert rule.threshold == 0.5
    assert (rule.figures.missed, rule.figures.uncertain) == (0, 0)
    assert rule.doubt.threshold <= 40 / 255
    assert 16 < rule.doubt.min_pixels <= 100


def test_doubt_never_covers_more_than_its_share_of_slices_without_tumor():
    faint = squares((40, 40, 4, 40))
    slices = [("one", f"{n}x", TUMOR, TUMOR) for n in range(8)] + [("one", "faint", faint, TUMOR)]
    few, many = (choose(*slices, *free_slices(20, count, 40)) for count in (2, 3))
    assert few.figures.missed == 0
    assert few.figures.uncertain == UNCERTAIN_LIMIT
    assert (many.doubt, many.figures.uncertain) == (None, 0)
    assert many.figures.missed == pytest.approx(1 / 9)


def test_figures_are_those_of_the_rule_that_serves():
    random = np.random.default_rng(5)
    slices = []
    for patient in ("one", "two"):
        for number in range(6):
            q = squares(
                *(
                    (*random.integers(0, 220, 2), random.integers(2, 30), random.integers(30, 250))
                    for _ in range(random.integers(0, 5))
                )
            )
            truth = squares((*random.integers(0, 220, 2), 20, 255)) if number % 2 else NOTHING
            slices.append((patient, f"s_{number}", np.maximum(q, truth // 2), truth))
    maps = maps_of(*slices)
    rule = choose_rule(maps, np.ones(12, dtype=bool), IDENTITY)
    serving = MaskRule(rule.threshold, rule.min_tumor_pixels, rule.doubt, rule.depth)
    found = [apply_rule(np.stack(maps.maps[start : start + 6]), serving, is_stack=True) for start in (0, 6)]
    tumor, doubtful = (np.concatenate(parts) for parts in zip(*((m.tumor, m.doubtful) for m in found), strict=True))
    truths = np.stack(maps.truths)
    dices = [
        2 * (tumor[part] & truths[part]).sum() / (tumor[part].sum() + truths[part].sum())
        for part in (np.s_[:6], np.s_[6:])
    ]
    assert rule.figures.patient_dice == pytest.approx(np.mean(dices))
    has_mask, has_doubt, has_tumor = (part.any(axis=(1, 2)) for part in (tumor, doubtful, truths))
    assert rule.figures.slice_sensitivity == pytest.approx(has_mask[has_tumor].mean())
    assert rule.figures.slice_specificity == pytest.approx((~has_mask)[~has_tumor].mean())
    assert rule.figures.uncertain == pytest.approx((has_doubt & ~has_mask)[~has_tumor].mean())
    assert rule.figures.missed == pytest.approx((~has_doubt & ~has_mask)[has_tumor].mean())


@pytest.mark.parametrize("truth", [NOTHING, TUMOR])
def test_without_both_kinds_of_slices_nothing_is_chosen(truth):
    assert choose(("one", "a", TUMOR, truth), ("one", "b", TUMOR, truth)) is None


def test_words_say_what_was_tried_and_reached():
    words = describe_rule(choose(("one", "a", TUMOR, TUMOR), ("two", "free", NOTHING, NOTHING)))
    assert f"threshold of {len(THRESHOLDS)} from 0.2 to 0.8" in words
    assert ", ".join(map(str, AREAS)) in words
    assert ", ".join(map(str, SHARES)) in words
    assert "on the 2 patients that chose it: patient Dice 1.0000, sensitivity 1.000, specificity 1.000" in words
    assert "0.0% of tumor-free slices uncertain, 0.0% of tumor slices missed outright" in words


def test_an_engines_own_maps_choose_in_the_same_way(tmp_path):
    small = np.zeros((32, 32), dtype=np.uint8)
    small[4:12, 4:12] = 120
    write_case(tmp_path, "one", "a", small, small)
    write_case(tmp_path, "one", "b", np.zeros_like(small), np.zeros_like(small))
    assert choose_mask_rule(FakeEngine(), list_cases(tmp_path)).threshold == 0.45


def test_a_card_without_a_doubt_rule_gets_one_beside_its_own_threshold(tmp_path):
    strong, faint = (np.zeros((32, 32), dtype=np.uint8) for _ in range(2))
    strong[4:12, 4:12], faint[4:12, 4:12] = 200, 90
    for name, found, truth in (("a", strong, strong), ("b", faint, strong), ("c", faint * 0, faint * 0)):
        write_case(tmp_path, "one", name, found, truth)
    doubt, description = choose_doubt(FakeEngine(), list_cases(tmp_path))
    assert 0 < doubt.threshold <= 90 / 255
    assert "0.0% of tumor slices missed outright" in description


def test_nothing_is_in_doubt_where_nothing_is_missed(tmp_path):
    strong = np.zeros((32, 32), dtype=np.uint8)
    strong[4:12, 4:12] = 200
    write_case(tmp_path, "one", "a", strong, strong)
    write_case(tmp_path, "one", "b", strong * 0, strong * 0)
    assert choose_doubt(FakeEngine(), list_cases(tmp_path)) is None


def test_neighbors_of_one_size_are_a_stack_as_the_evaluation_takes_them():
    maps = maps_of(*(("one", f"s_{number}", q, q) for number, q in enumerate((TUMOR, TUMOR, TUMOR[:128]), 1)))
    assert maps.stacks == ((0, 1), (2,))

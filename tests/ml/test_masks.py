"""The mask rule and the measures, and that neither needs torch."""

import hypothesis.extra.numpy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.cards import DepthRule, DoubtRule
from ml.masks import (
    MaskRule,
    Masks,
    apply_rule,
    label_regions,
    min_pixels_on_grid,
    slice_masks,
    threshold_level,
    tumor_mask,
    verdict_level,
)
from ml.measurements import DoubtfulRegion, Verdict, measure, verdict_of


@pytest.mark.parametrize(
    ("threshold", "level"),
    [(0.0, 1), (0.001, 1), (0.2, 51), (0.5, 128), (0.6, 153), (0.62, 159), (0.999, 255), (1.0, 255)],
)
def test_threshold_becomes_the_smallest_q_that_counts(threshold, level):
    assert threshold_level(threshold) == level


@given(st.integers(1, 255))
def test_threshold_written_as_a_level_is_that_level(level):
    assert threshold_level(level / 255) == level


@given(st.floats(0, 1))
def test_threshold_level_is_never_below_the_threshold_nor_a_whole_step_above(threshold):
    level = threshold_level(threshold)
    assert level / 255 >= threshold - 1e-8
    assert level == 1 or (level - 1) / 255 < threshold


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan"), float("inf")])
def test_threshold_outside_probabilities_is_refused(threshold):
    with pytest.raises(ValueError, match="from 0 to 1"):
        threshold_level(threshold)


def test_components_smaller_than_the_minimum_are_dropped_and_the_others_kept():
    q = np.zeros((1, 40, 40), dtype=np.uint8)
    q[0, 2:7, 2:8] = 200  # 30 pixels
    q[0, 20:21, 3:32] = 200  # 29 pixels
    mask = tumor_mask(q, 0.5, 30)
    assert mask[0, 2:7, 2:8].all()
    assert mask.sum() == 30


def test_components_touching_at_a_corner_are_one():
    q = np.zeros((1, 20, 20), dtype=np.uint8)
    q[0, 0:5, 0:5] = q[0, 5:10, 5:10] = 255
    assert tumor_mask(q, 1.0, 50).sum() == 50
    assert tumor_mask(q, 1.0, 51).sum() == 0


def test_components_do_not_join_across_slices():
    q = np.zeros((2, 10, 10), dtype=np.uint8)
    q[:, 3:7, 3:7] = 255  # 16 pixels in each of two slices
    assert tumor_mask(q, 0.5, 17).sum() == 0


def test_threshold_of_zero_leaves_pixels_without_any_probability_out():
    q = np.zeros((1, 8, 8), dtype=np.uint8)
    q[0, 0, 0] = 1
    assert tumor_mask(q, 0.0, 0).sum() == 1


def test_mask_leaves_the_map_as_it_was():
    q = np.full((1, 4, 4), 255, dtype=np.uint8)
    tumor_mask(q, 0.5, 100)
    assert (q == 255).all()


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(256, 256, 30), (512, 512, 120), (128, 128, 8), (512, 256, 120), (16, 16, 1)]
)
def test_smallest_component_scales_with_the_area_of_a_pixel(height, width, expected):
    assert min_pixels_on_grid(30, (256, 256), height, width) == expected


def test_no_smallest_component_stays_none():
    assert min_pixels_on_grid(0, (256, 256), 4096, 4096) == 0


def test_one_slice_with_spacing_has_an_area_and_no_volume():
    q = np.zeros((1, 10, 10), dtype=np.uint8)
    q[0, :2, :5] = 254
    measures = measure(q, Masks(q > 0, q > 255, q > 255, ((),) * len(q)), (5.0, 0.5, 2.0))
    assert (measures.verdict, measures.tumor_pixels, measures.total_pixels) == (Verdict.TUMOR_DETECTED, 10, 100)
    assert measures.coverage_percent == pytest.approx(10)
    assert (measures.area_mm2, measures.volume_mm3) == (pytest.approx(10), None)
    assert measures.max_probability == pytest.approx(254 / 255)


def test_stack_with_spacing_has_a_volume_and_no_area():
    q = np.full((3, 4, 4), 255, dtype=np.uint8)
    measures = measure(q, Masks(q > 0, q > 255, q > 255, ((),) * len(q)), (5.0, 0.5, 2.0))
    assert (measures.area_mm2, measures.volume_mm3) == (None, pytest.approx(48 * 5))
    assert [item.tumor_pixels for item in measures.slices] == [16, 16, 16]
    unknown = measure(q, Masks(q > 0, q > 255, q > 255, ((),) * len(q)), (0.0, 0.5, 2.0))
    assert unknown.volume_mm3 is None, "nobody says how far its slices lie from each other"


def test_without_spacing_nothing_is_in_millimeters():
    q = np.full((1, 4, 4), 100, dtype=np.uint8)
    measures = measure(q, Masks(q > 255, q > 255, q > 255, ((),) * len(q)), None)
    assert measures.verdict == Verdict.NO_TUMOR
    assert (measures.area_mm2, measures.volume_mm3, measures.coverage_percent) == (None, None, 0)
    assert measures.max_probability == pytest.approx(100 / 255)  # shown even where nothing was marked


def _rule(**values) -> MaskRule:
    return MaskRule(0.5, 30, **values)


def test_a_component_below_the_smallest_area_is_in_doubt_and_one_with_a_pixel_of_the_mask_is_not():
    q = np.zeros((1, 40, 40), dtype=np.uint8)
    q[0, 2:8, 2:8] = 200  # 36 pixels: tumor
    q[0, 8:10, 2:8] = 100  # the tumor's own border, below the threshold
    q[0, 20:25, 5:10] = 150  # 25 pixels: above the threshold, too small
    q[0, 30:33, 30:33] = 60  # 9 pixels with 24 %
    q[0, 36, 36] = 60  # 1 pixel
    masks = apply_rule(q, _rule(doubt=DoubtRule(0.2, 4)), is_stack=False)
    assert masks.tumor.sum() == 36
    expected = np.zeros_like(masks.doubtful)
    expected[0, 20:25, 5:10] = expected[0, 30:33, 30:33] = True
    assert (masks.doubtful == expected).all()


def test_the_level_of_doubt_is_never_above_that_of_the_mask():
    q = np.zeros((1, 8, 8), dtype=np.uint8)
    q[0, 0, :3] = 30  # above a threshold of 0.1 that a person tries, below the card's doubt at 0.2
    masks = apply_rule(q, MaskRule(0.1, 10, DoubtRule(0.2, 2)), is_stack=False)
    assert (masks.tumor.sum(), masks.doubtful.sum()) == (0, 3)


def test_without_a_doubt_rule_nothing_is_in_doubt():
    q = np.full((1, 5, 5), 255, dtype=np.uint8)
    assert not apply_rule(q, _rule(), is_stack=False).doubtful.any()


def test_the_depth_rule_drops_what_is_small_beside_the_largest_component_and_leaves_it_in_doubt():
    q = np.zeros((4, 60, 60), dtype=np.uint8)
    q[:3, 5:25, 5:25] = 250  # 1,200 voxels in three slices
    q[3, 25:30, 25:33] = 250  # 40 voxels that touch them at a corner from the next slice: one component
    q[1, 40:50, 40:50] = 250  # 100 voxels: a twelfth of the largest
    rule = _rule(doubt=DoubtRule(0.2, 4), depth=DepthRule(0.1))
    stack, alone = (apply_rule(q, rule, is_stack=is_stack) for is_stack in (True, False))
    assert stack.tumor.sum() == 1240
    assert stack.doubtful.sum() == 100
    assert stack.doubtful[1, 40:50, 40:50].all()
    assert (alone.tumor.sum(), alone.doubtful.sum()) == (1340, 0)
    assert stack.dropped == ((), ((40, 40),), (), ())


@given(hypothesis.extra.numpy.arrays(np.uint8, (3, 7, 8)), st.floats(0, 1))
def test_a_slice_is_masked_without_its_neighbors_as_in_the_stack(q, min_share):
    rule = MaskRule(0.5, 2, DoubtRule(0.2, 2), DepthRule(min_share))
    stack = apply_rule(q, rule, is_stack=True)
    for index in range(len(q)):
        one = slice_masks(q[index][None], rule, stack.dropped[index])
        assert (one.tumor[0] == stack.tumor[index]).all()
        assert (one.doubtful[0] == stack.doubtful[index]).all()


@given(hypothesis.extra.numpy.arrays(np.uint8, (2, 7, 8), elements=st.sampled_from([0, 0, 0, 60, 200])))
def test_what_is_in_doubt_is_every_large_region_without_a_pixel_of_the_mask(q):
    masks = apply_rule(q, _rule(doubt=DoubtRule(0.2, 3)), is_stack=False)
    for index, candidates in enumerate(q >= 51):
        labels, count = label_regions(candidates)
        regions = [labels == number for number in range(1, count + 1)]
        expected = [region for region in regions if region.sum() >= 3 and not (region & masks.tumor[index]).any()]
        assert (masks.doubtful[index] == np.any([*expected, np.zeros_like(candidates)], axis=0)).all()


def test_the_depth_rule_leaves_a_single_slice_as_it_is():
    q = np.zeros((1, 60, 60), dtype=np.uint8)
    q[0, :20, :20] = q[0, 30:36, 30:36] = 250
    assert apply_rule(q, _rule(depth=DepthRule(0.5)), is_stack=True).tumor.sum() == 436


@given(hypothesis.extra.numpy.arrays(np.uint8, (9, 11)), st.integers(0, 12))
def test_the_verdicts_level_is_the_last_one_at_which_the_mask_has_a_pixel(q, least):
    level = verdict_level(q, least)
    assert level == 0 or tumor_mask(q[None], level / 255, least).any()
    assert level == 255 or not tumor_mask(q[None], (level + 1) / 255, least).any()


@pytest.mark.parametrize(
    ("has_tumor", "has_doubt", "warnings", "verdict"),
    [
        (True, True, ("not_flair",), Verdict.TUMOR_DETECTED),
        (True, True, ("not_flair", "plainly_not_flair"), Verdict.NOT_ASSESSED),
        (False, True, ("plainly_not_flair",), Verdict.NOT_ASSESSED),
        (False, True, ("not_flair",), Verdict.UNCERTAIN),
        (False, False, ("not_flair",), Verdict.NOT_ASSESSED),
        (False, False, ("channel_order",), Verdict.NOT_ASSESSED),
        (False, False, ("mixed_sequences",), Verdict.NOT_ASSESSED),
        (False, False, ("unlike_training_data",), Verdict.NOT_ASSESSED),
        (False, False, ("synthetic",), Verdict.NO_TUMOR),
        (False, False, (), Verdict.NO_TUMOR),
    ],
)
def test_an_all_clear_needs_a_scan_that_the_model_can_read_and_nothing_in_doubt(
    has_tumor, has_doubt, warnings, verdict
):
    assert verdict_of(has_tumor=has_tumor, has_doubt=has_doubt, warnings=warnings) == verdict


def test_the_region_in_doubt_that_is_told_has_the_highest_probability():
    q = np.zeros((3, 40, 40), dtype=np.uint8)
    q[0, :5, :5] = 100
    q[1, :3, :3] = q[1, 10:12, 10:12] = 120
    measures = measure(q, apply_rule(q, _rule(doubt=DoubtRule(0.2, 4)), is_stack=True), None)
    assert measures.verdict == Verdict.UNCERTAIN
    assert measures.doubt == DoubtfulRegion(slice=1, pixels=9, max_probability=120 / 255, regions=3)
    assert [item.doubtful_pixels for item in measures.slices] == [25, 13, 0]


def _pictures(*, small: int, large: int) -> np.ndarray:
    """Two slices of 40 x 40: a line of `small` pixels in the first, one of `large` in the second."""
    q = np.zeros((2, 40, 40), dtype=np.uint8)
    q[0, 5, :small] = q[1, 20, :large] = 230
    return q


def test_what_reaches_the_threshold_and_is_too_small_is_not_counted():
    q = _pictures(small=29, large=30)
    masks = apply_rule(q, _rule(), is_stack=True)
    measures = measure(q, masks, None)
    assert [item.uncounted_pixels for item in measures.slices] == [29, 0]
    assert np.array_equal(masks.uncounted[0], q[0] > 0)
    assert np.array_equal(masks.of_slice(0).uncounted, masks.uncounted[:1])


def test_what_is_in_doubt_is_not_said_to_be_uncounted_as_well():
    q = _pictures(small=29, large=0)
    q[0, 30, :10] = 230  # too small for a doubt, too
    masks = apply_rule(q, _rule(doubt=DoubtRule(0.4, 20)), is_stack=True)
    assert (masks.doubtful.sum(), masks.uncounted.sum()) == (29, 10)


def test_what_the_rule_for_stacks_drops_is_not_counted_and_a_single_slice_knows_it():
    q = _pictures(small=30, large=0)
    q[1, 10:30, 10:30] = 230
    masks = apply_rule(q, _rule(depth=DepthRule(0.1)), is_stack=True)
    assert masks.uncounted.sum() == 30
    alone = slice_masks(q[:1], _rule(depth=DepthRule(0.1)), masks.dropped[0])
    assert np.array_equal(alone.uncounted, masks.uncounted[:1])

"""The mask rule and the measures, and that neither needs torch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.masks import NO_TUMOR, TUMOR_DETECTED, measure, min_pixels_on_grid, threshold_level, tumor_mask


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
    measures = measure(q, q > 0, (5.0, 0.5, 2.0))
    assert (measures.verdict, measures.tumor_pixels, measures.total_pixels) == (TUMOR_DETECTED, 10, 100)
    assert measures.coverage_percent == pytest.approx(10)
    assert (measures.area_mm2, measures.volume_mm3) == (pytest.approx(10), None)
    assert measures.max_probability == pytest.approx(254 / 255)


def test_stack_with_spacing_has_a_volume_and_no_area():
    q = np.full((3, 4, 4), 255, dtype=np.uint8)
    measures = measure(q, q > 0, (5.0, 0.5, 2.0))
    assert (measures.area_mm2, measures.volume_mm3) == (None, pytest.approx(48 * 5))
    assert [item.tumor_pixels for item in measures.slices] == [16, 16, 16]


def test_without_spacing_nothing_is_in_millimeters():
    q = np.full((1, 4, 4), 100, dtype=np.uint8)
    measures = measure(q, np.zeros_like(q, dtype=bool), None)
    assert measures.verdict == NO_TUMOR
    assert (measures.area_mm2, measures.volume_mm3, measures.coverage_percent) == (None, None, 0)
    assert measures.max_probability == pytest.approx(100 / 255)  # shown even where nothing was marked

"""Overlap figures against tables worked out by hand, and every rule for empty masks."""

import numpy as np
import pytest

from ml.metrics.overlap import Counts, count, dice, iou, pixel_accuracy, precision, recall, specificity

EMPTY = np.zeros((4, 5), dtype=bool)


def square(top, left, side=2):
    mask = EMPTY.copy()
    mask[top : top + side, left : left + side] = True
    return mask


def test_figures_of_two_squares_that_share_two_pixels():
    counts = count(square(0, 0), square(0, 1))
    assert counts == Counts(true_positive=2, false_positive=2, false_negative=2, true_negative=14)
    assert dice(counts) == 0.5
    assert iou(counts) == pytest.approx(2 / 6)
    assert (precision(counts), recall(counts)) == (0.5, 0.5)
    assert specificity(counts) == 14 / 16
    assert pixel_accuracy(counts) == 16 / 20


def test_pooling_adds_pixels_and_is_not_the_mean_of_the_slices():
    perfect, missed = count(square(0, 0, 3), square(0, 0, 3)), count(square(0, 0, 1), EMPTY)
    assert (dice(perfect), dice(missed)) == (1, 0)
    assert dice(perfect + missed) == pytest.approx(2 * 9 / (10 + 9))


def test_tumor_that_was_missed_altogether_counts_as_zero():
    counts = count(square(1, 1), EMPTY)
    assert [figure(counts) for figure in (dice, iou, precision, recall)] == [0, 0, 0, 0]


def test_false_alarm_has_precision_zero_and_no_other_overlap():
    counts = count(EMPTY, square(1, 1))
    assert [figure(counts) for figure in (dice, iou, recall)] == [None, None, None]
    assert precision(counts) == 0
    assert specificity(counts) == pixel_accuracy(counts) == 16 / 20


def test_two_empty_masks_agree_in_accuracy_alone():
    counts = count(EMPTY, EMPTY)
    assert [figure(counts) for figure in (dice, iou, precision, recall)] == [None] * 4
    assert specificity(counts) == pixel_accuracy(counts) == 1


def test_a_truth_that_covers_everything_has_no_specificity():
    assert specificity(count(~EMPTY, EMPTY)) is None
    assert pixel_accuracy(Counts()) is None


def test_masks_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 5\).*\(5, 4\)"):
        count(EMPTY, EMPTY.T)

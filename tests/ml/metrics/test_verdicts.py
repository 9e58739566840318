"""ROC and its area by hand and beside counting every pair."""

import numpy as np
import pytest

from ml.metrics.verdicts import auc_of_levels, roc


def test_curve_of_four_slices():
    curve = roc(np.array([0.9, 0.6, 0.6, 0.1]), np.array([True, True, False, False]))
    assert curve.thresholds == (None, 0.9, 0.6, 0.1)
    assert curve.sensitivities == (0, 0.5, 1, 1)
    assert curve.false_alarm_rates == (0, 0, 0.5, 1)
    assert curve.auc == (4 - 0.5) / 4  # of four pairs, one is a tie


def test_area_is_the_share_of_pairs_in_order():
    random = np.random.default_rng(2)
    scores = random.integers(0, 20, 200) / 19
    has_tumor = random.uniform(size=200) < scores
    differences = scores[has_tumor][:, None] - scores[~has_tumor][None]
    assert roc(scores, has_tumor).auc == pytest.approx(np.mean((differences > 0) + 0.5 * (differences == 0)))


@pytest.mark.parametrize("has_tumor", [[True, True], [False, False]])
def test_one_kind_of_slice_has_no_curve(has_tumor):
    assert roc(np.array([0.2, 0.4]), np.array(has_tumor)) is None


def test_no_slices_have_no_curve():
    assert roc(np.array([]), np.array([], dtype=bool)) is None


def test_areas_of_resamples_are_taken_at_once():
    areas = auc_of_levels(np.array([[0, 2.0], [1.0, 0], [0, 0]]), np.array([[1.0, 0], [0, 1.0], [1.0, 1.0]]))
    assert areas[:2].tolist() == [1, 0]
    assert np.isnan(areas[2])

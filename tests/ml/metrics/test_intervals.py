"""Bootstrap intervals: seeded, over patients, and equal to drawing the patients one by one."""

import numpy as np
import pytest

from ml.metrics.intervals import draw_patients, mean_interval, median_interval

VALUES = np.array([0.5, 0.6, 0.8, 0.9, 0.95])


def test_a_seed_gives_the_same_draws_and_another_seed_others():
    assert np.array_equal(draw_patients(7, seed=1), draw_patients(7, seed=1))
    assert not np.array_equal(draw_patients(7, seed=1), draw_patients(7, seed=2))


def test_every_resample_has_as_many_patients():
    assert (draw_patients(7).sum(axis=1) == 7).all()


def test_interval_of_a_mean_is_that_of_resampled_patients():
    draws = draw_patients(5, seed=3)
    means = [np.repeat(VALUES, row.astype(int)).mean() for row in draws]
    assert mean_interval(VALUES, np.ones(5), draws) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))


def test_interval_of_a_median_is_that_of_resampled_patients():
    draws = draw_patients(3, seed=3)
    groups = [np.array([0.9, 0.1, 0.2]), np.array([0.5]), np.array([0.3, 0.7])]
    medians = [
        np.median(np.concatenate([group for group, times in zip(groups, row, strict=True) for _ in range(int(times))]))
        for row in draws
    ]
    assert median_interval(groups, draws) == pytest.approx(tuple(np.percentile(medians, [2.5, 97.5])))


def test_one_patient_has_no_interval():
    draws = draw_patients(1)
    assert mean_interval(np.array([0.5]), np.array([1]), draws) is None
    assert median_interval([np.array([0.5, 0.7])], draws) is None


def test_a_person_with_several_times_is_drawn_whole():
    draws = draw_patients(4, persons=["a", "a", "b", "c"])
    assert (draws[:, 0] == draws[:, 1]).all()
    assert (draws[:, [0, 2, 3]].sum(axis=1) == 3).all()
    np.testing.assert_array_equal(draw_patients(3, persons=["x", "y", "z"]), draw_patients(3))


def test_one_person_at_several_times_has_no_interval():
    """Drawn whole, one person is every resample: the interval would have no width, and claim certainty."""
    draws = draw_patients(2, persons=["a", "a"])
    assert mean_interval(np.array([0.7, 0.9]), np.ones(2), draws) is None
    assert median_interval([np.array([0.7]), np.array([0.9])], draws) is None
    others = draw_patients(3, persons=["a", "a", "b"])
    assert mean_interval(np.array([0.7, 0.9, 0.0]), np.array([1, 1, 0]), others) is None
    assert mean_interval(np.array([0.7, 0.9, 0.8]), np.ones(3), others) is not None

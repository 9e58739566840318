"""Reliability bins and their error, worked out by hand."""

import numpy as np
import pytest

from ml.metrics.calibration import calibrate, probability_histogram


def test_levels_count_pixels_and_tumor():
    q = np.array([[0, 0], [255, 51]], dtype=np.uint8)
    levels = probability_histogram(q, np.array([[False, True], [True, False]]))
    assert levels.shape == (2, 256)
    assert (levels[:, 0].tolist(), levels[:, 51].tolist(), levels[:, 255].tolist()) == ([2, 1], [1, 0], [1, 1])


def test_error_is_weighted_by_pixels():
    levels = np.zeros((2, 256), dtype=np.int64)
    levels[:, 51] = 30, 12  # p = 0.2, 40 % tumor: off by 0.2
    levels[:, 204] = 10, 8  # p = 0.8, 80 % tumor: right
    found = calibrate(levels, bins=10)
    assert found.ece == pytest.approx(0.75 * 0.2)
    assert found.pixels == 40
    assert found.bins[2].tumor_share == pytest.approx(0.4)
    assert found.bins[8].mean_probability == pytest.approx(0.8)
    assert found.bins[5].mean_probability is None


def test_low_levels_can_be_left_out():
    levels = np.zeros((2, 256), dtype=np.int64)
    levels[:, 0] = 1000, 0
    levels[:, 255] = 10, 5
    assert calibrate(levels, lowest_level=13).ece == pytest.approx(0.5)
    assert calibrate(levels).ece == pytest.approx(5 / 1010)


def test_certainty_belongs_to_the_last_bin():
    levels = np.zeros((2, 256), dtype=np.int64)
    levels[:, 255] = 4, 4
    assert calibrate(levels, bins=10).bins[9].pixels == 4


def test_nothing_has_no_error():
    assert calibrate(np.zeros((2, 256), dtype=np.int64)).ece is None

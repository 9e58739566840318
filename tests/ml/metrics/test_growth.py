"""How far volumes and their changes are off, by patients whose volume an expert knows."""

import math

import numpy as np
import pytest

from ml.metrics.growth import SHARE, growth, volume_factors


def test_the_factors_are_those_of_the_ranked_patients() -> None:
    """Of 19 patients the 95 % bound is the worst one, of 39 the second worst; larger and smaller count alike."""
    expert = [100.0] * 39
    marked = [100 * 1.01**place for place in range(38)] + [10.0]  # factors 1, 1.01, ..., 1.01**37, and 10
    found = volume_factors(marked, expert)
    assert found is not None and found.patients == 39
    assert found.volume == pytest.approx(1.01**37)
    assert found.half == pytest.approx(1.01**19)  # rank 20 of 39
    assert found.change >= found.volume
    few = volume_factors(marked[-19:], expert[-19:])
    assert few is not None and few.volume == pytest.approx(10)


def test_too_few_patients_or_too_many_unmarked_ones_tell_nothing() -> None:
    assert volume_factors([1.0] * 18, [1.0] * 18) is None
    assert volume_factors([1.0] * 19, [1.0] * 18 + [0.0]) is None  # without tumor there is no ratio
    assert volume_factors([0.0] * 3 + [1.0] * 36, [1.0] * 39) is None
    assert volume_factors([], []) is None
    # One of which nothing was marked is the worst of 39, not of 19.
    assert volume_factors([0.0] + [1.0] * 18, [1.0] * 19) is None
    rest = volume_factors([0.0] + [1.0] * 99, [1.0] * 100)
    assert rest is not None and rest.volume == 1


def test_of_new_patients_and_of_new_changes_the_share_is_within() -> None:
    """Whatever the distribution: one with long tails, one that is all too small, drawn two hundred times."""
    random = np.random.default_rng(5)
    for draw in (lambda count: random.standard_t(2, count) * 0.2, lambda count: -random.exponential(0.5, count)):
        within, kept = 0, 0
        for _ in range(200):
            error = draw(75)
            found = volume_factors(np.exp(error).tolist(), [1.0] * 75)
            assert found is not None
            fresh = draw(200).reshape(100, 2)
            within += (np.abs(fresh[:, 0]) <= math.log(found.volume) + 1e-12).sum()
            kept += (np.abs(fresh[:, 0] - fresh[:, 1]) <= math.log(found.change) + 1e-12).sum()
        assert within / 20000 >= SHARE - 0.005
        assert kept / 20000 >= SHARE - 0.015


def test_a_change_has_the_ends_of_both_factors() -> None:
    told = growth(10.0, 30.0, 1.25, 1.5)
    assert told.change_percent == 200 and told.change_percent_range == pytest.approx((100, 350))
    assert told.change_ml == 20 and told.change_ml_range == pytest.approx((8, 43.75))
    assert told.is_told and not growth(10.0, 14.0, 1.25, 1.5).is_told
    shrunk = growth(30.0, 10.0, 1.25, 1.5)
    assert shrunk.is_told and shrunk.change_ml_range[0] < shrunk.change_ml < shrunk.change_ml_range[1] < 0
    with pytest.raises(ValueError, match="nothing"):
        growth(0.0, 1.0, 1.25, 1.5)

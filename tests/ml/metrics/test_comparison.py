"""Paired differences of two models."""

import numpy as np
import pytest

from ml.metrics.comparison import compare_pairs


def test_differences_are_second_less_first():
    found = compare_pairs([0.5, 0.6, 0.7, 0.8], [0.6, 0.6, 0.9, 0.7])
    assert (found.pairs, found.better, found.worse, found.equal) == (4, 2, 1, 1)
    assert found.mean_difference == pytest.approx(0.05)
    assert found.median_difference == pytest.approx(0.05)
    assert found.ci95[0] < 0.05 < found.ci95[1]


def test_p_value_of_ranks_worked_out_by_hand():
    # Ten pairs, all better: of 2^10 signs one has a rank sum as small, on either side (Wilcoxon, 1945).
    first = np.arange(1, 11) / 20
    found = compare_pairs(first, 2 * first)
    assert found.p_value == pytest.approx(2 / 2**10)
    assert not found.is_few


def test_fewer_than_ten_pairs_are_too_few_for_a_test():
    first = np.arange(1, 10) / 20
    found = compare_pairs(first, 2 * first)
    assert (found.is_few, found.p_value) == (True, None)


def test_pairs_without_a_difference_are_no_evidence():
    assert compare_pairs([0.5, 0.6], [0.5, 0.6]).p_value is None
    assert compare_pairs([], []).mean_difference is None


def test_one_pair_has_no_interval():
    assert compare_pairs([0.5], [0.75]).ci95 is None


def test_unpaired_values_are_refused():
    with pytest.raises(ValueError, match="zip"):
        compare_pairs([0.5], [])


def test_a_large_difference_is_told_from_noise():
    random = np.random.default_rng(2)
    first = random.uniform(0.5, 0.8, 60)
    assert compare_pairs(first, first + 0.05 + random.normal(0, 0.02, 60)).p_value < 1e-6
    assert compare_pairs(first, first + random.normal(0, 0.02, 60)).p_value > 0.01


def test_a_person_at_several_times_counts_once():
    first = np.arange(1, 10) / 20
    alone = compare_pairs(first, 2 * first, persons=[str(number) for number in range(9)])
    doubled = compare_pairs(np.repeat(first, 2), np.repeat(2 * first, 2), persons=[str(n // 2) for n in range(18)])
    assert (doubled.pairs, doubled.persons, doubled.is_few, doubled.p_value) == (18, 9, True, None)
    assert doubled.ci95 == pytest.approx(alone.ci95)
    assert compare_pairs([0.5, 0.6], [0.6, 0.8], persons=["a", "a"]).ci95 is None

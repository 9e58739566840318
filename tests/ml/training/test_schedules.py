"""Learning rates over a run."""

import math

import pytest

from ml.training.configuration import Schedule
from ml.training.schedules import learning_rate_share


def test_warm_up_rises_linearly_and_its_first_step_is_not_lost():
    for name in ("constant", "cosine", "plateau"):
        schedule = Schedule(name=name, warmup_epochs=2)
        assert learning_rate_share(schedule, 0, 10) == 1e-3
        assert learning_rate_share(schedule, 0.5, 10) == 0.25
        assert learning_rate_share(schedule, 1.5, 10) == 0.75


def test_cosine_goes_from_all_to_the_minimum():
    schedule = Schedule(name="cosine", warmup_epochs=2, minimum_share=0.1)
    assert learning_rate_share(schedule, 2, 10) == 1
    assert learning_rate_share(schedule, 6, 10) == pytest.approx(0.55)
    assert learning_rate_share(schedule, 4, 10) == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2)
    assert learning_rate_share(schedule, 10, 10) == pytest.approx(0.1)
    assert learning_rate_share(schedule, 11, 10) == pytest.approx(0.1)


def test_warm_up_as_long_as_the_run_divides_by_nothing():
    assert learning_rate_share(Schedule(name="cosine", warmup_epochs=3), 3, 3) == pytest.approx(1)


def test_constant_stays_and_plateau_leaves_it_to_its_scheduler():
    assert learning_rate_share(Schedule(name="constant"), 5, 10) == 1
    assert learning_rate_share(Schedule(name="plateau", warmup_epochs=1), 1, 10) is None

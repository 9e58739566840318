"""Figures of a card: every one with its set, its patients and its aggregation."""

import pytest

from ml.datasets import DatasetError, list_cases
from ml.packaging.card_metrics import HEADLINE_NAMES, NAMES, measure_model
from tests.ml.evaluation.conftest import FakeEngine, square, write_case


@pytest.fixture
def data(tmp_path):
    """One patient who is found, with a false alarm, and one who is missed by half."""
    nothing = square(0, 0, 0)
    write_case(tmp_path, "one", "a", square(4, 4, 8), square(4, 4, 8))
    write_case(tmp_path, "one", "b", square(20, 20, 4, value=180), nothing)
    write_case(tmp_path, "two", "a", square(4, 4, 8), square(4, 8, 8))
    write_case(tmp_path, "two", "b", nothing, nothing)
    return tmp_path


def test_every_figure_says_where_it_comes_from(data):
    metrics = measure_model(FakeEngine(), list_cases(data), "test", note="grey: FLAIR alone")
    assert [metric.name for metric in metrics] == list(NAMES)
    for metric in metrics:
        assert (metric.set, metric.patients) == ("test", 2)
        assert metric.rule == "threshold 0.5, 4 pixels, fake; grey: FLAIR alone"
        assert metric.aggregation.partition(";")[0]
    values = {metric.name: metric.value for metric in metrics}
    assert values["patient_dice_mean"] == pytest.approx((128 / 144 + 0.5) / 2, abs=1e-5)
    assert (values["slice_sensitivity"], values["slice_specificity"]) == (1, 0.5)


def test_names_choose_and_keep_their_order(data):
    metrics = measure_model(FakeEngine(), list_cases(data), "test", HEADLINE_NAMES)
    assert tuple(metric.name for metric in metrics) == HEADLINE_NAMES


def test_figure_that_the_set_does_not_define_is_left_out(tmp_path):
    write_case(tmp_path, "one", "a", square(0, 0, 0), square(0, 0, 0))
    names = {metric.name for metric in measure_model(FakeEngine(), list_cases(tmp_path), "test")}
    assert "slice_specificity" in names
    assert names.isdisjoint({"patient_dice_mean", "slice_sensitivity", "slice_auc"})


def test_set_with_a_broken_slice_has_no_figures(data):
    (data / "one" / "b.png").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"one/b\.png.*whole sets alone"):
        measure_model(FakeEngine(), list_cases(data), "test")

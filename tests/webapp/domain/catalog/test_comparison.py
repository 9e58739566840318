"""Which model a reader is told to prefer: out of fold alone, by more than chance, and never by the test."""

from dataclasses import replace

import pytest

from ml.cards import Card, Metric
from ml.cards.card import Training
from tests.ml.evaluation.conftest import CARD
from webapp.domain.catalog.comparison import HEADLINE, compared_with_default, headlines

FOLDS, RULES = (
    "out of fold; scaling and rules chosen on the other folds",
    "out of fold; rules chosen on the other folds",
)
CHOSEN, TEST = "out of fold; these patients chose the rules", "test (used for no choice)"


def card_of(name: str, *metrics: tuple[str, float, int], rule: str = "0 to 4 of 5", data: str = "1f") -> Card:
    """metrics: set, value and patients."""
    found = (
        Metric(HEADLINE, value, patients=patients, set=words, rule=f"{rule}; threshold of {name}; stacked")
        for words, value, patients in metrics
    )
    training = Training(data_sha256=data, test_patients=("p1", "p2"))
    return replace(CARD, name=name, training=training, metrics=(Metric("slice_auc", 0.9, set=FOLDS), *found))


def test_the_first_headline_of_each_set_is_shown() -> None:
    card = card_of("a", (TEST, 0.80, 13), (TEST, 0.79, 13), (FOLDS, 0.84, 75))
    assert [(metric.set, metric.value) for metric in headlines(card)] == [(TEST, 0.80), (FOLDS, 0.84)]


@pytest.mark.parametrize(
    ("default", "other", "is_better"),
    [
        pytest.param([(FOLDS, 0.84, 75)], [(FOLDS, 0.86, 75)], True, id="better out of fold"),
        pytest.param([(FOLDS, 0.84, 75)], [(RULES, 0.86, 75)], True, id="its scaling stayed as it was"),
        pytest.param([(FOLDS, 0.84, 75), (TEST, 0.9, 13)], [(RULES, 0.86, 75), (TEST, 0.8, 13)], True, id="test worse"),
        pytest.param([(FOLDS, 0.84, 75)], [(FOLDS, 0.849, 75)], None, id="within what a seed makes"),
        pytest.param([(FOLDS, 0.84, 60)], [(FOLDS, 0.852, 60)], None, id="within what so many patients tell"),
        pytest.param([(FOLDS, 0.80, 15)], [(FOLDS, 0.90, 15)], None, id="few patients"),
        pytest.param([(FOLDS, 0.84, 75)], [(CHOSEN, 0.9, 75)], None, id="its own patients chose its rules"),
        pytest.param([(TEST, 0.80, 13)], [(TEST, 0.95, 13)], False, id="test alone"),
        pytest.param([(TEST, 0.80, 500)], [(TEST, 0.95, 500)], False, id="a large test alone"),
        pytest.param([(TEST, 0.80, 13), (FOLDS, 0.83, 60)], [(TEST, 0.82, 13), (RULES, 0.82, 60)], False, id="shipped"),
        pytest.param([(TEST, 0.80, 13), (FOLDS, 0.8, 15)], [(TEST, 0.83, 13), (FOLDS, 0.9, 45)], False, id="unlike"),
        pytest.param([(TEST, 0.80, 13)], [(TEST, 0.90, 10)], None, id="other test patients"),
        pytest.param([(FOLDS, 0.84, 75)], [], None, id="nothing measured"),
    ],
)
def test_a_model_is_preferred_by_what_was_measured_out_of_fold_alone(
    default: list[tuple[str, float, int]], other: list[tuple[str, float, int]], is_better: bool | None
) -> None:
    """None: nothing is said of it at all."""
    cards = [card_of("used", *default), card_of("other", *other), card_of("none")]
    compared = compared_with_default(cards, "used")
    assert (compared and (compared.name, compared.is_better)) == (None if is_better is None else ("other", is_better))
    assert compared_with_default(cards, "gone") is None


@pytest.mark.parametrize("unlike", [{"rule": "0 to 3 of 4"}, {"data": "2e"}])
def test_figures_of_other_patients_prefer_no_model(unlike: dict[str, str]) -> None:
    cards = [card_of("used", (FOLDS, 0.80, 75)), card_of("other", (FOLDS, 0.95, 75), **unlike)]
    assert compared_with_default(cards, "used") is None


def test_both_figures_are_told_of_one_model() -> None:
    cards = [
        card_of("used", (TEST, 0.80, 13), (FOLDS, 0.83, 60)),
        card_of("other", (TEST, 0.82, 13), (RULES, 0.81, 60)),
    ]
    compared = compared_with_default(cards, "used")
    assert compared and compared.test and compared.out_of_fold
    assert round(compared.test.difference, 3) == 0.02
    assert round(compared.out_of_fold.difference, 3) == -0.02


def test_the_best_of_several_is_named() -> None:
    cards = [card_of(name, (FOLDS, value, 75)) for name, value in (("used", 0.80), ("b", 0.83), ("c", 0.85))]
    best = compared_with_default(cards, "used")
    assert best and best.name == "c"


def test_one_that_is_better_out_of_fold_is_named_before_one_of_a_better_test() -> None:
    cards = [
        card_of(name, (FOLDS, folds, 75), (TEST, test, 13))
        for name, folds, test in (("used", 0.8, 0.8), ("b", 0.83, 0.8), ("c", 0.8, 0.95))
    ]
    best = compared_with_default(cards, "used")
    assert best and (best.name, best.is_better) == ("b", True)

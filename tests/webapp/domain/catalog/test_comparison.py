"""Which model a reader is told to prefer: by the same set alone, and by more than another seed would make."""

from dataclasses import replace

import pytest

from ml.cards import Card, Metric
from tests.ml.evaluation.conftest import CARD
from webapp.domain.catalog.comparison import HEADLINE, better_than_default, headlines

FOLDS, TEST = "out of fold; scaling and rules chosen on the other folds", "test (used for no choice)"


def card_of(name: str, *metrics: tuple[str, float, int]) -> Card:
    """metrics: set, value and patients."""
    found = (Metric(HEADLINE, value, patients=patients, set=words) for words, value, patients in metrics)
    return replace(CARD, name=name, metrics=(Metric("slice_auc", 0.9, set=FOLDS), *found))


def test_the_first_headline_of_each_set_is_shown() -> None:
    card = card_of("a", (TEST, 0.80, 13), (TEST, 0.79, 13), (FOLDS, 0.84, 75))
    assert [(metric.set, metric.value) for metric in headlines(card)] == [(TEST, 0.80), (FOLDS, 0.84)]


@pytest.mark.parametrize(
    ("default", "other", "told"),
    [
        pytest.param([(FOLDS, 0.84, 75)], [(FOLDS, 0.86, 75)], FOLDS, id="better out of fold"),
        pytest.param([(FOLDS, 0.84, 75)], [(FOLDS, 0.849, 75)], None, id="within what a seed makes"),
        pytest.param([(TEST, 0.80, 13), (FOLDS, 0.84, 75)], [(TEST, 0.9, 13), (FOLDS, 0.83, 75)], None, id="folds"),
        pytest.param(
            [(TEST, 0.80, 13), (FOLDS, 0.84, 15)], [(TEST, 0.83, 13), (FOLDS, 0.9, 45)], TEST, id="folds differ"
        ),
        pytest.param([(TEST, 0.80, 13)], [(TEST, 0.90, 10)], None, id="other test patients"),
        pytest.param([(FOLDS, 0.84, 75)], [], None, id="nothing measured"),
    ],
)
def test_models_are_compared_on_a_set_that_both_have(default: list, other: list, told: str | None) -> None:
    cards = [card_of("used", *default), card_of("other", *other), card_of("none")]
    better = better_than_default(cards, "used")
    assert (better and (better.name, better.metric.set)) == (told and ("other", told))
    assert better_than_default(cards, "gone") is None


def test_the_best_of_several_is_named() -> None:
    cards = [card_of(name, (FOLDS, value, 75)) for name, value in (("used", 0.80), ("b", 0.83), ("c", 0.85))]
    assert better_than_default(cards, "used").name == "c"

"""Which model did best on patients that it had never seen: what a reader wants to know before choosing one.

A test is reported and chooses nothing: no model is preferred by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from ml.cards import Card, Metric

HEADLINE = "patient_dice_mean"
# Of the mean patient Dice; less than that lies within what another seed makes of the same recipe.
MARGIN = 0.01
# Half of the 95 % interval of a difference patient by patient, times the root of the number of patients. Of the shipped
# models it is 0.010 to 0.013 on 60 patients (docs/training.md).
SPREAD = 0.1
# Fewer patients prefer no model, whatever the difference: the interval above is of a mean that is nearly normal.
FEWEST_PATIENTS = 30


@dataclass(frozen=True)
class Pair:
    """One figure of a model and of the default, taken of the same patients."""

    own: Metric
    default: Metric

    @property
    def difference(self) -> float:
        """The mean over the patients of the model's less the default's."""
        return self.own.value - self.default.value

    @property
    def is_reason(self) -> bool:
        """Whether the model may be preferred for it."""
        patients = self.own.patients or 0
        return patients >= FEWEST_PATIENTS and self.difference > max(MARGIN, SPREAD / sqrt(patients))


@dataclass(frozen=True)
class Comparison:
    """A model beside the default. out_of_fold, test: None where the cards have no such figure of the same patients."""

    name: str
    out_of_fold: Pair | None
    test: Pair | None

    @property
    def is_better(self) -> bool:
        """By networks that had not seen the patients, with rules that others had chosen; never by the test."""
        return self.out_of_fold is not None and self.out_of_fold.is_reason


def headlines(card: Card) -> tuple[Metric, ...]:
    """The headline on each set of patients, under the first rule that the card gives for it."""
    found: dict[str | None, Metric] = {}
    for metric in card.metrics:
        if metric.name == HEADLINE:
            found.setdefault(metric.set, metric)
    return tuple(found.values())


def compared_with_default(cards: Sequence[Card], default_name: str) -> Comparison | None:
    """The one model beside the default of which a reader should know; None where there is none.

    The best out of fold, if one is better; else the one whose figure on the test is highest above the default's by more
    than MARGIN, so that both figures are said where they are read.
    """
    default = next((card for card in cards if card.name == default_name), None)
    if default is None:
        return None
    found = [
        Comparison(card.name, _out_of_fold(card, default), _test(card, default))
        for card in cards
        if card is not default
    ]
    better = [(one.out_of_fold.difference, one) for one in found if one.out_of_fold and one.is_better]
    higher = [(one.test.difference, one) for one in found if one.test and one.test.difference > MARGIN]
    return max(better or higher, key=lambda pair: pair[0], default=(0.0, None))[1]


def _out_of_fold(card: Card, default: Card) -> Pair | None:
    """Of the same folds of the same data. What the other folds chose may be more for one than for the other."""
    if card.training is None or default.training is None or card.training.data_sha256 != default.training.data_sha256:
        return None
    return next(
        (
            Pair(own, its)
            for its in headlines(default)
            for own in headlines(card)
            if own.is_nested and its.is_nested and own.folds and (own.folds, own.patients) == (its.folds, its.patients)
        ),
        None,
    )


def _test(card: Card, default: Card) -> Pair | None:
    """Of patients by the same names, where the cards name them."""
    if _test_patients(card) != _test_patients(default):
        return None
    return next(
        (
            Pair(own, its)
            for its in headlines(default)
            for own in headlines(card)
            if own.is_test and (own.set, own.patients) == (its.set, its.patients)
        ),
        None,
    )


def _test_patients(card: Card) -> frozenset[str]:
    return frozenset((card.training and card.training.test_patients) or ())

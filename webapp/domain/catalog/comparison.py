"""Which model did best on patients that it had never seen: what a reader wants to know before choosing one."""

from collections.abc import Sequence
from dataclasses import dataclass

from ml.cards import Card, Metric

HEADLINE = "patient_dice_mean"
# Of the mean patient Dice; less than that lies within what another seed makes of the same recipe.
MARGIN = 0.01


@dataclass(frozen=True)
class Better:
    """A model whose headline is above the default's, on the same set: what was measured of each."""

    name: str
    metric: Metric
    default: Metric


def headlines(card: Card) -> tuple[Metric, ...]:
    """The headline on each set of patients, under the first rule that the card gives for it."""
    found: dict[str | None, Metric] = {}
    for metric in card.metrics:
        if metric.name == HEADLINE:
            found.setdefault(metric.set, metric)
    return tuple(found.values())


def better_than_default(cards: Sequence[Card], default_name: str) -> Better | None:
    """The best of the cards, if it is above the default's by more than MARGIN.

    Two are compared on the out-of-fold set where both have one of equally many patients, for that chose no model's
    weights and has the most patients; else on another set of the same name and size.
    """
    default = next((card for card in cards if card.name == default_name), None)
    if default is None:
        return None
    pairs = (_shared_set(card, default) for card in cards if card is not default)
    better = [pair for pair in pairs if pair is not None and pair.metric.value - pair.default.value > MARGIN]
    return max(better, key=lambda pair: pair.metric.value - pair.default.value, default=None)


def _shared_set(card: Card, default: Card) -> Better | None:
    of_default = sorted(headlines(default), key=lambda metric: not metric.is_out_of_fold)
    return next(
        (
            Better(card.name, own, its)
            for its in of_default
            for own in headlines(card)
            if its.set is not None and (own.set, own.patients) == (its.set, its.patients)
        ),
        None,
    )

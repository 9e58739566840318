"""Which slices a report shows first: the worst, the best, and the largest false alarms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

GALLERY_SIZE = 6
# Each order's key, and its title.
ORDERS = {
    "worst": "Worst slices with tumor",
    "false_alarm": "Largest false alarms",
    "best": "Best slices with tumor",
}

Item = TypeVar("Item")


@dataclass(frozen=True)
class Rank:
    """What a slice's place follows from. dice: None where the truth is empty."""

    dice: float | None
    predicted_pixels: int


def choose_gallery(items: Sequence[Item], rank_of: Callable[[Item], Rank]) -> dict[str, list[Item]]:
    """The slices of each order, the first one foremost; of few slices none is both worst and best.

    items: in the order of the data set. Equal ones stay in it among the worst and are turned round among the best and
    the largest, as a database walks an index forward and backward.
    """
    ranked = [(rank_of(item), place, item) for place, item in enumerate(items)]
    with_tumor = [(rank.dice, place, item) for rank, place, item in ranked if rank.dice is not None]
    alarms = [(float(rank.predicted_pixels), place, item) for rank, place, item in ranked if rank.dice is None]
    with_tumor.sort(key=_value_and_place)
    worst = with_tumor[:GALLERY_SIZE]
    best = with_tumor[len(worst) :][::-1][:GALLERY_SIZE]
    largest = sorted((found for found in alarms if found[0]), key=_value_and_place, reverse=True)[:GALLERY_SIZE]
    chosen = {"worst": worst, "false_alarm": largest, "best": best}
    return {order: [item for _, _, item in chosen[order]] for order in ORDERS}


def _value_and_place(found: tuple[float, int, Item]) -> tuple[float, int]:
    return found[:2]

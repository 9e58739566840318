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
    """What a slice's place follows from. dice: None where the truth is empty; missed_pixels: of the truth."""

    dice: float | None
    predicted_pixels: int
    missed_pixels: int = 0


def choose_gallery(items: Sequence[Item], rank_of: Callable[[Item], Rank]) -> dict[str, list[Item]]:
    """The slices of each order, the first one foremost; of few slices none is both worst and best.

    items: in the order of the data set. Of equally bad ones those that miss most come first. Else equal ones stay in
    order among the worst and are turned round among the best and the largest, as a database walks an index forward and
    backward.
    """
    ranked = [(rank_of(item), place, item) for place, item in enumerate(items)]
    with_tumor = [(rank.dice, place, item) for rank, place, item in ranked if rank.dice is not None]
    alarms = [(float(rank.predicted_pixels), place, item) for rank, place, item in ranked if rank.dice is None]
    with_tumor.sort(key=_value_and_place)
    missed = {place: rank.missed_pixels for rank, place, _ in ranked}
    worst = sorted(with_tumor, key=lambda found: (found[0], -missed[found[1]], found[1]))[:GALLERY_SIZE]
    shown = {place for _, place, _ in worst}
    best = [found for found in reversed(with_tumor) if found[1] not in shown][:GALLERY_SIZE]
    largest = sorted((found for found in alarms if found[0]), key=_value_and_place, reverse=True)[:GALLERY_SIZE]
    chosen = {"worst": worst, "false_alarm": largest, "best": best}
    return {order: [item for _, _, item in chosen[order]] for order in ORDERS}


def _value_and_place(found: tuple[float, int, Item]) -> tuple[float, int]:
    return found[:2]

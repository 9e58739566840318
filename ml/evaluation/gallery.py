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
    """What a slice's place follows from. dice: None where the truth is empty; name: tells equal ones apart."""

    dice: float | None
    predicted_pixels: int
    name: tuple[str, ...]

    @property
    def by_dice(self) -> tuple[float, tuple[str, ...]]:
        """The worst first."""
        return self.dice or 0.0, self.name

    @property
    def by_size(self) -> tuple[int, tuple[str, ...]]:
        """The largest first."""
        return -self.predicted_pixels, self.name


def choose_gallery(items: Sequence[Item], rank_of: Callable[[Item], Rank]) -> dict[str, list[Item]]:
    """The slices of each order, the first one foremost; of few slices none is both worst and best."""
    ranked = [(rank_of(item), item) for item in items]
    with_tumor = sorted((found for found in ranked if found[0].dice is not None), key=lambda found: found[0].by_dice)
    alarms = [found for found in ranked if found[0].dice is None and found[0].predicted_pixels]
    worst = with_tumor[:GALLERY_SIZE]
    best = with_tumor[len(worst) :][::-1][:GALLERY_SIZE]
    largest = sorted(alarms, key=lambda found: found[0].by_size)[:GALLERY_SIZE]
    return {order: [item for _, item in members] for order, members in zip(ORDERS, (worst, largest, best), strict=True)}

"""Which slices a report shows first: the worst, the best, and the largest false alarms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

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


class GalleryMaps:
    """The probability maps of the slices that would be in the gallery, kept while slices are evaluated one by one: of a
    gallery's slices, of which there are three times GALLERY_SIZE, and no more.

    Whatever is chosen of all slices is chosen of each beginning of them, too, though perhaps in another order.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[Path, Rank, NDArray[np.uint8]]] = []

    def add(self, found: Sequence[tuple[Path, Rank, NDArray[np.uint8]]]) -> None:
        """The next slices, in the order of the data set: image, rank and map, uint8 (H, W)."""
        before = {image for image, _, _ in self._kept}
        chosen = choose_gallery([*self._kept, *found], lambda item: item[1])
        images = {image for members in chosen.values() for image, _, _ in members}
        # A slice's map is a part of its piece's, which would stay as a whole.
        self._kept = [
            (image, rank, probability_u8 if image in before else probability_u8.copy())
            for image, rank, probability_u8 in (*self._kept, *found)
            if image in images
        ]

    @property
    def by_image(self) -> dict[Path, NDArray[np.uint8]]:
        """The maps, by their slices' images."""
        return {image: probability_u8 for image, _, probability_u8 in self._kept}


def _value_and_place(found: tuple[float, int, Item]) -> tuple[float, int]:
    return found[:2]

"""Slices as a network that takes neighbors is given them: alone, as single uploads are, and in their stacks.

Whatever is chosen or measured on slices is of both then. A network without neighbors is given each slice once.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ml.datasets import Case
from ml.datasets.stacks import find_stacks
from ml.engines import Engine, Inference
from ml.engines.context import Context, places_around


class Surroundings:
    """The slices around those of a data set."""

    def __init__(self, cases: Sequence[Case] = (), neighbors: int = 0) -> None:
        """cases: of the whole data set, so that no neighbor lacks. neighbors: as the network, or any member, takes."""
        found = places_around(find_stacks(cases), neighbors) if neighbors else {}
        self._around = {_key(cases[place]): [cases[one] for one in around] for place, around in found.items()}

    def ways(self, case: Case) -> tuple[NDArray[np.uint8], ...]:
        """The slice alone, uint8 (1, H, W, 3), and between its neighbors, (S, H, W, 3), where it has any.

        Neighbors of another size are none. Raises DatasetError, and KeyError for a
        case that is not of the data set.
        """
        pixels = case.pixels()
        around = self._around[_key(case)] if self._around else [case]
        taken = [pixels if one == case else one.pixels() for one in around]
        if all(one == case for one in around) or any(one.shape != pixels.shape for one in taken):
            return (pixels[None],)
        return pixels[None], np.stack(taken)

    def all_ways(self, cases: Iterable[Case]) -> Iterator[NDArray[np.uint8]]:
        """`ways` of every case, one after the other."""
        for case in cases:
            yield from self.ways(case)


# Of a network without neighbors.
ALONE = Surroundings()


def ask_middle(engine: Engine, way: NDArray[np.uint8]) -> Inference:
    """What the engine says of the slice in the middle, and of no other. way: of `ways`, uint8 (S, H, W, 3)."""
    if len(way) == 1:
        return engine.infer(way)
    middle = len(way) // 2
    return engine.infer(way, Context(np.zeros(len(way), dtype=np.intp), middle, middle + 1))


def _key(case: Case) -> tuple[str, str, str]:
    return case.patient, str(case.image.parent), case.name

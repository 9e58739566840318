"""Where slices lie in their stacks: a cascade asks about a slice what its neighbors show. Never imports torch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Context:
    """Slices that an engine is given together: which of them lie on each other, and which it is asked for.

    stack_of: int (N,); slices next to each other with the same number lie on each other. start, stop: the slices asked
    for; the others are given as neighbors of these alone.
    """

    stack_of: NDArray[np.intp]
    start: int
    stop: int

    @classmethod
    def of_stack(cls, count: int) -> "Context":
        """One stack, all of it asked for."""
        return cls(np.zeros(count, dtype=np.intp), 0, count)

    @classmethod
    def of_single(cls, count: int) -> "Context":
        """Slices without neighbors."""
        return cls(np.arange(count), 0, count)

    @classmethod
    def of_stacks(cls, stacks: Sequence[Sequence[int]]) -> "Context":
        """Stacks one after the other, by the places of their slices."""
        lengths = [len(stack) for stack in stacks]
        return cls(np.repeat(np.arange(len(stacks)), lengths), 0, sum(lengths))

    @property
    def asked(self) -> slice:
        """The places of the slices asked for."""
        return slice(self.start, self.stop)

    @property
    def is_joined(self) -> NDArray[np.bool]:
        """The slices that lie on the one before them, bool (N,)."""
        joined: NDArray[np.bool] = np.diff(self.stack_of, prepend=-1) == 0
        return joined

    def pieces(self, size: int, neighbors: int) -> Iterator[tuple[slice, "Context"]]:
        """The slices asked for, `size` at a time, each piece with up to `neighbors` of its stack on either side.

        Yields the places of the slices to give to the engine, and their own context.
        """
        for start in range(self.start, self.stop, size):
            stop = min(start + size, self.stop)
            given = Context(self.stack_of, start, stop).widened(neighbors).asked
            yield given, Context(self.stack_of[given], start - given.start, stop - given.start)

    def _continues(self, place: int) -> bool:
        """Whether this slice lies on the one before it."""
        return bool(self.stack_of[place] == self.stack_of[place - 1])

    def around(self, place: int, neighbors: int) -> list[int]:
        """The places of a slice and so many of its stack on either side, from the lowest on.

        The lowest and the highest slice of the stack stand in for those beyond.
        """
        first = last = place
        while place - first < neighbors and first > 0 and self._continues(first):
            first -= 1
        while last - place < neighbors and last + 1 < len(self.stack_of) and self._continues(last + 1):
            last += 1
        return [min(max(one, first), last) for one in range(place - neighbors, place + neighbors + 1)]

    def widened(self, neighbors: int) -> "Context":
        """The same slices, with up to so many of the stack on either side asked for as well."""
        if not len(self.stack_of) or self.start == self.stop:
            return self
        first, last = self.around(self.start, neighbors)[0], self.around(self.stop - 1, neighbors)[-1]
        return Context(self.stack_of, first, last + 1)

    def runs(self, is_chosen: NDArray[np.bool]) -> Iterator["Context"]:
        """The chosen ones of the slices asked for, bool (stop - start,), as pieces without a gap, in order."""
        edges = np.flatnonzero(np.diff(is_chosen, prepend=False, append=False))
        for first, last in edges.reshape(-1, 2).tolist():
            yield Context(self.stack_of, self.start + first, self.start + last)

    def spread(self, is_seen: NDArray[np.bool], neighbors: int) -> NDArray[np.bool]:
        """The slices, bool (N,), that have a seen one among themselves and their neighbors, or have no neighbors.

        is_seen: bool (N,). A slice without neighbors counts as seen: nothing beside it can say what it hides.
        """
        is_joined = np.diff(self.stack_of) == 0  # (N - 1,), slice i + 1 lies on slice i
        has_neighbor = np.zeros(len(is_seen), dtype=np.bool)
        has_neighbor[1:] |= is_joined
        has_neighbor[:-1] |= is_joined
        spread = is_seen | ~has_neighbor
        for _ in range(neighbors):
            reached = spread.copy()
            reached[1:] |= spread[:-1] & is_joined
            reached[:-1] |= spread[1:] & is_joined
            spread = reached
        return spread


def places_around(stacks: Iterable[Sequence[int]], neighbors: int) -> dict[int, list[int]]:
    """For each place in these stacks its own and those of so many neighbors, as `Context.around` has them."""
    around: dict[int, list[int]] = {}
    for stack in stacks:
        context = Context.of_stack(len(stack))
        for index, place in enumerate(stack):
            around[place] = [stack[one] for one in context.around(index, neighbors)]
    return around

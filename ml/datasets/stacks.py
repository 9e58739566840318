"""Which slices of a patient lie on each other: those with consecutive numbers at the end of their names."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from ml.datasets.case import Case


def find_stacks(cases: Sequence[Case]) -> tuple[tuple[int, ...], ...]:
    """Places of the cases, a stack each, from its lowest number on. A slice without neighbors is a stack of its own."""
    numbered: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    stacks: list[tuple[int, ...]] = []
    for place, case in enumerate(cases):
        found = re.fullmatch(r"(.*?)(\d+)", case.name)
        if found is None:
            stacks.append((place,))
        else:
            numbered[case.patient, found[1]].append((int(found[2]), place))
    for slices in (part for found in numbered.values() for part in _apart(cases, found)):
        slices.sort()
        starts = [index for index, (number, _) in enumerate(slices) if index == 0 or number != slices[index - 1][0] + 1]
        for start, end in zip(starts, [*starts[1:], len(slices)], strict=True):
            stacks.append(tuple(place for _, place in slices[start:end]))
    return tuple(sorted(stacks, key=min))


def _apart(cases: Sequence[Case], slices: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Numbers with places, all of them; where a number comes twice, those of each folder, which are stacks apart."""
    if len({number for number, _ in slices}) == len(slices):
        return [slices]
    of_folder: dict[Path, list[tuple[int, int]]] = defaultdict(list)
    for number, place in slices:
        of_folder[cases[place].image.parent].append((number, place))
    return list(of_folder.values())


def parts_of_one_size(places: Sequence[int], shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """A stack's places in parts of neighbors of one size, from its lowest slice up; slices of several fit no array.

    shapes: of each case's picture, by place.
    """
    for _, part in groupby(places, key=lambda place: shapes[place]):
        yield tuple(part)

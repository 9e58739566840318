"""Are a patient's masks another patient's? Where they agree with the result of another patient of the data as no two
patients' tumors do, and hardly with their own's.

Stacks are laid on each other slice by slice from the first one on: who gave masks to the wrong images did it by number.
Another patient whose own masks fit has no use for these, unless they are the same masks twice. The bounds were checked
on the LGG data (docs/evaluation.md): with right masks nothing is said, also where many results are wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.outlines import unpack_outlines
from ml.metrics.overlap import Counts

_FEWEST_SLICES = 5
# The most that masks agree with their own patient, and the least that they do with the other: of the LGG data no two
# patients' masks reach 0.69, and of exchanged ones nine in ten stay below 0.2 beside the wrong result.
_MOST_AS_GIVEN, _LEAST_THERE = 0.35, 0.7
# The same masks, given to two patients.
_LEAST_EQUAL = 0.9
# Pairs of stacks that are laid on each other in seconds; of more patients nobody is named.
_MOST_PAIRS = 500_000


@dataclass(frozen=True)
class Exchange:
    """A patient whose masks fit another one. slices: with tumor; given, there: agreement with either's result."""

    patient: str
    other: str
    slices: int
    given: Counts
    there: Counts


@dataclass(frozen=True)
class _Stacks:
    """Of patients whose slices have one grid. truth, mask: packed bits, uint8 (patients, longest stack, bytes)."""

    patients: tuple[str, ...]
    truth: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    slices: NDArray[np.int64]  # (patients,)


def find_exchanges(outlines: Mapping[str, Sequence[bytes]]) -> Iterator[Exchange]:
    """Patients whose masks fit another's result, at most one for each. outlines: of each patient's slices in order, of
    `pack_outlines`."""
    for stacks in _by_grid(outlines):
        both = [_overlaps(truth, mask[None])[0] for truth, mask in zip(stacks.truth, stacks.mask, strict=True)]
        truths, masks = _areas(stacks.truth), _areas(stacks.mask)
        own = _dice(np.array(both), truths, masks)
        is_asked = (stacks.slices >= _FEWEST_SLICES) & (own < _MOST_AS_GIVEN)
        asked = np.flatnonzero(is_asked)
        if len(asked) * len(stacks.patients) > _MOST_PAIRS:
            continue
        for place in asked:
            shared = _overlaps(stacks.truth[place], stacks.mask)
            dice = _dice(shared, truths[place], masks)
            dice[place] = 0.0
            other = int(dice.argmax())
            if dice[other] < _LEAST_THERE:
                continue
            equal = _overlaps(stacks.truth[place], stacks.truth[other, None])
            if own[other] < _MOST_AS_GIVEN or _dice(equal, truths[place], truths[other])[0] >= _LEAST_EQUAL:
                yield Exchange(
                    stacks.patients[place],
                    stacks.patients[other],
                    int(stacks.slices[place]),
                    _counts(both[place], truths[place], masks[place]),
                    _counts(shared[other], truths[place], masks[other]),
                )


def _by_grid(outlines: Mapping[str, Sequence[bytes]]) -> Iterator[_Stacks]:
    """The patients of each grid; those of several are left out."""
    groups: dict[bytes, list[str]] = {}
    for patient, stack in outlines.items():
        grids = {one[:3] for one in stack}  # of `pack_outlines`
        if len(grids) == 1 and len(stack) > 1:
            groups.setdefault(grids.pop(), []).append(patient)
    for patients in groups.values():
        if len(patients) > 1:
            yield _stacked(patients, [outlines[patient] for patient in patients])


def _stacked(patients: Sequence[str], stacks: Sequence[Sequence[bytes]]) -> _Stacks:
    """Both masks of all, shorter stacks filled with nothing."""
    first = unpack_outlines(stacks[0][0]).truth
    shape = len(stacks), max(map(len, stacks)), (first.size + 7) // 8
    truth, mask = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for place, stack in enumerate(stacks):
        for index, packed in enumerate(stack):
            one = unpack_outlines(packed)
            truth[place, index], mask[place, index] = np.packbits(one.truth), np.packbits(one.mask)
    return _Stacks(tuple(patients), truth, mask, np.count_nonzero(truth.any(axis=2), axis=1))


def _areas(stacks: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels of each patient: int64 (patients,)."""
    areas: NDArray[np.int64] = np.bitwise_count(stacks).sum(axis=(1, 2), dtype=np.int64)
    return areas


def _overlaps(stack: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels that one patient's stack (slices, bytes) shares with each of others (patients, slices, bytes)."""
    used = np.flatnonzero(stack.any(axis=1))
    return _areas(others[:, used] & stack[used])


def _dice(
    both: NDArray[np.int64], truth: NDArray[np.int64] | np.int64, mask: NDArray[np.int64] | np.int64
) -> NDArray[np.float64]:
    dice: NDArray[np.float64] = 2 * both / np.maximum(truth + mask, 1)
    return dice


def _counts(both: np.int64, truth: np.int64, mask: np.int64) -> Counts:
    return Counts(int(both), int(mask - both), int(truth - both))

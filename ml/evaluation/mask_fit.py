"""Do the expert's masks lie on their images? Where a model agrees far better with the same masks turned, mirrored, in
another order or on another patient, it is they that lie wrongly: no model finds tumors on the wrong side of every head.

The bounds are a first guess that was checked on the LGG data (docs/evaluation.md): with its own masks, and with poor
models, nothing is said.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ml.evaluation.arrangements import ARRANGEMENTS, GIVEN, Arrangement
from ml.evaluation.exchanges import Exchange, find_exchanges
from ml.evaluation.outlines import Outlines, unpack_outlines
from ml.evaluation.scoring import Score
from ml.metrics.overlap import Counts

# Fewer slices with tumor tell nothing, of all patients and of one.
_FEWEST_SLICES, _FEWEST_SLICES_OF_ONE = 10, 5
_MOST_AS_GIVEN, _LEAST_GAIN, _LEAST_GAIN_OF_ONE = 0.5, 0.25, 0.35
# Of few patients, and of one among others, a model may mark a wrong place that is right in a mirror.
_FEW_PATIENTS, _LEAST_DICE_OF_FEW = 3, 0.6
_SHARE_OF_PATIENTS = 0.5
# Masks that are off by a slice or two still look right: little is gained, but for nearly every patient.
_LEAST_SMALL_GAIN, _SHARE_OF_SMALL_GAINS = 0.05, 0.8
_MOST_NAMED = 5
_ANOTHER, _OF_ANOTHER = "another_patient", "beside another patient"


@dataclass(frozen=True)
class Misfit:
    """How masks agree better than as they are. patients: whose do, all or some of `of_patients` with tumor.

    is_whole: whether it is said of the data set. dice_as_given, dice_arranged: of `slices` with tumor, on a small grid.
    others: of masks that fit another patient, whom those of each of `patients` fit; else empty.
    """

    arrangement: str
    words: str
    is_whole: bool
    patients: tuple[str, ...]
    of_patients: int
    slices: int
    dice_as_given: float
    dice_arranged: float
    others: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What is wrong, by which figures, and what to do."""
        figures = f"Dice {self.dice_as_given:.2f} as given, {self.dice_arranged:.2f} so"
        better = "far better" if self.dice_arranged >= self.dice_as_given + _LEAST_GAIN else "better"
        remedy = "Check how they were exported; all figures are of the masks as they were given."
        if self.is_whole:
            of = f", better for {len(self.patients):,} of {self.of_patients:,} patients" if self.of_patients > 1 else ""
            return (
                f"The masks fit the images {better} {self.words}: {figures}, over {self.slices:,} slices with"
                f" tumor{of}. {remedy}"
            )
        fit = [f" (beside {other})" for other in self.others] or [""] * len(self.patients)
        named = ", ".join(map("".join, list(zip(self.patients, fit, strict=True))[:_MOST_NAMED]))
        if len(self.patients) > _MOST_NAMED:
            named += f" and {len(self.patients) - _MOST_NAMED:,} more"
        noun = "patient" if self.of_patients == 1 else "patients"
        return (
            f"The masks of {len(self.patients):,} of {self.of_patients:,} {noun} fit the images {better}"
            f" {self.words} ({figures}): {named}. {remedy}"
        )


class _Slice(NamedTuple):
    patient: str
    name: str
    outlines: bytes


# Of one patient: the agreement in each of ARRANGEMENTS, over the slices whose mask has tumor.
_Fits = list[Counts]


def find_misfits(scores: Sequence[Score]) -> tuple[Misfit, ...]:
    """How the masks of all patients, or else of some, agree far better than as they are; empty where they do not.

    scores: in the order of the cases. Slices that were written down without outlines are not asked.
    """
    fits = _fits_of_patients(
        [_Slice(one.patient, one.case.image.name, one.outlines) for one in scores if one.outlines is not None]
    )
    if sum(slices for slices, _ in fits.values()) < _FEWEST_SLICES:
        return ()
    whole = _whole(fits)
    if whole is not None:
        return (whole,)
    exchanges = [one for one in _exchanges(scores) if one.patient in fits]
    better = [one for one in exchanges if _dice(one.there) >= max(map(_dice, fits[one.patient][1]))]
    passed = {one.patient for one in better}
    turned = _of_some({patient: fit for patient, fit in fits.items() if patient not in passed}, len(fits))
    return (*turned, *_of_others(better, len(fits)))


def find_misfit_of_stack(outlines: Sequence[bytes]) -> Misfit | None:
    """The same of one scan. outlines: of its slices in order, of `pack_outlines`."""
    fits = _fits_of_patients([_Slice("", str(place), one) for place, one in enumerate(outlines)])
    has_enough = len(outlines) > 1 and sum(slices for slices, _ in fits.values()) >= _FEWEST_SLICES
    return _whole(fits) if has_enough else None


def _fits_of_patients(slices: Sequence[_Slice]) -> dict[str, tuple[int, _Fits]]:
    """By patient: slices with tumor, and fits; only patients with tumor."""
    stacks: dict[str, list[_Slice]] = {}
    for one in slices:
        stacks.setdefault(one.patient, []).append(one)
    if all(len(stack) == 1 for stack in stacks.values()):
        # Nobody knows who the patients are: the order of the files is that of one stack.
        pairs = zip(slices, _fits_of_stack(slices), strict=True)
        return {one.patient: (1, fits) for one, fits in pairs if fits is not None}
    found: dict[str, tuple[int, _Fits]] = {}
    for patient, stack in stacks.items():
        of_slices = [fits for fits in _fits_of_stack(stack) if fits is not None]
        if of_slices:
            found[patient] = (len(of_slices), _pool(of_slices))
    return found


def _fits_of_stack(stack: Sequence[_Slice]) -> list[_Fits | None]:
    """For each slice; None where its mask has no tumor."""
    names = [one.name for one in stack]
    orders = {arrangement.order: None for arrangement in ARRANGEMENTS}
    places = {order: range(len(stack)) if order is None else order.places(names) for order in orders}
    found: list[_Fits | None] = []
    for index, given in enumerate(stack):
        one = unpack_outlines(given.outlines)
        if not one.truth.any():
            found.append(None)
            continue
        there = {
            order: None if (place := of[index]) is None else unpack_outlines(stack[place].outlines)
            for order, of in places.items()
        }
        found.append([_compare(one, there[arrangement.order], arrangement) for arrangement in ARRANGEMENTS])
    return found


def _compare(mask: Outlines, slice_: Outlines | None, arrangement: Arrangement) -> Counts:
    """A truth, arranged, beside the model's mask of the slice where it would belong."""
    truth = int(np.count_nonzero(mask.truth))
    if slice_ is None or slice_.mask.shape != mask.truth.shape:
        return Counts(false_negative=truth)
    if not (mask.is_square or arrangement.turn.keeps_shape):
        return Counts(false_negative=truth)
    predicted = int(np.count_nonzero(slice_.mask))
    both = int(np.count_nonzero(arrangement.turn.apply(mask.truth) & slice_.mask)) if predicted else 0
    return Counts(both, predicted - both, truth - both)


def _pool(fits: Iterable[_Fits]) -> _Fits:
    return [sum(of_one, Counts()) for of_one in zip(*fits, strict=True)]


def _dice(counts: Counts) -> float:
    total = counts.truth + counts.predicted
    return 2 * counts.true_positive / total if total else 0.0


def _gainers(fits: dict[str, tuple[int, _Fits]], place: int) -> tuple[str, ...]:
    return tuple(patient for patient, (_, of_one) in fits.items() if _dice(of_one[place]) > _dice(of_one[0]))


def _whole(fits: dict[str, tuple[int, _Fits]]) -> Misfit | None:
    """Of all patients together."""
    slices = sum(count for count, _ in fits.values())
    pooled = _pool(of_one for _, of_one in fits.values())
    given = _dice(pooled[0])
    best = max(range(len(ARRANGEMENTS)), key=lambda place: _dice(pooled[place]))
    arrangement, dice = ARRANGEMENTS[best], _dice(pooled[best])
    gainers = _gainers(fits, best)
    is_far = given < _MOST_AS_GIVEN and dice >= given + _LEAST_GAIN
    is_far &= len(fits) >= _FEW_PATIENTS or dice >= _LEAST_DICE_OF_FEW
    is_far &= len(gainers) > _SHARE_OF_PATIENTS * len(fits)
    is_near = arrangement.is_small and dice >= given + _LEAST_SMALL_GAIN and len(fits) >= _FEW_PATIENTS
    is_near &= len(gainers) >= _SHARE_OF_SMALL_GAINS * len(fits)
    if arrangement is GIVEN or not (is_far or is_near):
        return None
    return Misfit(arrangement.code, arrangement.words, True, gainers, len(fits), slices, given, dice)


def _of_some(fits: dict[str, tuple[int, _Fits]], of_patients: int) -> tuple[Misfit, ...]:
    """Of single patients, those with the same arrangement together."""
    turned: dict[int, list[str]] = {}
    for patient, (slices, of_one) in fits.items():
        best = max(range(len(ARRANGEMENTS)), key=lambda place: _dice(of_one[place]))
        given, dice = _dice(of_one[0]), _dice(of_one[best])
        is_far = given < _MOST_AS_GIVEN and dice >= max(_LEAST_DICE_OF_FEW, given + _LEAST_GAIN_OF_ONE)
        if slices >= _FEWEST_SLICES_OF_ONE and is_far:
            turned.setdefault(best, []).append(patient)
    found = []
    for place, patients in sorted(turned.items()):
        pooled = _pool(fits[patient][1] for patient in patients)
        found.append(
            Misfit(
                ARRANGEMENTS[place].code,
                ARRANGEMENTS[place].words,
                False,
                tuple(patients),
                of_patients,
                sum(fits[patient][0] for patient in patients),
                _dice(pooled[0]),
                _dice(pooled[place]),
            )
        )
    return tuple(found)


def _exchanges(scores: Sequence[Score]) -> Iterable[Exchange]:
    outlines: dict[str, list[bytes]] = {}
    for one in scores:
        if one.outlines is not None:
            outlines.setdefault(one.patient, []).append(one.outlines)
    return find_exchanges(outlines)


def _of_others(found: Sequence[Exchange], of_patients: int) -> tuple[Misfit, ...]:
    """Of patients whose masks fit another one of the data."""
    if not found:
        return ()
    patients, others = tuple(one.patient for one in found), tuple(one.other for one in found)
    given, there = (
        _dice(sum(counts, Counts())) for counts in ([one.given for one in found], [one.there for one in found])
    )
    slices = sum(one.slices for one in found)
    return (Misfit(_ANOTHER, _OF_ANOTHER, False, patients, of_patients, slices, given, there, others),)

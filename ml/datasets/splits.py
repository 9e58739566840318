"""Patients divided into training, validation and test, or into folds: seeded, and alike in tumor.

Patients are ranked by their tumor pixels and dealt out along the ranking (systematic sampling), in an order shuffled
inside blocks; of `DRAWS` such draws the one is taken whose sides differ least in tumor. Nothing of a patient is ever
on two sides, nor of a person whom a data set has at several times (`time_points`).
"""

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ml.datasets.analysis import PatientCounts
from ml.datasets.case import DatasetError
from ml.datasets.time_points import person_of

SIDES = ("train", "validation", "test")
DEFAULT_SHARES = (80.0, 10.0, 10.0)
DRAWS = 200

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Patients by side, each side sorted.

    folds: () unless the split is k-fold; then `train`, `validation` and `test` are empty, and fold k is validated on
    `folds[k]` and trained on the others. excluded: patients who are on no side, at none of their times.
    shares in percent.
    """

    data_sha256: str
    seed: int
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    folds: tuple[tuple[str, ...], ...] = ()
    excluded: tuple[str, ...] = ()
    shares: tuple[float, ...] | None = None
    counts: dict[str, dict[str, int | float]] = field(default_factory=dict)

    def fold(self, index: int) -> "Split":
        """Fold `index` as a split of its own: train on the other folds. Raises DatasetError."""
        if not 0 <= index < len(self.folds):
            raise DatasetError(f"There is no fold {index}; the split has folds 0 to {len(self.folds) - 1}.")
        train = sorted(patient for k, side in enumerate(self.folds) if k != index for patient in side)
        return Split(self.data_sha256, self.seed, tuple(train), self.folds[index], excluded=self.excluded)


def make_split(
    patients: Sequence[PatientCounts],
    data_sha256: str,
    seed: int = 1,
    shares: Sequence[float] = DEFAULT_SHARES,
    excluded: Iterable[str] = (),
) -> Split:
    """Train, validation and test by `shares` in percent (validation or test may be 0).

    Raises DatasetError for shares that are none, unknown excluded patients, and fewer patients than sides.
    """
    if len(shares) != len(SIDES) or min(shares) < 0 or shares[0] <= 0 or not np.isclose(sum(shares), 100):
        text = ",".join(f"{share:g}" for share in shares)
        raise DatasetError(f"The shares {text} are not three percentages with the sum 100, as 80,10,10; correct them.")
    kept, left_out = _exclude(patients, excluded)
    train, validation, test = _divide(kept, np.array(shares, dtype=float) / 100, seed)
    return Split(
        data_sha256,
        seed,
        train,
        validation,
        test,
        excluded=left_out,
        shares=tuple(map(float, shares)),
        counts={name: _count(kept, side) for name, side in zip(SIDES, (train, validation, test), strict=True)},
    )


def make_folds(
    patients: Sequence[PatientCounts], data_sha256: str, folds: int, seed: int = 1, excluded: Iterable[str] = ()
) -> Split:
    """`folds` sides of equal size, stratified by institution where the patients' names tell it.

    Raises DatasetError for fewer than two or more than there are patients.
    """
    if folds < 2:
        raise DatasetError(f"{folds} folds cannot be validated on each other; ask for 2 or more.")
    kept, left_out = _exclude(patients, excluded)
    institutions = [institution_of(counts.patient) or "" for counts in kept]
    sides = _divide(kept, np.full(folds, 1 / folds), seed, institutions)
    counts = {f"fold {index}": _count(kept, side) for index, side in enumerate(sides)}
    return Split(data_sha256, seed, folds=sides, excluded=left_out, counts=counts)


def is_divided(sides: Mapping[str, Sequence[str]]) -> bool:
    """Whether a data set's own folders say who is trained on and who validates."""
    return bool(sides.get("train")) and bool(sides.get("validation"))


def keep_split(
    patients: Sequence[PatientCounts],
    data_sha256: str,
    sides: Mapping[str, Sequence[str]],
    seed: int = 1,
    excluded: Iterable[str] = (),
) -> Split:
    """The division that a data set comes with, without the excluded patients. Raises DatasetError for unknown ones."""
    kept, left_out = _exclude(patients, excluded)
    known = {counts.patient for counts in kept}
    train, validation, test = (tuple(sorted(known.intersection(sides.get(side, ())))) for side in SIDES)
    counts = {side: _count(kept, names) for side, names in zip(SIDES, (train, validation, test), strict=True)}
    return Split(data_sha256, seed, train, validation, test, excluded=left_out, counts=counts)


def institution_of(patient: str) -> str | None:
    """The tissue source site of a TCGA barcode (`TCGA-DU-6404`, also with underscores); None for other names.

    https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode/
    """
    found = re.match(r"TCGA[-_]([A-Z0-9]{2})[-_]", patient)
    return found[1] if found else None


def of_table(unknown: str) -> str:
    """What to do about a line that is none of the patients' names, where it is a row of a table; else empty."""
    found = next((sign for sign in (";", ",", "\t") if sign in unknown), None)
    return "" if found is None else "the list seems to be a table: give the patients' names alone, one a line."


def _exclude(patients: Sequence[PatientCounts], excluded: Iterable[str]) -> tuple[list[PatientCounts], tuple[str, ...]]:
    """Who is left, and who is not: the excluded, at all of their times."""
    names = set(excluded)
    unknown = sorted(names - {counts.patient for counts in patients})
    if unknown:
        remedy = of_table(unknown[0]) or "correct the name."
        raise DatasetError(f"{unknown[0]!r} is to be excluded and is no patient of the data set; {remedy}")
    persons = {person_of(name) for name in names}
    others = sorted(one.patient for one in patients if one.patient not in names and person_of(one.patient) in persons)
    if others:
        listed = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if others[5:] else "")
        logger.warning("Other times of patients who are excluded are excluded, too: %s.", listed)
    left_out = names.union(others)
    kept = sorted((counts for counts in patients if counts.patient not in left_out), key=lambda counts: counts.patient)
    return kept, tuple(sorted(left_out))


def _divide(
    patients: Sequence[PatientCounts], shares: NDArray[np.float64], seed: int, strata: Sequence[str] = ()
) -> tuple[tuple[str, ...], ...]:
    """The best of `DRAWS` draws: names of each side. strata: a group of each patient that is dealt out on its own."""
    persons: dict[str, list[PatientCounts]] = defaultdict(list)
    for counts in patients:
        persons[person_of(counts.patient)].append(counts)
    if len(persons) < len(patients):
        return _divide_persons(persons, shares, seed, has_strata=bool(strata))
    wanted = shares > 0
    if len(patients) < wanted.sum():
        raise DatasetError(
            f"{len(patients)} patients cannot be divided into {wanted.sum()} sides; ask for fewer sides."
        )
    table = np.array([(c.slices, c.tumor_slices, c.pixels, c.tumor_pixels) for c in patients], dtype=float)
    tumor_share = table[:, 3] / np.maximum(table[:, 2], 1)
    # By stratum, then by tumor: neighbors in the ranking are dealt to different sides.
    ranking = np.lexsort((tumor_share, np.array(strata))) if len(strata) else np.argsort(tumor_share, kind="stable")
    sizes = _sizes(len(patients), shares)
    random = np.random.default_rng(seed)
    draws = [_deal(ranking, sizes, random) for _ in range(DRAWS)]
    best = min(draws, key=lambda sides: _imbalance(table, sides, sizes))
    return tuple(
        tuple(counts.patient for counts, side in zip(patients, best, strict=True) if side == index)
        for index in range(len(shares))
    )


def _divide_persons(
    persons: Mapping[str, Sequence[PatientCounts]], shares: NDArray[np.float64], seed: int, *, has_strata: bool
) -> tuple[tuple[str, ...], ...]:
    """The same of persons with several patients each, who are the times of one."""
    joined = [
        PatientCounts(
            person,
            *(
                sum(getattr(one, name) for one in times)
                for name in ("slices", "tumor_slices", "pixels", "tumor_pixels")
            ),
        )
        for person, times in persons.items()
    ]
    strata = [institution_of(person) or "" for person in persons] if has_strata else ()
    sides = _divide(joined, shares, seed, strata)
    return tuple(tuple(one.patient for person in side for one in persons[person]) for side in sides)


def _sizes(count: int, shares: NDArray[np.float64]) -> NDArray[np.int_]:
    """Patients of each side: by largest remainder, and at least one where the share is not 0. (sides,)"""
    sizes: NDArray[np.int_] = np.floor(count * shares).astype(int)
    for index in np.argsort(sizes - count * shares, kind="stable")[: count - sizes.sum()]:
        sizes[index] += 1
    for index in np.flatnonzero((sizes == 0) & (shares > 0)):
        sizes[np.argmax(sizes)] -= 1
        sizes[index] += 1
    return sizes


def _deal(ranking: NDArray[np.intp], sizes: NDArray[np.int_], random: np.random.Generator) -> NDArray[np.int_]:
    """Side of each patient: along the ranking the side that is furthest behind its share gets the next. (patients,)"""
    count = len(ranking)
    block = max(2, round(count / max(1, sizes[sizes > 0].min())))
    order = np.concatenate([random.permutation(ranking[start : start + block]) for start in range(0, count, block)])
    sides = np.empty(count, dtype=int)
    dealt = np.zeros(len(sizes))
    for position, patient in enumerate(order, start=1):
        behind = np.where(dealt < sizes, sizes * position / count - dealt, -np.inf)
        side = int(np.argmax(behind))
        sides[patient] = side
        dealt[side] += 1
    return sides


def _imbalance(table: NDArray[np.float64], sides: NDArray[np.int_], sizes: NDArray[np.int_]) -> float:
    """Largest deviation of a side from the whole, in its share of tumor slices or of tumor pixels, relative to it."""
    totals = np.array([table[sides == index].sum(axis=0) for index in np.flatnonzero(sizes)])  # (sides, 4)
    shares = totals[:, [1, 3]] / np.maximum(totals[:, [0, 2]], 1)
    whole = table.sum(axis=0)
    overall = whole[[1, 3]] / np.maximum(whole[[0, 2]], 1)
    return float(np.abs(shares / np.where(overall > 0, overall, 1) - 1).max()) if overall.any() else 0.0


def _count(patients: Sequence[PatientCounts], side: Sequence[str]) -> dict[str, int | float]:
    chosen = [counts for counts in patients if counts.patient in set(side)]
    slices, tumor_slices, pixels, tumor_pixels = (
        sum(getattr(counts, name) for counts in chosen) for name in ("slices", "tumor_slices", "pixels", "tumor_pixels")
    )
    return {
        "patients": len(chosen),
        "slices": slices,
        "tumor_slices": tumor_slices,
        "tumor_slice_share": round(tumor_slices / max(slices, 1), 4),
        "tumor_pixel_share": round(tumor_pixels / max(pixels, 1), 6),
    }

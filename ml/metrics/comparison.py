"""Two models on the same patients: paired differences, their interval, and whether they could be chance.

SciPy's test is imported when it is first asked for: a process that serves pages need not carry it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.metrics.intervals import DEFAULT_SEED, FEW_PATIENTS, Interval, draw_patients, mean_interval


@dataclass(frozen=True)
class PairedComparison:
    """Of second less first, over pairs, which are of so many persons. `p_value`: two-sided Wilcoxon signed-rank test
    (Biometrics Bulletin 1, 1945) of the persons' mean differences, those without one left out; None where none differs,
    or there are too few persons for a test."""

    pairs: int
    persons: int
    mean_difference: float | None
    median_difference: float | None
    ci95: Interval | None
    better: int
    worse: int
    equal: int
    p_value: float | None

    @property
    def is_few(self) -> bool:
        """Whether there are too few persons for a test: three of them cannot have a p below 0.25."""
        return self.persons < FEW_PATIENTS


def compare_pairs(
    first: Sequence[float], second: Sequence[float], seed: int = DEFAULT_SEED, persons: Sequence[str] | None = None
) -> PairedComparison:
    """first, second: one value a patient, in one order. persons: of each patient, where several are one person at
    several times, who is drawn whole and counts once in the test. Raises ValueError where their lengths differ."""
    differences = np.array([b - a for a, b in zip(first, second, strict=True)], dtype=np.float64)
    count = len(differences)
    if not count:
        return PairedComparison(0, 0, None, None, None, 0, 0, 0, None)
    of_persons = differences if persons is None else _means(differences, persons)
    p_value = None
    if len(of_persons) >= FEW_PATIENTS and np.any(of_persons):
        from scipy.stats import wilcoxon  # costs half a second and 40 MB, for those who compare

        p_value = float(wilcoxon(of_persons, zero_method="wilcox").pvalue)
    return PairedComparison(
        pairs=count,
        persons=len(of_persons),
        mean_difference=float(differences.mean()),
        median_difference=float(np.median(differences)),
        ci95=mean_interval(differences, np.ones(count), draw_patients(count, seed, persons=persons)),
        better=int(np.count_nonzero(differences > 0)),
        worse=int(np.count_nonzero(differences < 0)),
        equal=int(np.count_nonzero(differences == 0)),
        p_value=p_value,
    )


def _means(values: NDArray[np.float64], persons: Sequence[str]) -> NDArray[np.float64]:
    """Each person's mean value, float (persons,), in the order in which they come. Raises ValueError."""
    by_person: dict[str, list[float]] = {}
    for person, value in zip(persons, values.tolist(), strict=True):
        by_person.setdefault(person, []).append(value)
    return np.array([float(np.mean(own)) for own in by_person.values()])

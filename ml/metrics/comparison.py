"""Two models on the same patients: paired differences, their interval, and whether they could be chance.

SciPy's test is imported when it is first asked for: a process that serves pages need not carry it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.metrics.intervals import DEFAULT_SEED, FEW_PATIENTS, Interval, draw_patients, mean_interval


@dataclass(frozen=True)
class PairedComparison:
    """Of second less first, over pairs. `p_value`: two-sided Wilcoxon signed-rank test (Biometrics Bulletin 1, 1945),
    pairs without a difference left out; None where no pair differs, or there are too few pairs for a test."""

    pairs: int
    mean_difference: float | None
    median_difference: float | None
    ci95: Interval | None
    better: int
    worse: int
    equal: int
    p_value: float | None

    @property
    def is_few(self) -> bool:
        """Whether there are too few pairs for a test: three of them cannot have a p below 0.25."""
        return self.pairs < FEW_PATIENTS


def compare_pairs(first: Sequence[float], second: Sequence[float], seed: int = DEFAULT_SEED) -> PairedComparison:
    """first, second: one value a patient, in one order. Raises ValueError where their lengths differ."""
    differences = np.array([b - a for a, b in zip(first, second, strict=True)], dtype=np.float64)
    count = len(differences)
    if not count:
        return PairedComparison(0, None, None, None, 0, 0, 0, None)
    p_value = None
    if count >= FEW_PATIENTS and np.any(differences):
        from scipy.stats import wilcoxon  # costs half a second and 40 MB, for those who compare

        p_value = float(wilcoxon(differences, zero_method="wilcox").pvalue)
    return PairedComparison(
        pairs=count,
        mean_difference=float(differences.mean()),
        median_difference=float(np.median(differences)),
        ci95=mean_interval(differences, np.ones(count), draw_patients(count, seed)),
        better=int(np.count_nonzero(differences > 0)),
        worse=int(np.count_nonzero(differences < 0)),
        equal=int(np.count_nonzero(differences == 0)),
        p_value=p_value,
    )

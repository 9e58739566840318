"""95 % intervals by the bootstrap over patients: slices of one patient are alike, so a patient is drawn whole.

Percentile method (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). Seeded.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
DEFAULT_SEED = 20190606  # any fixed number; --seed changes it
Interval = tuple[float, float]
# With fewer, the bootstrap draws from too few different patients for its percentiles to cover what they claim (chapter
# 14), and a rank test can hardly show a difference.
FEW_PATIENTS = 10


def draw_patients(
    patients: int, seed: int = DEFAULT_SEED, resamples: int = RESAMPLES, persons: Sequence[str] | None = None
) -> NDArray[np.float64]:
    """How often each patient is in each resample. Returns float64 (resamples, patients).

    persons: of each patient, where several are one person at several times, who is drawn whole; every row adds to the
    number of persons.
    """
    random = np.random.default_rng(seed)
    rows = {person: row for row, person in enumerate(dict.fromkeys(persons or ()))}
    count = len(rows) or patients
    draws = random.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)
    return draws if persons is None else draws[:, [rows[person] for person in persons]]


def has_several(draws: NDArray[np.float64], is_counted: NDArray[np.bool]) -> bool:
    """Whether the patients that count, bool (patients,), are two persons or more: one is drawn whole every time."""
    counted = draws[:, is_counted]
    return bool((counted != counted[:, :1]).any())


def interval_of(values: NDArray[np.float64]) -> Interval | None:
    """The 2.5th and 97.5th percentile of a metric's resamples, float (resamples,); NaN ones are left out."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def mean_interval(
    sums: NDArray[np.float64], counts: NDArray[np.float64], draws: NDArray[np.float64]
) -> Interval | None:
    """Of a mean over things that patients have several of (or one, or none).

    sums, counts: float (patients,), a patient's sum of the metric and number of things. draws: of `draw_patients`.
    None where fewer than two persons have any: one person says nothing about the next.
    """
    if not has_several(draws, counts > 0):
        return None
    totals = draws @ counts
    return interval_of(np.divide(draws @ sums, totals, out=np.full(len(draws), np.nan), where=totals > 0))


def median_interval(groups: Sequence[NDArray[np.float64]], draws: NDArray[np.float64]) -> Interval | None:
    """Of a median over the things of all patients; None as of a mean. groups: per patient float (things,), or empty."""
    if not has_several(draws, np.array([len(group) > 0 for group in groups], np.bool)):
        return None
    values = np.concatenate(groups)
    order = np.argsort(values, kind="stable")
    owners = np.repeat(np.arange(len(groups)), [len(group) for group in groups])[order]
    values = values[order]
    medians = np.full(len(draws), np.nan)
    for row, weights in enumerate(draws):
        reached = np.cumsum(weights[owners])  # how many things of this resample lie at or before each value
        if reached[-1]:
            middle = np.array([(reached[-1] - 1) // 2, reached[-1] // 2])
            medians[row] = values[np.searchsorted(reached, middle, side="right")].mean()
    return interval_of(medians)

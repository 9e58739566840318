"""How well a score tells slices with tumor from slices without: ROC and the area under it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Roc:
    """Points of the curve from (0, 0) to (1, 1), one per distinct score, highest first; the first threshold is None."""

    false_alarm_rates: tuple[float, ...]
    sensitivities: tuple[float, ...]
    thresholds: tuple[float | None, ...]
    auc: float


def roc(scores: NDArray[np.float64], has_tumor: NDArray[np.bool]) -> Roc | None:
    """The curve of `score >= threshold` (Fawcett, Pattern Recognition Letters 27, 2006).

    scores: float (N,); has_tumor: bool (N,). None where one of the two kinds is missing.
    """
    levels, inverse = np.unique(scores, return_inverse=True)
    with_tumor, without = (
        np.bincount(inverse, weights=kind, minlength=len(levels)).astype(np.float64) for kind in (has_tumor, ~has_tumor)
    )
    area = auc_of_levels(with_tumor, without)
    if not len(levels) or np.isnan(area):
        return None
    sensitivities = np.concatenate(([0.0], np.cumsum(with_tumor[::-1]) / with_tumor.sum()))
    false_alarms = np.concatenate(([0.0], np.cumsum(without[::-1]) / without.sum()))
    thresholds = (None, *(float(level) for level in levels[::-1]))
    return Roc(tuple(false_alarms.tolist()), tuple(sensitivities.tolist()), thresholds, float(area))


def auc_of_levels(with_tumor: NDArray[np.float64], without: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area under the ROC curve from counts per score level, rising: the chance that a slice with tumor scores higher
    than one without, ties counting a half (Hanley and McNeil, Radiology 143, 1982).

    with_tumor, without: float (..., L). Returns float (...), NaN where one kind is missing.
    """
    below = np.cumsum(without, axis=-1) - without  # tumor-free slices with a lower score
    wins = np.sum(with_tumor * (below + without / 2), axis=-1)
    pairs = with_tumor.sum(axis=-1) * without.sum(axis=-1)
    area: NDArray[np.float64] = np.divide(wins, pairs, out=np.full(np.shape(wins), np.nan), where=pairs > 0)
    return area

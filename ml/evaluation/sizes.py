"""Figures by tumour size: a small tumour is harder to find and a pixel more or less weighs more in its Dice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.datasets.analysis import SIZE_BOUNDS, size_of
from ml.evaluation.scoring import Score
from ml.metrics.overlap import dice, iou, precision, recall


@dataclass(frozen=True)
class SizeFigures:
    """Means over the slices whose tumour covers from `from_percent` up to below `to_percent` of the slice."""

    size: str
    from_percent: float
    to_percent: float
    slices: int
    sensitivity: float | None
    dice: float | None
    iou: float | None
    precision: float | None
    recall: float | None
    hd95_median: float | None


def sizes_of(scores: Sequence[Score]) -> tuple[SizeFigures, ...]:
    """Small, medium and large; only slices whose truth has tumour."""
    bounds = (0.0, *(100 * bound for bound in SIZE_BOUNDS), 100.0)
    return tuple(
        _figures(size, bounds[index], bounds[index + 1], [score for score in scores if _size(score) == size])
        for index, size in enumerate(("small", "medium", "large"))
    )


def _size(score: Score) -> str | None:
    return size_of(score.counts.truth, score.counts.total)


def _figures(size: str, low: float, high: float, scores: list[Score]) -> SizeFigures:
    if not scores:
        return SizeFigures(size, low, high, 0, None, None, None, None, None, None)
    means = [float(np.mean([figure(score.counts) for score in scores])) for figure in (dice, iou, precision, recall)]
    found = float(np.mean([score.counts.predicted > 0 for score in scores]))
    return SizeFigures(
        size, low, high, len(scores), found, *means, float(np.median([score.surface.hd95 for score in scores]))
    )

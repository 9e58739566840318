"""Metrics by tumor size: a small tumor is harder to find and a pixel more or less weighs more in its Dice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml.datasets.analysis import SIZE_BOUNDS, size_of
from ml.evaluation.scoring import Score
from ml.metrics.overlap import Counts
from ml.metrics.registry import SIZE_METRICS
from ml.metrics.slices import SliceGroup, Value


@dataclass(frozen=True)
class SizeResult:
    """Over the slices whose tumor covers from `from_percent` up to below `to_percent` of the slice.

    metrics: by the names of `ml.metrics.registry.SIZE_METRICS`.
    """

    size: str
    from_percent: float
    to_percent: float
    metrics: Mapping[str, Value]


def sizes_of(scores: Sequence[Score]) -> tuple[SizeResult, ...]:
    """Small, medium and large; only slices whose truth has tumor."""
    bounds = (0.0, *(100 * bound for bound in SIZE_BOUNDS), 100.0)
    return tuple(
        SizeResult(
            size, bounds[index], bounds[index + 1], _metrics([score for score in scores if _size(score) == size])
        )
        for index, size in enumerate(("small", "medium", "large"))
    )


def _size(score: Score) -> str | None:
    return size_of(score.counts.truth, score.counts.total)


def _metrics(scores: Sequence[Score]) -> dict[str, Value]:
    group = SliceGroup(
        [score.metrics for score in scores], failed=0, pooled=sum((score.counts for score in scores), Counts())
    )
    return {metric.name: metric.compute(group) for metric in SIZE_METRICS}

"""How far a model and an expert agree on one scan: each slice, and all of them together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ml.metrics.overlap import Counts
from ml.metrics.registry import SCAN_METRICS, SLICE_METRICS
from ml.metrics.slices import SliceComparison, SliceGroup, Value

# A slice's metrics that say something of the two masks.
SLICE_AGREEMENT = tuple(metric for metric in SLICE_METRICS if metric.needs_truth or metric.name == "predicted_pixels")


@dataclass(frozen=True)
class Agreement:
    """slices: the metrics of each slice that has an expert's mask, by its index; whole: `SCAN_METRICS` of them all."""

    slices: Mapping[int, Mapping[str, Value]]
    whole: Mapping[str, Value]


def compare_slices(slices: Iterable[tuple[int, SliceComparison]]) -> Agreement:
    """The agreement on slices with their indices, one of which is in memory at a time.

    Raises ValueError for a slice without truth.
    """
    found: dict[int, dict[str, Value]] = {}
    pooled = Counts()
    for index, one in slices:
        found[index] = {metric.name: metric.compute(one) for metric in SLICE_AGREEMENT}
        pooled += one.counts
    group = SliceGroup(list(found.values()), failed=0, pooled=pooled)
    return Agreement(found, {metric.name: metric.compute(group) for metric in SCAN_METRICS})

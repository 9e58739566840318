"""What metrics are computed from: one slice, or several slices of a patient or of a tumor size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ml.metrics.overlap import Counts, count
from ml.metrics.surfaces import SurfaceMetrics, compare_surfaces

# None where nothing defines it: Dice of a slice without tumor.
Value = int | float | None


@dataclass(frozen=True)
class SliceComparison:
    """A model's answer for one slice beside the expert's mask, and what several metrics need of the two, once.

    probability_u8: uint8 (H, W), round(255 p); mask: bool (H, W), the model's; truth: bool (H, W), the expert's, None
    where there is none, and then only metrics that need no truth may be computed.
    seconds: of the engine, this slice's share of the group that it ran in.
    doubtful_pixels: of the regions in doubt; uncounted_pixels: of `ml.masks.Masks`; min_tumor_pixels: of the mask rule,
    on this grid.
    """

    probability_u8: NDArray[np.uint8]
    mask: NDArray[np.bool]
    truth: NDArray[np.bool] | None
    seconds: float
    doubtful_pixels: int = 0
    uncounted_pixels: int = 0
    min_tumor_pixels: int = 0

    @cached_property
    def counts(self) -> Counts:
        """Pixels by truth and mask. Raises ValueError without a truth, or where the shapes differ."""
        return count(self._truth, self.mask)

    @cached_property
    def surface(self) -> SurfaceMetrics:
        """Distances between the outlines. Raises ValueError without a truth."""
        return compare_surfaces(self._truth, self.mask)

    @property
    def _truth(self) -> NDArray[np.bool]:
        if self.truth is None:
            raise ValueError("This slice has no expert mask to compare with.")
        return self.truth


class ScoredSlice(Protocol):
    """A slice whose metrics are known: what aggregates over a data set are taken from."""

    @property
    def patient(self) -> str:
        """Slices of one patient are resampled together."""

    @property
    def counts(self) -> Counts:
        """Pixels by truth and mask."""

    @property
    def metrics(self) -> Mapping[str, Value]:
        """The slice's values by the names of the registry."""

    @property
    def probability_histogram(self) -> bytes:
        """Of `ml.metrics.calibration.pack_histogram`."""


@dataclass(frozen=True)
class SliceGroup:
    """Slices that are reported together. slices: the metrics of each; failed: how many more could not be evaluated.

    pooled: the pixels of all slices, counted together; zeros without truth.
    """

    slices: Sequence[Mapping[str, Value]]
    failed: int
    pooled: Counts

    @cached_property
    def with_tumor(self) -> list[Mapping[str, Value]]:
        """Slices whose truth has tumor."""
        return [metrics for metrics in self.slices if metrics["truth_pixels"]]

    def total(self, name: str) -> int:
        """Sum of a count over all slices."""
        return sum(int(metrics[name] or 0) for metrics in self.slices)

    def detected(self, slices: Sequence[Mapping[str, Value]]) -> int:
        """How many of the slices have a pixel in the model's mask."""
        return sum(bool(metrics["predicted_pixels"]) for metrics in slices)

    def seen(self, slices: Sequence[Mapping[str, Value]]) -> int:
        """How many of the slices have a pixel in the model's mask or in a region in doubt."""
        return sum(bool(metrics["predicted_pixels"] or metrics.get("doubtful_pixels")) for metrics in slices)

    def mean(self, name: str) -> float | None:
        """Mean over the slices whose truth has tumor; None without any."""
        values = self._defined(name)
        return float(np.mean(values)) if values else None

    def median(self, name: str) -> float | None:
        """Median over the slices whose truth has tumor; None without any."""
        values = self._defined(name)
        return float(np.median(values)) if values else None

    def _defined(self, name: str) -> list[int | float]:
        """A slice that an earlier version measured may lack a metric."""
        return [value for metrics in self.with_tumor if (value := metrics.get(name)) is not None]

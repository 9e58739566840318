"""One case of an evaluation: what is known of one slice after the engine and the mask rule."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.cards import Card
from ml.datasets import Case
from ml.masks import min_pixels_on_grid, tumor_mask
from ml.metrics.calibration import pack_histogram, probability_histogram
from ml.metrics.overlap import Counts
from ml.metrics.registry import SLICE_METRICS
from ml.metrics.slices import SliceComparison, Value


@dataclass(frozen=True)
class Score:
    """A slice that was compared with its expert mask.

    metrics: by the names of `ml.metrics.registry.SLICE_METRICS`; probability_histogram: of
    `ml.metrics.calibration.pack_histogram`.
    """

    case: Case
    counts: Counts
    metrics: Mapping[str, Value]
    probability_histogram: bytes

    @property
    def patient(self) -> str:
        """The case's patient."""
        return self.case.patient

    @property
    def dice(self) -> float | None:
        """None where the truth is empty."""
        return self.metrics["dice"]

    @property
    def max_probability(self) -> float:
        """The highest probability of the slice, inside the mask or not."""
        return self.metrics["max_probability"] or 0.0

    @property
    def seconds(self) -> float:
        """Of the engine."""
        return self.metrics["seconds"] or 0.0


@dataclass(frozen=True)
class Prediction:
    """A slice without an expert's mask: the metrics that need none, and nothing to compare them with."""

    case: Case
    metrics: Mapping[str, Value]


@dataclass(frozen=True)
class Failure:
    """A slice that could not be evaluated, and the sentence that says why and what to do; `code`: for programs."""

    case: Case
    message: str
    code: str = "unreadable"


# What became of a case.
SliceResult = Score | Prediction | Failure


def mask_of(probability_u8: NDArray[np.uint8], card: Card, threshold: float) -> NDArray[np.bool]:
    """The mask rule of ml.masks for slices of one size. probability_u8: uint8 (N, H, W). Returns bool (N, H, W)."""
    smallest = min_pixels_on_grid(card.min_tumor_pixels, card.input.size, *probability_u8.shape[1:])
    return tumor_mask(probability_u8, threshold, smallest)


def score_slice(
    case: Case, truth: NDArray[np.bool], probability_u8: NDArray[np.uint8], mask: NDArray[np.bool], seconds: float
) -> Score:
    """All metrics of one slice. truth, mask: bool (H, W); probability_u8: uint8 (H, W)."""
    compared = SliceComparison(probability_u8, mask, truth, seconds)
    return Score(
        case=case,
        counts=compared.counts,
        metrics={metric.name: metric.compute(compared) for metric in SLICE_METRICS},
        probability_histogram=pack_histogram(probability_histogram(probability_u8, truth)),
    )


def predict_slice(case: Case, probability_u8: NDArray[np.uint8], mask: NDArray[np.bool], seconds: float) -> Prediction:
    """What is known of a slice without truth. probability_u8: uint8 (H, W); mask: bool (H, W)."""
    seen = SliceComparison(probability_u8, mask, None, seconds)
    return Prediction(case, {metric.name: metric.compute(seen) for metric in SLICE_METRICS if not metric.needs_truth})

"""Overlap of two masks, counted in pixels: Dice, IoU, precision, recall, specificity, pixel accuracy.

The rules for empty masks, of a slice and of a patient's pooled slices alike:

| truth | prediction | Dice, IoU, recall | precision | specificity, accuracy |
|---|---|---|---|---|
| tumor | tumor | defined | defined | defined |
| tumor | empty | 0 | 0 | defined |
| empty | tumor | none | 0 | defined |
| empty | empty | none | none | defined |
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Counts:
    """A confusion table of pixels (or of verdicts). Counts of several slices are pooled by adding them."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
        )

    @property
    def truth(self) -> int:
        """Pixels of the expert's mask."""
        return self.true_positive + self.false_negative

    @property
    def predicted(self) -> int:
        """Pixels of the model's mask."""
        return self.true_positive + self.false_positive

    @property
    def total(self) -> int:
        """All pixels."""
        return self.truth + self.false_positive + self.true_negative


def count(truth: NDArray[np.bool], prediction: NDArray[np.bool]) -> Counts:
    """Count the pixels of two masks, bool of one shape. Raises ValueError where the shapes differ."""
    if truth.shape != prediction.shape:
        raise ValueError(f"The truth has the shape {truth.shape}, the prediction {prediction.shape}; give them one.")
    both = int(np.count_nonzero(truth & prediction))
    in_truth, in_prediction = int(np.count_nonzero(truth)), int(np.count_nonzero(prediction))
    return Counts(both, in_prediction - both, in_truth - both, truth.size - in_truth - in_prediction + both)


def dice(counts: Counts) -> float | None:
    """2 TP / (2 TP + FP + FN) (Dice, Ecology 26, 1945). None where the truth is empty."""
    return 2 * counts.true_positive / (counts.truth + counts.predicted) if counts.truth else None


def iou(counts: Counts) -> float | None:
    """TP / (TP + FP + FN) (Jaccard, New Phytologist 11, 1912). None where the truth is empty."""
    return counts.true_positive / (counts.truth + counts.false_positive) if counts.truth else None


def precision(counts: Counts) -> float | None:
    """TP / (TP + FP), positive predictive value. 0 where only the prediction is empty, None where both are."""
    if not counts.predicted:
        return 0.0 if counts.truth else None
    return counts.true_positive / counts.predicted


def recall(counts: Counts) -> float | None:
    """TP / (TP + FN), sensitivity. None where the truth is empty."""
    return counts.true_positive / counts.truth if counts.truth else None


def specificity(counts: Counts) -> float | None:
    """TN / (TN + FP). None where the truth covers everything."""
    negative = counts.true_negative + counts.false_positive
    return counts.true_negative / negative if negative else None


def pixel_accuracy(counts: Counts) -> float | None:
    """(TP + TN) / all. None where there is nothing. High for any model: most of a brain is no tumor."""
    return (counts.true_positive + counts.true_negative) / counts.total if counts.total else None

"""Slices of many patients, added up: means, medians and ratios with their intervals over patients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml.metrics.calibration import LEVELS, add_histograms, calibrate
from ml.metrics.intervals import Interval, draw_patients, has_several, interval_of, mean_interval, median_interval
from ml.metrics.overlap import Counts
from ml.metrics.slices import ScoredSlice, Value
from ml.metrics.verdicts import auc_of_levels

# round(255 p) of p = 0.05: below it a pixel is certainly background, as nearly all of a brain is.
FOREGROUND_LEVEL = 13


@dataclass(frozen=True)
class Estimate:
    """value: None where nothing defines it; ci95: over patients, None under two persons, or where none is sound."""

    value: float | None
    ci95: Interval | None


def is_found(score: ScoredSlice) -> bool:
    """The mask has a pixel."""
    return score.counts.predicted > 0


def is_empty(score: ScoredSlice) -> bool:
    """The mask has no pixel."""
    return not is_found(score)


def is_in_doubt(score: ScoredSlice) -> bool:
    """The mask has no pixel, and a region in doubt has. A slice of an earlier version knows of no doubt."""
    return is_empty(score) and bool(score.metrics.get("doubtful_pixels"))


def is_seen(score: ScoredSlice) -> bool:
    """The mask, or a region in doubt, has a pixel."""
    return is_found(score) or is_in_doubt(score)


def verdict_score(score: ScoredSlice) -> float:
    """By what a slice's verdict is ranked, 0 to 1; of a slice of an earlier version its highest probability."""
    return score.metrics.get("verdict_probability", score.metrics["max_probability"]) or 0.0


class DataSetSlices:
    """All evaluated slices, as sums per patient, so that one matrix of draws resamples every metric.

    scores: at least one; seed: of the draws. volumes: by patient, of those who are volumes, the metrics of
    `ml.metrics.registry.VOLUME_METRICS`. person_of: of a patient's name, the person's.
    """

    def __init__(
        self,
        scores: Sequence[ScoredSlice],
        seed: int,
        volumes: Mapping[str, Mapping[str, Value]] | None = None,
        person_of: Callable[[str], str] = str,
    ) -> None:
        self._scores = scores
        names = sorted({score.patient for score in scores})
        row = {name: index for index, name in enumerate(names)}
        self._volumes = [(volumes or {}).get(name, {}) for name in names]
        self._owners = np.array([row[score.patient] for score in scores])  # (slices,): the patient's row
        self._pooled = [Counts() for _ in names]
        for owner, score in zip(self._owners, scores, strict=True):
            self._pooled[owner] += score.counts
        self._draws = draw_patients(
            len(names), seed, persons=[person_of(name) for name in names]
        )  # (resamples, patients)

    def patient_mean(self, metric: Callable[[Counts], float | None]) -> Estimate:
        """Of each patient's pooled pixels, then the mean over the patients that have a value."""
        values = [metric(pooled) for pooled in self._pooled]
        defined = np.array([value is not None for value in values], dtype=np.float64)
        return self._ratio(np.array([value or 0.0 for value in values]), defined)

    def patient_median(self, metric: Callable[[Counts], float | None]) -> Estimate:
        """Of each patient's pooled pixels, then the median over the patients that have a value."""
        values = [metric(pooled) for pooled in self._pooled]
        return self._median([[] if value is None else [value] for value in values])

    def slice_mean(self, name: str) -> Estimate:
        """Mean of a slice's metric over the slices whose truth has tumor."""
        return self._ratio(*self._sums(self._of_tumor_slices(name)))

    def slice_median(self, name: str) -> Estimate:
        """Median of a slice's metric over the slices whose truth has tumor."""
        groups: list[list[float]] = [[] for _ in self._pooled]
        for owner, value in zip(self._owners, self._of_tumor_slices(name), strict=True):
            groups[owner].extend([] if value is None else [value])
        return self._median(groups)

    def share_of_slices(self, *, has_tumor: bool, is_counted: Callable[[ScoredSlice], bool]) -> Estimate:
        """The share that counts of the slices whose truth has tumor, or of those whose truth has none."""
        return self._ratio(
            *self._sums(
                [float(is_counted(score)) if (score.counts.truth > 0) == has_tumor else None for score in self._scores]
            )
        )

    def pixel_ratio(self, parts: Callable[[Counts], tuple[int, int]]) -> Estimate:
        """A numerator and a denominator in pixels, each pooled over all slices."""
        sums, counts = np.array([parts(pooled) for pooled in self._pooled], dtype=np.float64).T
        return self._ratio(sums, counts)

    def slice_auc(self) -> Estimate:
        """Area under the ROC curve of the slice verdict, by the highest threshold at which the slice has a mask."""
        # Without and with tumor; patient; 8-bit level of that threshold.
        counts = np.zeros((2, len(self._pooled), LEVELS))
        for owner, score in zip(self._owners, self._scores, strict=True):
            counts[int(score.counts.truth > 0), owner, round(verdict_score(score) * 255)] += 1
        area = float(auc_of_levels(counts[1].sum(axis=0), counts[0].sum(axis=0)))
        several = has_several(self._draws, np.ones(len(self._pooled), np.bool))
        interval = interval_of(auc_of_levels(self._draws @ counts[1], self._draws @ counts[0])) if several else None
        return Estimate(None if np.isnan(area) else area, interval)

    def volume_mean(self, name: str) -> Estimate:
        """Mean of a volume's metric over those that have a value."""
        values = [volume.get(name) for volume in self._volumes]
        defined = np.array([value is not None for value in values], dtype=np.float64)
        return self._ratio(np.array([value or 0.0 for value in values], dtype=np.float64), defined)

    def volume_median(self, name: str) -> Estimate:
        """Median of a volume's metric over those that have a value."""
        values = (volume.get(name) for volume in self._volumes)
        return self._median([[] if value is None else [value] for value in values])

    def lesion_ratio(self, numerator: Sequence[str], denominator: Sequence[str]) -> Estimate:
        """Sums of counts of lesions, each over all volumes."""
        sums, counts = (
            np.array([float(sum(volume.get(name) or 0 for name in names)) for volume in self._volumes])
            for names in (numerator, denominator)
        )
        return self._ratio(sums, counts)

    def ece(self, lowest_level: int = 0) -> Estimate:
        """Expected calibration error of the pixels from a level of probability on.

        No interval: the error of a resample is biased upwards, as every bin's noise counts as error.
        """
        return Estimate(calibrate(self._histogram, lowest_level).ece, None)

    @cached_property
    def _histogram(self) -> NDArray[np.int64]:
        return add_histograms(score.probability_histogram for score in self._scores)

    def _of_tumor_slices(self, name: str) -> list[float | None]:
        return [score.metrics.get(name) if score.counts.truth else None for score in self._scores]

    def _sums(self, values: list[float | None]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Per patient: sum and number of the slices' values that are defined, float (patients,) each."""
        numbers = np.array([value or 0.0 for value in values])
        defined = np.array([value is not None for value in values], dtype=np.float64)
        size = len(self._pooled)
        return (
            np.bincount(self._owners, weights=numbers, minlength=size).astype(np.float64),
            np.bincount(self._owners, weights=defined, minlength=size).astype(np.float64),
        )

    def _ratio(self, sums: NDArray[np.float64], counts: NDArray[np.float64]) -> Estimate:
        value = float(sums.sum() / counts.sum()) if counts.sum() else None
        return Estimate(value, mean_interval(sums, counts, self._draws))

    def _median(self, groups: list[list[float]]) -> Estimate:
        everything = [value for group in groups for value in group]
        interval = median_interval([np.array(group) for group in groups], self._draws)
        return Estimate(float(np.median(everything)) if everything else None, interval)

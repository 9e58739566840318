"""What the slices add up to: per patient, over all, by tumour size. Each figure has its aggregation in words."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ml.evaluation.run import Outcome
from ml.evaluation.scoring import Score
from ml.metrics.calibration import add_levels, calibrate
from ml.metrics.intervals import Interval, draw_patients, interval_of, mean_interval, median_interval
from ml.metrics.overlap import Counts, dice, iou, pixel_accuracy, precision, recall, specificity
from ml.metrics.surfaces import TOLERANCE_PIXELS
from ml.metrics.verdicts import auc_of_levels

# p >= 0.05: below it a pixel is certainly no tumour, as nearly all of a brain is.
DOUBT_LEVEL = 13
_TUMOR, _ALL, _PATIENTS = "slices whose truth has tumor", "all slices", "patients whose truth has tumor"


@dataclass(frozen=True)
class PatientFigures:
    """One patient; overlap figures are of the pixels pooled over the slices, None where the pooled truth is empty."""

    patient: str
    slices: int
    tumor_slices: int
    failed_slices: int
    truth_pixels: int
    predicted_pixels: int
    dice: float | None
    iou: float | None
    precision: float | None
    recall: float | None
    specificity: float | None
    pixel_accuracy: float | None
    hd95_median: float | None
    surface_dice_mean: float | None


@dataclass(frozen=True)
class MetricEstimate:
    """One number of the summary. value: None where nothing defines it; ci95: over patients, None under two of them."""

    name: str
    value: float | None
    ci95: Interval | None
    aggregation: str


def patients_of(outcome: Outcome) -> tuple[PatientFigures, ...]:
    """Every patient of the outcome, by name."""
    failed = Counter(failure.case.patient for failure in outcome.failures)
    scores: dict[str, list[Score]] = defaultdict(list)
    for score in outcome.scores:
        scores[score.case.patient].append(score)
    return tuple(_patient(name, scores[name], failed[name]) for name in sorted(scores.keys() | failed.keys()))


def figures_of(scores: Sequence[Score], seed: int) -> tuple[MetricEstimate, ...]:
    """All figures with their intervals. scores: at least one."""
    return _Aggregation(scores, seed).figures()


def verdicts_of(scores: Sequence[Score]) -> Counts:
    """Slices by truth (has tumour) and verdict (mask has a pixel)."""
    pairs = [(score.counts.truth > 0, score.counts.predicted > 0) for score in scores]
    return Counts(
        true_positive=pairs.count((True, True)),
        false_positive=pairs.count((False, True)),
        false_negative=pairs.count((True, False)),
        true_negative=pairs.count((False, False)),
    )


def _patient(name: str, scores: list[Score], failed: int) -> PatientFigures:
    pooled = sum((score.counts for score in scores), Counts())
    with_tumor = [score.surface for score in scores if score.counts.truth]
    return PatientFigures(
        patient=name,
        slices=len(scores),
        tumor_slices=len(with_tumor),
        failed_slices=failed,
        truth_pixels=pooled.truth,
        predicted_pixels=pooled.predicted,
        dice=dice(pooled),
        iou=iou(pooled),
        precision=precision(pooled),
        recall=recall(pooled),
        specificity=specificity(pooled),
        pixel_accuracy=pixel_accuracy(pooled),
        hd95_median=float(np.median([surface.hd95 for surface in with_tumor])) if with_tumor else None,
        surface_dice_mean=float(np.mean([surface.surface_dice for surface in with_tumor])) if with_tumor else None,
    )


class _Aggregation:
    """Sums per patient, so that one matrix of draws resamples every figure."""

    def __init__(self, scores: Sequence[Score], seed: int) -> None:
        self._scores = scores
        names = sorted({score.case.patient for score in scores})
        row = {name: index for index, name in enumerate(names)}
        self._owners = np.array([row[score.case.patient] for score in scores])
        self._pooled = [Counts() for _ in names]
        for owner, score in zip(self._owners, scores, strict=True):
            self._pooled[owner] += score.counts
        self._draws = draw_patients(len(names), seed)
        self._levels = add_levels(score.levels for score in scores)

    def figures(self) -> tuple[MetricEstimate, ...]:
        def of_slice(figure: Callable[[Counts], float | None]) -> list[float | None]:
            return [figure(score.counts) if score.counts.truth else None for score in self._scores]

        patient_dice = [dice(pooled) for pooled in self._pooled]
        found = [float(score.counts.predicted > 0) if score.counts.truth else None for score in self._scores]
        spared = [None if score.counts.truth else float(score.counts.predicted == 0) for score in self._scores]
        hd95 = [score.surface.hd95 for score in self._scores]
        near = [score.surface.surface_dice for score in self._scores]
        pooled = f"pixels pooled over a patient's slices, then the {{}} over {_PATIENTS}"
        return (
            self._patient_mean("patient_dice_mean", patient_dice, pooled.format("mean")),
            self._patient_median("patient_dice_median", patient_dice, pooled.format("median")),
            self._patient_mean("patient_iou_mean", [iou(counts) for counts in self._pooled], pooled.format("mean")),
            self._mean("slice_dice_mean", of_slice(dice), f"mean over {_TUMOR}"),
            self._mean("slice_iou_mean", of_slice(iou), f"mean over {_TUMOR}"),
            self._mean("precision", of_slice(precision), f"of pixels; mean over {_TUMOR}"),
            self._mean("recall", of_slice(recall), f"of pixels; mean over {_TUMOR}"),
            self._pixels("pixel_specificity", lambda c: (c.true_negative, c.true_negative + c.false_positive)),
            self._pixels("pixel_accuracy", lambda c: (c.true_positive + c.true_negative, c.total)),
            self._median("hd95_median", hd95, f"pixels; median over {_TUMOR}"),
            self._mean("surface_dice_mean", near, f"within {TOLERANCE_PIXELS:g} pixels; mean over {_TUMOR}"),
            self._mean("slice_sensitivity", found, f"share of {_TUMOR} whose mask has a pixel"),
            self._mean("slice_specificity", spared, "share of tumor-free slices whose mask is empty"),
            self._auc(),
            self._ece("ece", 0, f"15 bins, all pixels of {_ALL}"),
            self._ece("ece_in_doubt", DOUBT_LEVEL, f"15 bins, pixels with p >= 0.05 of {_ALL}"),
        )

    def _sum(self, values: list[float | None]) -> tuple[np.ndarray, np.ndarray]:
        """Per patient: sum and number of the slices' values that are defined, float (patients,) each."""
        defined = np.array([value is not None for value in values], dtype=np.float64)
        numbers = np.array([value or 0.0 for value in values])
        size = len(self._pooled)
        return tuple(np.bincount(self._owners, weights=row, minlength=size) for row in (numbers, defined))

    def _mean(self, name: str, values: list[float | None], aggregation: str) -> MetricEstimate:
        return self._ratio(name, *self._sum(values), aggregation)

    def _patient_mean(self, name: str, values: list[float | None], aggregation: str) -> MetricEstimate:
        defined = np.array([value is not None for value in values], dtype=np.float64)
        return self._ratio(name, np.array([value or 0.0 for value in values]), defined, aggregation)

    def _pixels(self, name: str, parts: Callable[[Counts], tuple[int, int]]) -> MetricEstimate:
        sums, counts = np.array([parts(pooled) for pooled in self._pooled], dtype=np.float64).T
        return self._ratio(name, sums, counts, f"pixels pooled over {_ALL}")

    def _ratio(self, name: str, sums: np.ndarray, counts: np.ndarray, aggregation: str) -> MetricEstimate:
        value = float(sums.sum() / counts.sum()) if counts.sum() else None
        return MetricEstimate(name, value, mean_interval(sums, counts, self._draws), aggregation)

    def _median(self, name: str, values: list[float | None], aggregation: str) -> MetricEstimate:
        groups: list[list[float]] = [[] for _ in self._pooled]
        for owner, value in zip(self._owners, values, strict=True):
            groups[owner].extend([] if value is None else [value])
        return self._median_of(name, groups, aggregation)

    def _patient_median(self, name: str, values: list[float | None], aggregation: str) -> MetricEstimate:
        return self._median_of(name, [[] if value is None else [value] for value in values], aggregation)

    def _median_of(self, name: str, groups: list[list[float]], aggregation: str) -> MetricEstimate:
        everything = [value for group in groups for value in group]
        interval = median_interval([np.array(group) for group in groups], self._draws)
        return MetricEstimate(name, float(np.median(everything)) if everything else None, interval, aggregation)

    def _auc(self) -> MetricEstimate:
        levels = np.zeros((2, len(self._pooled), 256))  # tumour-free and tumour; patient; 8-bit level of the maximum
        for owner, score in zip(self._owners, self._scores, strict=True):
            levels[int(score.counts.truth > 0), owner, round(score.max_probability * 255)] += 1
        area = float(auc_of_levels(levels[1].sum(axis=0), levels[0].sum(axis=0)))
        several = len(self._pooled) > 1
        interval = interval_of(auc_of_levels(self._draws @ levels[1], self._draws @ levels[0])) if several else None
        aggregation = f"slice verdict by max_probability; {_ALL}"
        return MetricEstimate("slice_auc", None if np.isnan(area) else area, interval, aggregation)

    def _ece(self, name: str, lowest_level: int, aggregation: str) -> MetricEstimate:
        # No interval: the error of a resample is biased upwards, as every bin's noise counts as error.
        return MetricEstimate(name, calibrate(self._levels, lowest_level).ece, None, aggregation)

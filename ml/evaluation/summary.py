"""What the slices add up to: per patient, and over all."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml.datasets.file_names import natural_key
from ml.datasets.time_points import person_of
from ml.evaluation.scoring import Failure, Score, SliceResult
from ml.metrics.data_set import DataSetSlices, is_in_doubt
from ml.metrics.intervals import Interval
from ml.metrics.overlap import Counts
from ml.metrics.registry import DATA_SET_METRICS, PATIENT_METRICS, GroupMetric
from ml.metrics.slices import SliceGroup, Value


@dataclass(frozen=True)
class PatientResult:
    """One patient, by the names of `PATIENT_METRICS` and of `VOLUME_METRICS`.

    Of `PREDICTED_PATIENT_METRICS` without expert masks.
    """

    patient: str
    metrics: Mapping[str, Value]

    @property
    def dice(self) -> float | None:
        """Of the pixels pooled over the patient's slices; None where the pooled truth is empty."""
        return self.metrics.get("dice")


@dataclass(frozen=True)
class MetricEstimate:
    """One number of the summary. value: None where nothing defines it; ci95: over patients, None under two of them."""

    name: str
    value: float | None
    ci95: Interval | None
    aggregation: str


def patients_of(
    results: Sequence[SliceResult],
    metrics: Sequence[GroupMetric] = PATIENT_METRICS,
    volumes: Mapping[str, Mapping[str, Value]] | None = None,
) -> tuple[PatientResult, ...]:
    """Every patient that has a slice among the results, by name. volumes: of `ml.evaluation.volumes`, by patient."""
    failed = Counter(item.case.patient for item in results if isinstance(item, Failure))
    slices: dict[str, list[Mapping[str, Value]]] = defaultdict(list)
    pooled: dict[str, Counts] = defaultdict(Counts)
    for item in results:
        if not isinstance(item, Failure):
            slices[item.case.patient].append(item.metrics)
        if isinstance(item, Score):
            pooled[item.case.patient] += item.counts
    found = []
    for name in sorted(slices.keys() | failed.keys(), key=natural_key):
        group = SliceGroup(slices[name], failed[name], pooled[name])
        of_volume = (volumes or {}).get(name, {})
        found.append(PatientResult(name, {**{metric.name: metric.compute(group) for metric in metrics}, **of_volume}))
    return tuple(found)


def estimate_metrics(
    scores: Sequence[Score], seed: int, volumes: Mapping[str, Mapping[str, Value]] | None = None
) -> tuple[MetricEstimate, ...]:
    """All metrics of the data set with their intervals; those of volumes where there are any. scores: at least one."""
    slices = DataSetSlices(scores, seed, volumes, person_of)
    found = []
    for metric in DATA_SET_METRICS:
        if metric.needs_volume and not volumes:
            continue
        estimate = metric.compute(slices)
        found.append(MetricEstimate(metric.name, estimate.value, estimate.ci95, metric.aggregation))
    return tuple(found)


@dataclass(frozen=True)
class UncertainSlices:
    """Slices with a region in doubt and an empty mask, by truth."""

    tumor: int
    tumor_free: int


def uncertain_of(scores: Sequence[Score]) -> UncertainSlices:
    """Count them; `verdicts_of` has them among the slices whose mask is empty."""
    has_tumor = [score.counts.truth > 0 for score in scores if is_in_doubt(score)]
    return UncertainSlices(has_tumor.count(True), has_tumor.count(False))


def verdicts_of(scores: Sequence[Score]) -> Counts:
    """Slices by truth (has tumor) and verdict (mask has a pixel)."""
    pairs = [(score.counts.truth > 0, score.counts.predicted > 0) for score in scores]
    return Counts(
        true_positive=pairs.count((True, True)),
        false_positive=pairs.count((False, True)),
        false_negative=pairs.count((True, False)),
        true_negative=pairs.count((False, False)),
    )

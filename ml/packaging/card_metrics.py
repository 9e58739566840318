"""A card's metrics: a model on a set of patients, measured as `python -m ml evaluate` does."""

from collections.abc import Sequence

from ml.cards import Metric
from ml.datasets import Case, DatasetError
from ml.engines import Engine
from ml.evaluation.cases import check_outcome
from ml.evaluation.run import evaluate_cases
from ml.evaluation.scoring import Score
from ml.evaluation.summary import MetricEstimate, estimate_metrics
from ml.metrics.intervals import DEFAULT_SEED

# In the order of the card.
NAMES = (
    "patient_dice_mean",
    "patient_dice_median",
    "patient_iou_mean",
    "slice_dice_mean",
    "slice_iou_mean",
    "slice_sensitivity",
    "slice_specificity",
    "slice_auc",
    "hd95_median",
    "surface_dice_mean",
    "ece",
    "ece_foreground",
)
HEADLINE_NAMES = ("patient_dice_mean", "patient_dice_median")
VARIANT_NAMES = (*HEADLINE_NAMES, "slice_sensitivity", "slice_specificity", "slice_auc")


def measure_model(
    engine: Engine, cases: Sequence[Case], set_name: str, names: Sequence[str] = NAMES, note: str = ""
) -> tuple[Metric, ...]:
    """The named metrics with their intervals over patients; one that is undefined on the set is left out.

    set_name: for the card. note: what differs from the served form, for the card.
    Raises DatasetError where a slice cannot be read: a card states metrics of whole sets only.
    """
    outcome = evaluate_cases(engine, cases, engine.card.threshold)
    check_outcome(outcome)
    if outcome.failures:
        raise DatasetError(f"{outcome.failures[0].message} A card states figures of whole sets alone.")
    rule = f"threshold {engine.card.threshold:g}, {engine.card.min_tumor_pixels} pixels, {engine.name}"
    return metrics_of(outcome.scores, set_name, names, "; ".join(filter(None, (rule, note))))


def metrics_of(scores: Sequence[Score], set_name: str, names: Sequence[str], rule: str) -> tuple[Metric, ...]:
    """The named metrics of scored slices, with intervals; one that is undefined on them is left out."""
    found = {figure.name: figure for figure in estimate_metrics(scores, DEFAULT_SEED)}
    patients = len({score.patient for score in scores})
    return tuple(_metric(found[name], patients, set_name, rule) for name in names if found[name].value is not None)


def _metric(figure: MetricEstimate, patients: int, set_name: str, rule: str) -> Metric:
    return Metric(
        name=figure.name,
        value=round(figure.value or 0.0, 5),
        ci95=None if figure.ci95 is None else (round(figure.ci95[0], 5), round(figure.ci95[1], 5)),
        patients=patients,
        set=set_name,
        aggregation=figure.aggregation,
        rule=rule,
    )

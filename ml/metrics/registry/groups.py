"""Metrics of slices together: a patient's, one scan's, those of one tumor size."""

from ml.metrics.overlap import dice, iou, pixel_accuracy, precision, recall, specificity
from ml.metrics.registry.metric import EVERYWHERE, GroupMetric, Metric, Output

_SLICES: GroupMetric = Metric("slices", "slices", lambda group: len(group.slices), digits=0, needs_truth=False)
_FAILED_SLICES: GroupMetric = Metric(
    "failed_slices",
    "not evaluated",
    lambda group: group.failed,
    digits=0,
    needs_truth=False,
    shown=Output.CSV | Output.API,
)

PATIENT_METRICS: tuple[GroupMetric, ...] = (
    _SLICES,
    Metric("tumor_slices", "with tumor", lambda group: len(group.with_tumor), digits=0, description="by the expert"),
    _FAILED_SLICES,
    Metric(
        "truth_pixels",
        "expert",
        lambda group: group.pooled.truth,
        unit="px",
        digits=0,
        shown=Output.CSV | Output.API,
    ),
    Metric(
        "predicted_pixels",
        "model",
        lambda group: group.pooled.predicted,
        unit="px",
        digits=0,
        needs_truth=False,
        shown=Output.CSV | Output.API,
    ),
    Metric("dice", "Dice", lambda group: dice(group.pooled)),
    Metric("iou", "IoU", lambda group: iou(group.pooled), shown=EVERYWHERE & ~Output.PDF),
    Metric("precision", "precision", lambda group: precision(group.pooled)),
    Metric("recall", "recall", lambda group: recall(group.pooled)),
    Metric("specificity", "specificity", lambda group: specificity(group.pooled), shown=Output.CSV),
    Metric("pixel_accuracy", "pixel accuracy", lambda group: pixel_accuracy(group.pooled), shown=Output.CSV),
    Metric(
        "hd95_median",
        "HD95",
        lambda group: group.median("hd95"),
        unit="px",
        digits=2,
        aggregation="median over slices with tumor",
    ),
    Metric("surface_dice_mean", "surface Dice", lambda group: group.mean("surface_dice"), shown=Output.CSV),
)

# Of slices without expert masks: what the model says of a patient, and nothing to compare that with.
PREDICTED_PATIENT_METRICS: tuple[GroupMetric, ...] = (
    _SLICES,
    _FAILED_SLICES,
    Metric(
        "detected_slices",
        "tumor detected",
        lambda group: group.detected(group.slices),
        digits=0,
        needs_truth=False,
        description="by the model, without masks alone",
    ),
    Metric(
        "predicted_pixels", "marked pixels", lambda group: group.total("predicted_pixels"), digits=0, needs_truth=False
    ),
)

# The slices of one scan together, beside the expert's masks of them.
SCAN_METRICS: tuple[GroupMetric, ...] = (
    Metric("truth_pixels", "expert", lambda group: group.pooled.truth, unit="px", digits=0),
    Metric("predicted_pixels", "model", lambda group: group.pooled.predicted, unit="px", digits=0),
    Metric(
        "dice",
        "Dice",
        lambda group: dice(group.pooled),
        description="of the pixels of all slices together; null where the truth is empty",
    ),
    Metric("iou", "IoU", lambda group: iou(group.pooled)),
    Metric("precision", "precision", lambda group: precision(group.pooled)),
    Metric("recall", "recall", lambda group: recall(group.pooled)),
    Metric(
        "hd95",
        "HD95",
        lambda group: group.median("hd95"),
        unit="px",
        digits=2,
        description="pixels; median over slices with tumor",
        aggregation="median over slices with tumor",
    ),
    Metric("surface_dice", "surface Dice", lambda group: group.mean("surface_dice"), shown=Output.API),
)

SIZE_METRICS: tuple[GroupMetric, ...] = (
    _SLICES,
    Metric(
        "sensitivity",
        "found",
        lambda group: group.detected(group.with_tumor) / len(group.with_tumor) if group.with_tumor else None,
    ),
    Metric(
        "sensitivity_with_uncertain",
        "found or in doubt",
        lambda group: group.seen(group.with_tumor) / len(group.with_tumor) if group.with_tumor else None,
    ),
    Metric("dice", "Dice", lambda group: group.mean("dice")),
    Metric("iou", "IoU", lambda group: group.mean("iou"), shown=Output.HTML),
    Metric("precision", "precision", lambda group: group.mean("precision"), shown=Output.HTML | Output.PDF),
    Metric("recall", "recall", lambda group: group.mean("recall"), shown=Output.HTML | Output.PDF),
    Metric(
        "hd95_median",
        "HD95",
        lambda group: group.median("hd95"),
        unit="px",
        digits=2,
        aggregation="median over slices with tumor",
    ),
)

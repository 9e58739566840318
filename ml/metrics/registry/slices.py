"""Metrics of a slice."""

from ml.masks import verdict_level
from ml.metrics.overlap import dice, iou, precision, recall
from ml.metrics.registry.metric import EVERYWHERE, Metric, Output, SliceMetric

# What a value of HD95 that is as large as the image means.
HD95_RULE = "pixels; where the model's mask is empty, the image's diagonal"

SLICE_METRICS: tuple[SliceMetric, ...] = (
    Metric("truth_pixels", "expert", lambda one: one.counts.truth, unit="px", digits=0),
    Metric("predicted_pixels", "model", lambda one: int(one.mask.sum()), unit="px", digits=0, needs_truth=False),
    Metric("dice", "Dice", lambda one: dice(one.counts), description="null where the truth is empty"),
    Metric("iou", "IoU", lambda one: iou(one.counts), shown=EVERYWHERE & ~Output.TABLE),
    Metric("precision", "precision", lambda one: precision(one.counts), shown=EVERYWHERE & ~Output.TABLE),
    Metric("recall", "recall", lambda one: recall(one.counts), shown=EVERYWHERE & ~Output.TABLE),
    Metric("hd95", "HD95", lambda one: one.surface.hd95, unit="px", digits=2, description=HD95_RULE),
    Metric("surface_dice", "surface Dice", lambda one: one.surface.surface_dice, shown=Output.API),
    Metric(
        "max_probability",
        "highest p",
        lambda one: int(one.probability_u8.max()) / 255,
        needs_truth=False,
    ),
    Metric(
        "doubtful_pixels",
        "in doubt",
        lambda one: one.doubtful_pixels,
        unit="px",
        digits=0,
        needs_truth=False,
        shown=Output.CSV | Output.API | Output.CASE_PAGE,
        description="of regions that the mask does not count",
    ),
    Metric(
        "uncounted_pixels",
        "not counted",
        lambda one: one.uncounted_pixels,
        unit="px",
        digits=0,
        needs_truth=False,
        shown=Output.CSV | Output.API | Output.CASE_PAGE,
        description="at or above the threshold, in areas too small for the mask, and not in doubt",
    ),
    Metric(
        "verdict_probability",
        "verdict p",
        lambda one: verdict_level(one.probability_u8, one.min_tumor_pixels) / 255,
        needs_truth=False,
        shown=Output.CSV | Output.API,
        description="the highest threshold at which the slice alone would have a mask",
    ),
    Metric(
        "seconds",
        "seconds",
        lambda one: one.seconds,
        unit="s",
        needs_truth=False,
        shown=Output.CSV | Output.API,
        description="of the engine",
    ),
)

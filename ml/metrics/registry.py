"""Every metric that is shown anywhere, once: CSV, JSON, HTML, PDF, API, pages and the database take it from here.

A new metric is one entry in one of the lists, in the order in which tables have it, and one test. Each list is of one
level of aggregation: a slice, a patient, a volume, the slices of one tumor size, the whole data set. A number of a
slice or a patient that is no quality, a count of pixels or the engine's seconds, is an entry as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any, Generic, TypeVar

from ml.masks import verdict_level
from ml.metrics.data_set import FOREGROUND_LEVEL, DataSetSlices, Estimate, is_empty, is_found, is_in_doubt, is_seen
from ml.metrics.overlap import dice, iou, pixel_accuracy, precision, recall, specificity
from ml.metrics.slices import SliceComparison, SliceGroup, Value
from ml.metrics.surfaces import TOLERANCE_PIXELS
from ml.metrics.volumes import TOLERANCE_MM, VolumeComparison

Source = TypeVar("Source")
Result = TypeVar("Result")


class Output(Flag):
    """Where a metric may be shown. `report.json` and the database have every one."""

    CSV = auto()  # metrics.csv, patients.csv
    API = auto()
    TABLE = auto()  # the tables of an evaluation's page
    CASE_PAGE = auto()
    HTML = auto()  # report.html
    PDF = auto()
    COMPARISON = auto()  # the page of two evaluations; of a data set's metrics alone


EVERYWHERE = Output.CSV | Output.API | Output.TABLE | Output.CASE_PAGE | Output.HTML | Output.PDF


@dataclass(frozen=True)
class Metric(Generic[Source, Result]):
    """One metric at one level of aggregation.

    name: the key in CSV, JSON and the database; label: a table's head, in lower case but for names.
    unit: empty for shares from 0 to 1 and counts; digits: after the point, for people; 0 where it is a count.
    needs_truth: whether it is defined only beside an expert's mask. needs_volume: whether it is there only where a
    patient is a volume whose millimeters are known. description: what a reader of the API must know.
    aggregation: how it was added up, in words; of a group's, where that is not its table's rule.
    """

    name: str
    label: str
    compute: Callable[[Source], Result]
    unit: str = ""
    digits: int = 3
    needs_truth: bool = True
    needs_volume: bool = False
    shown: Output = EVERYWHERE
    description: str = ""
    aggregation: str = ""

    def format(self, value: Value, undefined: str) -> str:
        """The value for people; `undefined` where nothing defines it."""
        if value is None:
            return undefined
        return f"{value:.{self.digits}f}" if self.digits else f"{value:,.0f}"


SliceMetric = Metric[SliceComparison, Value]
GroupMetric = Metric[SliceGroup, Value]
VolumeMetric = Metric[VolumeComparison, Value]
DataSetMetric = Metric[DataSetSlices, Estimate]

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

_LESIONS = "connected in 3-D"

# Beside `PATIENT_METRICS`, of a patient who is a volume of which every slice was evaluated.
VOLUME_METRICS: tuple[VolumeMetric, ...] = (
    Metric(
        "truth_ml",
        "expert",
        lambda one: int(one.truth.sum()) * one.voxel_ml,
        unit="ml",
        digits=2,
        needs_volume=True,
        shown=Output.CSV | Output.API | Output.HTML,
    ),
    Metric(
        "predicted_ml",
        "model",
        lambda one: int(one.mask.sum()) * one.voxel_ml,
        unit="ml",
        digits=2,
        needs_volume=True,
        shown=Output.CSV | Output.API | Output.HTML,
    ),
    Metric(
        "hd95_mm",
        "HD95 in 3-D",
        lambda one: one.surface[0],
        unit="mm",
        digits=2,
        needs_volume=True,
        description="where the model's mask is empty, the volume's diagonal",
    ),
    Metric(
        "surface_dice_mm",
        f"surface Dice in 3-D, {TOLERANCE_MM:g} mm",
        lambda one: one.surface[1],
        needs_volume=True,
        description=f"within {TOLERANCE_MM:g} mm",
    ),
    Metric("lesion_dice", "lesion-wise Dice", lambda one: one.lesions.dice, needs_volume=True, description=_LESIONS),
    Metric(
        "truth_lesions",
        "lesions",
        lambda one: one.lesions.truth,
        digits=0,
        needs_volume=True,
        description=f"of the expert, {_LESIONS}",
    ),
    Metric(
        "found_lesions",
        "lesions found",
        lambda one: one.lesions.found,
        digits=0,
        needs_volume=True,
        description="with a voxel at least of the model's mask",
    ),
    Metric(
        "false_lesions",
        "false lesions",
        lambda one: one.lesions.false,
        digits=0,
        needs_volume=True,
        description="of the model, without a voxel of the expert's mask",
    ),
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

_TUMOR, _ALL, _PATIENTS = "slices whose truth has tumor", "all slices", "patients whose truth has tumor"
_POOLED = "pixels pooled over a patient's slices, then the {} over " + _PATIENTS

_VOLUMES = "volumes whose truth has tumor"

DATA_SET_METRICS: tuple[DataSetMetric, ...] = (
    Metric(
        "patient_dice_mean",
        "Patient Dice, mean",
        lambda slices: slices.patient_mean(dice),
        digits=4,
        shown=EVERYWHERE | Output.COMPARISON,
        aggregation=_POOLED.format("mean"),
    ),
    Metric(
        "patient_dice_median",
        "Patient Dice, median",
        lambda slices: slices.patient_median(dice),
        digits=4,
        aggregation=_POOLED.format("median"),
    ),
    Metric(
        "patient_iou_mean",
        "Patient IoU, mean",
        lambda slices: slices.patient_mean(iou),
        digits=4,
        aggregation=_POOLED.format("mean"),
    ),
    Metric(
        "slice_dice_mean",
        "Slice Dice",
        lambda slices: slices.slice_mean("dice"),
        digits=4,
        aggregation=f"mean over {_TUMOR}",
    ),
    Metric(
        "slice_iou_mean",
        "Slice IoU",
        lambda slices: slices.slice_mean("iou"),
        digits=4,
        aggregation=f"mean over {_TUMOR}",
    ),
    Metric(
        "precision",
        "Precision",
        lambda slices: slices.slice_mean("precision"),
        digits=4,
        aggregation=f"of pixels; mean over {_TUMOR}",
    ),
    Metric(
        "recall",
        "Recall",
        lambda slices: slices.slice_mean("recall"),
        digits=4,
        aggregation=f"of pixels; mean over {_TUMOR}",
    ),
    Metric(
        "pixel_specificity",
        "Pixel specificity",
        lambda slices: slices.pixel_ratio(lambda c: (c.true_negative, c.true_negative + c.false_positive)),
        digits=4,
        aggregation=f"pixels pooled over {_ALL}",
    ),
    Metric(
        "pixel_accuracy",
        "Pixel accuracy",
        lambda slices: slices.pixel_ratio(lambda c: (c.true_positive + c.true_negative, c.total)),
        digits=4,
        aggregation=f"pixels pooled over {_ALL}",
    ),
    Metric(
        "hd95_median",
        "HD95, median",
        lambda slices: slices.slice_median("hd95"),
        unit="px",
        digits=4,
        aggregation=f"pixels; median over {_TUMOR}",
    ),
    Metric(
        "surface_dice_mean",
        "Surface Dice",
        lambda slices: slices.slice_mean("surface_dice"),
        digits=4,
        aggregation=f"within {TOLERANCE_PIXELS:g} pixels; mean over {_TUMOR}",
    ),
    Metric(
        "slice_sensitivity",
        "Tumor slices found",
        lambda slices: slices.share_of_slices(has_tumor=True, is_counted=is_found),
        digits=4,
        shown=EVERYWHERE | Output.COMPARISON,
        aggregation=f"share of {_TUMOR} whose mask has a pixel",
    ),
    Metric(
        "slice_sensitivity_with_uncertain",
        "Tumor slices found or in doubt",
        lambda slices: slices.share_of_slices(has_tumor=True, is_counted=is_seen),
        digits=4,
        aggregation=f"share of {_TUMOR} with a pixel in the mask or in a region in doubt",
    ),
    Metric(
        "slice_specificity",
        "Slice specificity",
        lambda slices: slices.share_of_slices(has_tumor=False, is_counted=is_empty),
        digits=4,
        shown=EVERYWHERE | Output.COMPARISON,
        aggregation="share of tumor-free slices whose mask is empty",
    ),
    Metric(
        "slice_uncertain_share",
        "Tumor-free slices in doubt",
        lambda slices: slices.share_of_slices(has_tumor=False, is_counted=is_in_doubt),
        digits=4,
        aggregation="share of tumor-free slices with a region in doubt and an empty mask",
    ),
    Metric(
        "slice_auc",
        "AUC of the slice verdict",
        lambda slices: slices.slice_auc(),
        digits=4,
        aggregation=f"by the highest threshold at which a slice alone has a mask; {_ALL}",
    ),
    Metric(
        "ece",
        "Calibration error",
        lambda slices: slices.ece(),
        digits=4,
        aggregation=f"15 bins, all pixels of {_ALL}",
    ),
    Metric(
        "ece_foreground",
        "Calibration error, foreground",
        lambda slices: slices.ece(FOREGROUND_LEVEL),
        digits=4,
        aggregation=f"15 bins, pixels with p >= 0.05 of {_ALL}",
    ),
    Metric(
        "hd95_mm_median",
        "HD95 in 3-D, median",
        lambda slices: slices.volume_median("hd95_mm"),
        unit="mm",
        digits=4,
        needs_volume=True,
        aggregation=f"mm; median over {_VOLUMES}",
    ),
    Metric(
        "surface_dice_mm_mean",
        "Surface Dice in 3-D",
        lambda slices: slices.volume_mean("surface_dice_mm"),
        digits=4,
        needs_volume=True,
        aggregation=f"within {TOLERANCE_MM:g} mm; mean over {_VOLUMES}",
    ),
    Metric(
        "lesion_dice_mean",
        "Lesion-wise Dice",
        lambda slices: slices.volume_mean("lesion_dice"),
        digits=4,
        needs_volume=True,
        aggregation="0 for a missed or a false lesion; mean over volumes with a lesion in either mask",
    ),
    Metric(
        "lesion_precision",
        "Lesion precision",
        lambda slices: slices.lesion_ratio(("found_lesions",), ("found_lesions", "false_lesions")),
        digits=4,
        needs_volume=True,
        aggregation=f"found of found and false lesions, {_LESIONS}, of all volumes together",
    ),
    Metric(
        "lesion_recall",
        "Lesions found",
        lambda slices: slices.lesion_ratio(("found_lesions",), ("truth_lesions",)),
        digits=4,
        needs_volume=True,
        aggregation=f"share of the expert's lesions, {_LESIONS}, with a voxel of the mask; all volumes together",
    ),
    Metric(
        "lesion_f1",
        "Lesion F1",
        lambda slices: slices.lesion_ratio(
            ("found_lesions", "found_lesions"), ("truth_lesions", "found_lesions", "false_lesions")
        ),
        digits=4,
        needs_volume=True,
        aggregation=f"of lesions, {_LESIONS}, of all volumes together",
    ),
)


def shown_in(
    metrics: Sequence[Metric[Source, Result]], output: Output, *, has_truth: bool = True, has_volumes: bool = True
) -> tuple[Metric[Source, Result], ...]:
    """The metrics of a list that an output has; without expert masks or volumes, those that need none."""
    return tuple(
        metric
        for metric in metrics
        if output in metric.shown and (has_truth or not metric.needs_truth) and (has_volumes or not metric.needs_volume)
    )


def patient_metrics(output: Output, *, has_volumes: bool) -> tuple[Metric[Any, Value], ...]:
    """The metrics of patients with expert masks that an output has, those of volumes last."""
    return (*shown_in(PATIENT_METRICS, output), *shown_in(VOLUME_METRICS, output, has_volumes=has_volumes))

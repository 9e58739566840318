"""Metrics of a whole data set."""

from ml.metrics.data_set import FOREGROUND_LEVEL, is_empty, is_found, is_in_doubt, is_seen
from ml.metrics.overlap import dice, iou
from ml.metrics.registry.metric import EVERYWHERE, DataSetMetric, Metric, Output
from ml.metrics.registry.volumes import LESIONS
from ml.metrics.surfaces import TOLERANCE_PIXELS
from ml.metrics.volumes import TOLERANCE_MM

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
        aggregation=f"found of found and false lesions, {LESIONS}, of all volumes together",
    ),
    Metric(
        "lesion_recall",
        "Lesions found",
        lambda slices: slices.lesion_ratio(("found_lesions",), ("truth_lesions",)),
        digits=4,
        needs_volume=True,
        aggregation=f"share of the expert's lesions, {LESIONS}, with a voxel of the mask; all volumes together",
    ),
    Metric(
        "lesion_f1",
        "Lesion F1",
        lambda slices: slices.lesion_ratio(
            ("found_lesions", "found_lesions"), ("truth_lesions", "found_lesions", "false_lesions")
        ),
        digits=4,
        needs_volume=True,
        aggregation=f"of lesions, {LESIONS}, of all volumes together",
    ),
)

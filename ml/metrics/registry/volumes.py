"""Metrics of a patient who is a volume."""

from ml.metrics.registry.metric import Metric, Output, VolumeMetric
from ml.metrics.volumes import TOLERANCE_MM

# What a lesion is.
LESIONS = "connected in 3-D"

# Beside `groups.PATIENT_METRICS`, of a patient who is a volume of which every slice was evaluated.
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
    Metric("lesion_dice", "lesion-wise Dice", lambda one: one.lesions.dice, needs_volume=True, description=LESIONS),
    Metric(
        "truth_lesions",
        "lesions",
        lambda one: one.lesions.truth,
        digits=0,
        needs_volume=True,
        description=f"of the expert, {LESIONS}",
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

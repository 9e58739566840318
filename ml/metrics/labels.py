"""What people call the figures of `ml.evaluation.summary`: on pages and in reports; programs get the keys."""

FIGURES = {
    "patient_dice_mean": "Patient Dice, mean",
    "patient_dice_median": "Patient Dice, median",
    "patient_iou_mean": "Patient IoU, mean",
    "slice_dice_mean": "Slice Dice",
    "slice_iou_mean": "Slice IoU",
    "precision": "Precision",
    "recall": "Recall",
    "pixel_specificity": "Pixel specificity",
    "pixel_accuracy": "Pixel accuracy",
    "hd95_median": "HD95, median",
    "surface_dice_mean": "Surface Dice",
    "slice_sensitivity": "Tumor slices found",
    "slice_specificity": "Tumor-free slices spared",
    "slice_auc": "AUC of the slice verdict",
    "ece": "Calibration error",
    "ece_in_doubt": "Calibration error, in doubt",
}

"""Outcomes and stages of evaluations, and sequences, as people write them."""

from ml.datasets.mask_findings import MASK_FINDINGS
from ml.datasets.volume_slices import image_words as image_words
from ml.evaluation.caveats import is_apart as is_apart
from ml.metrics.surfaces import TOLERANCE_PIXELS
from ml.scans.sequence import SequenceKind
from webapp.domain.evaluations.progress import Stage

# Of `ml.scans.formats.FORMATS`, and of scans that are made of others (`webapp.domain.scans`).
FORMATS = {
    "png": "PNG",
    "jpeg": "JPEG",
    "webp": "WebP",
    "tiff": "TIFF",
    "nifti": "NIfTI",
    "dicom": "DICOM",
    "nrrd": "NRRD",
    "mixed": "several formats",
    "joined": "several sequences",
}
# Tone, icon and words, as templates/macros/chips.html has them for states.
OUTCOMES = {
    "found": ("clear", "clear", "Tumor found"),
    "uncertain_tumor": ("doubt", "doubt", "Tumor, uncertain"),
    "missed": ("warn", "failed", "Tumor missed"),
    "false_alarm": ("tumor", "tumor", "False alarm"),
    "uncertain_clear": ("doubt", "doubt", "No tumor, uncertain"),
    "clear": ("plain", "clear", "No tumor, none marked"),
    "tumor_detected": ("tumor", "tumor", "Tumor detected"),
    "uncertain": ("doubt", "doubt", "Uncertain"),
    "no_tumor": ("clear", "clear", "No tumor found"),
    "not_assessed": ("plain", "info", "No verdict"),
    "failed": ("warn", "failed", "Not evaluated"),
}
# A scan's verdict "no tumor" where something was seen and not counted; templates/macros/chips.html has it, too.
NO_TUMOR_COUNTED = "No tumor counted"
WITH_TRUTH = ("found", "uncertain_tumor", "missed", "false_alarm", "uncertain_clear", "clear", "failed")
WITHOUT_TRUTH = ("tumor_detected", "uncertain", "no_tumor", "not_assessed", "failed")
PROBLEMS = {
    "missing_mask": "Images without a mask",
    "doubled_mask": "Images with several masks",
    "doubled_image": "Names with several images",
    "mask_without_image": "Masks without an image",
    "mask_name": "Masks whose names are not read",
    "missing_file": "Links and names without a file",
    "doubled_patient": "Patients whose names differ in case alone",
    "missing_image": "Annotated images that are not there",
    "bad_annotation": "Damaged annotations",
    "unreadable_image": "Images that cannot be read",
    "unreadable_mask": "Masks that cannot be read",
    "unequal_size": "Masks of another size than their image",
    "unequal_place": "Volumes of a patient at different places",
    "no_flair": "Patients without FLAIR",
    **{finding.code: finding.title for finding in MASK_FINDINGS.values()},
    "exchanged_masks": "Background and tumor exchanged",
    "second_channel_dropped": "Images whose second channel was dropped",
    "fourth_channel_dropped": "Images whose fourth channel was dropped",
    "first_frame_only": "Animations of which the first picture was read",
    "duplicate_image": "Images that two patients share",
    "found_by_name": "Annotated images found by their file names alone",
    "clipped_outline": "Outlines clipped at the edge of their image",
    "outlines_in_corner": "Outlines that all lie in the upper left",
    "nested_patients": "Folders of images and masks taken for one patient each",
    "unnamed_patients": "Images that each count as a patient",
    "masks_by_pixels": "Masks told from their images by their pixels",
    "transparent_images": "Images with an alpha channel and no mask",
    "box_outlines": "Boxes where outlines should be",
    "stray_piece": "Annotations with a piece that has no area",
    "stray_annotations": "Files of annotations that name no image",
    "no_annotations": "Files of annotations without any tumor",
    "left_out": "Files that are no part of the data set",
    "doubled_folder": "Folders that hold the data set again",
    "shared_patient": "Patients on several sides of the folders' division",
    "empty_masks": "Not one mask with tumor",
    "empty_mask": "DICOM masks without tumor",
    "volume_count": "Other volumes than dataset.json counts",
    "mixed_channels": "Patients of whom FLAIR alone is read",
    "automatic_masks": "Masks that a program made",
    "outside_roots": "Links that lead out of the allowed roots",
    "bad_name": "Names that are not UTF-8",
}
SEQUENCES = {
    SequenceKind.FLAIR.value: "FLAIR",
    SequenceKind.T1.value: "T1",
    SequenceKind.T1_POST.value: "T1 with contrast",
    SequenceKind.T2.value: "T2",
    SequenceKind.T2_STAR.value: "T2*",
    SequenceKind.PROTON_DENSITY.value: "Proton density",
    SequenceKind.DIFFUSION.value: "Diffusion",
    SequenceKind.PERFUSION.value: "Perfusion",
    SequenceKind.EPI.value: "Echo-planar (fMRI)",
    SequenceKind.ANGIOGRAPHY.value: "Angiography",
    SequenceKind.LOCALIZER.value: "Localizer",
    SequenceKind.OTHER.value: "Not FLAIR",
    SequenceKind.OTHER_PART.value: "Another part of the body",
}
SURFACE_TOLERANCE = f"{TOLERANCE_PIXELS:g} pixels"
STAGES = {
    Stage.WAITING.value: "Waiting for a worker",
    Stage.CHECKING.value: "Checking every file",
    Stage.RUNNING.value: "Evaluating",
    Stage.REPORTING.value: "Adding up the report",
    Stage.ENDED.value: "Ended",
}


def threshold(value: float) -> str:
    """A threshold with two digits, or with all that it has: 0.999 is not 1. static/js/core/format.js says the same."""
    # Fifteen digits are those that every computer shows alike.
    whole, _, digits = f"{value:.15f}".rstrip("0").partition(".")
    return f"{whole}.{digits:0<2}"


def duration(seconds: float) -> str:
    """A time that is left, no more exact than it is known."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"

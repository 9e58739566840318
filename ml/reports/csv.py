"""`metrics.csv`, one row a slice, and `patients.csv`, one row a patient. Columns as docs/evaluation.md lists them."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ml.evaluation.scoring import Failure, Prediction, Score
from ml.evaluation.summary import PatientFigures
from ml.metrics.overlap import dice, iou, precision, recall

if TYPE_CHECKING:
    from ml.evaluation.predictions import PredictedPatient

SLICE_COLUMNS = (
    "patient",
    "image",
    "truth_pixels",
    "predicted_pixels",
    "dice",
    "iou",
    "precision",
    "recall",
    "hd95",
    "max_probability",
    "seconds",
)
PATIENT_COLUMNS = (
    "patient",
    "slices",
    "tumor_slices",
    "failed_slices",
    "truth_pixels",
    "predicted_pixels",
    "dice",
    "iou",
    "precision",
    "recall",
    "specificity",
    "pixel_accuracy",
    "hd95_median",
    "surface_dice_mean",
)


def write_slices(path: Path, results: Iterable[Score | Prediction | Failure]) -> None:
    """`metrics.csv`. A failed slice has its patient and image, and nothing else."""
    _write(path, SLICE_COLUMNS, (_slice_row(result) for result in results))


def write_patients(path: Path, patients: Sequence[PatientFigures]) -> None:
    """`patients.csv`: pixels pooled over a patient's slices."""
    _write(path, PATIENT_COLUMNS, ([getattr(patient, name) for name in PATIENT_COLUMNS] for patient in patients))


def write_predicted_patients(path: Path, patients: Sequence["PredictedPatient"]) -> None:
    """`patients.csv` of slices without truth: what the model says of each patient."""
    names = ("patient", "slices", "failed_slices", "detected_slices", "predicted_pixels")
    _write(path, names, ([getattr(patient, name) for name in names] for patient in patients))


def _slice_row(result: Score | Prediction | Failure) -> list[object]:
    named = [result.case.patient, result.case.image.name]
    if isinstance(result, Failure):
        return named + [None] * (len(SLICE_COLUMNS) - len(named))
    if isinstance(result, Prediction):
        return [*named, None, result.predicted_pixels, *[None] * 5, result.max_probability, result.seconds]
    counts = result.counts
    figures = [dice(counts), iou(counts), precision(counts), recall(counts), result.surface.hd95]
    return [*named, counts.truth, counts.predicted, *figures, result.max_probability, result.seconds]


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: object) -> object:
    """Six digits are more than any figure is good for; what is not defined is an empty field."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"  # a spreadsheet would run a file's name as a formula (OWASP, CSV Injection)
    return "" if value is None else value

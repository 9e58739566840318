"""What can be said of slices without expert masks: how many have tumor, by the model's word alone."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ml.evaluation.scoring import Failure, Prediction, Score
from ml.rendering.panels import NOTICE
from ml.reports.csv import write_predicted_patients, write_slices
from ml.reports.html import fill_template
from ml.reports.json import Subject


@dataclass(frozen=True)
class PredictedPatient:
    """One patient's slices; `detected_slices` have a pixel in their mask."""

    patient: str
    slices: int
    failed_slices: int
    detected_slices: int
    predicted_pixels: int


@dataclass(frozen=True)
class Predictions:
    """All of it, before anything is written."""

    headline: str
    summary: dict[str, Any]
    patients: tuple[PredictedPatient, ...]
    results: tuple[Score | Prediction | Failure, ...]


def summarize_predictions(
    subject: Subject, results: Sequence[Score | Prediction | Failure], threshold: float, seconds: float
) -> Predictions:
    """Count. results: in the order of the cases; at least one Prediction."""
    failures = [item for item in results if isinstance(item, Failure)]
    found = [item for item in results if isinstance(item, Prediction)]
    patients = _patients(found, failures)
    detected = sum(item.predicted_pixels > 0 for item in found)
    with_tumor = sum(patient.detected_slices > 0 for patient in patients)
    unit = "patient" if len(patients) == 1 else "patients"
    said = (
        f"Tumor detected in {detected} of {len(found)} slices, in {with_tumor} of {len(patients)} {unit};"
        " there are no expert masks to compare with"
    )
    if failures:
        said += f"; {len(failures)} of {len(results)} slices could not be read"
    summary = {
        "patients": len(patients),
        "slices": len(found),
        "failed_slices": len(failures),
        "detected_slices": detected,
        "detected_patients": with_tumor,
        "threshold": threshold,
        "min_tumor_pixels": subject.card.min_tumor_pixels,
        "model": subject.card.name,
        "model_version": subject.card.version,
        "engine": subject.name,
        "slices_per_second": round(len(results) / seconds, 2),
    }
    return Predictions(said, summary, patients, tuple(results))


def fill_predictions_folder(folder: Path, predictions: Predictions) -> None:
    """Write the tables, report.json and report.html into an empty folder. Raises OSError."""
    write_slices(folder / "metrics.csv", predictions.results)
    write_predicted_patients(folder / "patients.csv", predictions.patients)
    document = {
        "format": "glioscope-predictions-1",
        "notice": NOTICE,
        "headline": predictions.headline,
        "summary": predictions.summary,
        "patients": [asdict(patient) for patient in predictions.patients],
        "failures": [
            {"patient": item.case.patient, "image": item.case.image.name, "message": item.message}
            for item in predictions.results
            if isinstance(item, Failure)
        ],
    }
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8")
    (folder / "report.html").write_text(_page(predictions), encoding="utf-8")


def _page(predictions: Predictions) -> str:
    return fill_template(
        "predictions.html",
        headline=predictions.headline,
        summary=predictions.summary,
        patients=predictions.patients,
        failures=[item.message for item in predictions.results if isinstance(item, Failure)],
    )


def _patients(found: Sequence[Prediction], failures: Sequence[Failure]) -> tuple[PredictedPatient, ...]:
    failed = Counter(item.case.patient for item in failures)
    by_patient: dict[str, list[Prediction]] = defaultdict(list)
    for item in found:
        by_patient[item.case.patient].append(item)
    return tuple(
        PredictedPatient(
            patient=name,
            slices=len(by_patient[name]),
            failed_slices=failed[name],
            detected_slices=sum(item.predicted_pixels > 0 for item in by_patient[name]),
            predicted_pixels=sum(item.predicted_pixels for item in by_patient[name]),
        )
        for name in sorted(by_patient.keys() | failed.keys())
    )

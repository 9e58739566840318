"""What can be said of slices without expert masks: how many have tumor according to the model alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ml.datasets.checking.problems import LeftOut
from ml.evaluation.report import Subject, left_out_words
from ml.evaluation.scoring import Failure, Prediction, SliceResult, slices_sha256
from ml.evaluation.summary import PatientResult, patients_of
from ml.metrics.registry import PREDICTED_PATIENT_METRICS


@dataclass(frozen=True)
class Predictions:
    """All of it, before anything is written."""

    headline: str
    summary: dict[str, Any]
    patients: tuple[PatientResult, ...]
    results: tuple[SliceResult, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The slices that could not be read."""
        return tuple(item for item in self.results if isinstance(item, Failure))


def summarize_predictions(
    subject: Subject,
    results: Sequence[SliceResult],
    threshold: float,
    seconds: float,
    left_out: Sequence[LeftOut] = (),
) -> Predictions:
    """Count. results: in the order of the cases; at least one Prediction. left_out: what the folder has beside them."""
    failures = [item for item in results if isinstance(item, Failure)]
    found = [item for item in results if isinstance(item, Prediction)]
    patients = patients_of(results, PREDICTED_PATIENT_METRICS)
    detected = sum(bool(item.metrics["predicted_pixels"]) for item in found)
    with_tumor = sum(bool(patient.metrics["detected_slices"]) for patient in patients)
    unit = "patient" if len(patients) == 1 else "patients"
    headline = (
        f"Tumor detected in {detected} of {len(found)} slices, in {with_tumor} of {len(patients)} {unit};"
        " there are no expert masks to compare with"
    )
    if failures:
        headline += f"; {len(failures)} of {len(results)} slices could not be used"
    headline = "; ".join([headline, *left_out_words(left_out)])
    summary = {
        "patients": len(patients),
        "slices": len(found),
        "failed_slices": len(failures),
        "detected_slices": detected,
        "detected_patients": with_tumor,
        "threshold": threshold,
        "min_tumor_pixels": subject.card.min_tumor_pixels,
        "model": subject.card.name,
        "model_version": subject.card.release,
        "engine": subject.name,
        "slices_sha256": slices_sha256(results),
        "slices_per_second": round(len(results) / seconds, 2),
    }
    return Predictions(headline, summary, patients, tuple(results), tuple(left_out))

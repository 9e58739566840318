"""`report.json`: everything that an evaluation found, as plain JSON values. Its keys stand in docs/evaluation.md."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ml.evaluation.predictions import Predictions
from ml.evaluation.report import Report, headline, rounded, summary_of
from ml.evaluation.scoring import Failure
from ml.evaluation.summary import PatientResult
from ml.metrics.intervals import RESAMPLES
from ml.rendering.panels import NOTICE
from ml.reports.gallery import Picture
from ml.reports.title import Title


def report_document(report: Report, pictures: Sequence[Picture], title: Title) -> dict[str, Any]:
    """The values of report.json. Never NaN: what is not defined is None."""
    return {
        "format": "glioscope-evaluation-1",
        "title": title.described(),
        "notice": NOTICE,
        "headline": headline(report),
        "summary": summary_of(report),
        "intervals": {metric.name: rounded(metric.ci95) for metric in report.metrics},
        "aggregation": {metric.name: metric.aggregation for metric in report.metrics},
        "bootstrap": {"over": "patients", "resamples": RESAMPLES, "seed": report.settings.seed, "level": 0.95},
        "by_size": [
            {
                "size": size.size,
                "from_percent": size.from_percent,
                "to_percent": size.to_percent,
                **rounded(dict(size.metrics)),
            }
            for size in report.sizes
        ],
        "verdicts": asdict(report.verdicts),
        "uncertain": asdict(report.uncertain),
        "roc": None if report.roc is None else rounded(asdict(report.roc)),
        "calibration": {
            "all_pixels": rounded(asdict(report.calibration)),
            "foreground": rounded(asdict(report.calibration_foreground)),
        },
        "patients": _patients(report.patients),
        "gallery": [rounded(asdict(picture)) for picture in pictures],
        "doubtful_masks": asdict(report.outcome.doubtful_masks),
        "misfits": [rounded({**asdict(misfit), "sentence": misfit.sentence}) for misfit in report.misfits],
        "failures": _failures(report.outcome.failures),
        "left_out": [asdict(group) for group in report.left_out],
    }


def predictions_document(predictions: Predictions, title: Title) -> dict[str, Any]:
    """The values of report.json of slices without expert masks."""
    return {
        "format": "glioscope-predictions-1",
        "title": title.described(),
        "notice": NOTICE,
        "headline": predictions.headline,
        "summary": predictions.summary,
        "patients": _patients(predictions.patients),
        "failures": _failures(predictions.failures),
        "left_out": [asdict(group) for group in predictions.left_out],
    }


def json_text(document: dict[str, Any]) -> str:
    """The text of report.json. Raises ValueError for NaN."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _patients(patients: Sequence[PatientResult]) -> list[dict[str, Any]]:
    return [{"patient": item.patient, **rounded(dict(item.metrics))} for item in patients]


def _failures(failures: Sequence[Failure]) -> list[dict[str, str]]:
    return [{"patient": item.case.patient, "image": item.case.file_name, "message": item.message} for item in failures]

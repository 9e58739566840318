"""`report.json`: everything that an evaluation found, as plain JSON values. Its keys stand in docs/evaluation.md."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from ml.cards.card import Card
from ml.evaluation.run import Outcome
from ml.evaluation.sizes import SizeFigures, sizes_of
from ml.evaluation.summary import (
    DOUBT_LEVEL,
    MetricEstimate,
    PatientFigures,
    figures_of,
    patients_of,
    verdicts_of,
)
from ml.metrics.calibration import Calibration, add_levels, calibrate
from ml.metrics.intervals import RESAMPLES
from ml.metrics.overlap import Counts
from ml.metrics.surfaces import TOLERANCE_PIXELS
from ml.metrics.verdicts import Roc, roc
from ml.rendering.panels import NOTICE
from ml.reports.gallery import Picture


@dataclass(frozen=True)
class Settings:
    """What a person chose for an evaluation."""

    threshold: float
    has_tta: bool
    seed: int
    is_grey: bool = False


@dataclass(frozen=True)
class Report:
    """All results of one evaluation, before anything is written."""

    model: str
    model_version: str | None
    engine: str
    min_tumor_pixels: int
    settings: Settings
    outcome: Outcome
    patients: tuple[PatientFigures, ...]
    figures: tuple[MetricEstimate, ...]
    sizes: tuple[SizeFigures, ...]
    verdicts: Counts
    roc: Roc | None
    calibration: Calibration  # of all pixels
    calibration_in_doubt: Calibration  # of pixels with p >= 0.05

    def figure(self, name: str) -> MetricEstimate:
        """One figure by its name. Raises KeyError."""
        return {figure.name: figure for figure in self.figures}[name]


class Subject(Protocol):
    """What was evaluated: an engine, or what was written down of one."""

    name: str
    card: Card


def make_report(engine: Subject, outcome: Outcome, settings: Settings) -> Report:
    """Aggregate an outcome with at least one score."""
    scores = outcome.scores
    levels = add_levels(score.levels for score in scores)
    return Report(
        model=engine.card.name,
        model_version=engine.card.version,
        engine=engine.name,
        min_tumor_pixels=engine.card.min_tumor_pixels,
        settings=settings,
        outcome=outcome,
        patients=patients_of(outcome),
        figures=figures_of(scores, settings.seed),
        sizes=sizes_of(scores),
        verdicts=verdicts_of(scores),
        roc=roc(
            np.array([score.max_probability for score in scores]),
            np.array([score.counts.truth > 0 for score in scores]),
        ),
        calibration=calibrate(levels),
        calibration_in_doubt=calibrate(levels, DOUBT_LEVEL),
    )


def headline(report: Report) -> str:
    """The one sentence that a reader takes home."""
    dice, found, spared = (
        report.figure(name) for name in ("patient_dice_mean", "slice_sensitivity", "slice_specificity")
    )
    patients = sum(patient.dice is not None for patient in report.patients)
    if dice.value is None:
        sentence = "No patient with tumor, so no Dice"
    else:
        interval = f", 95 % CI {dice.ci95[0]:.3f} to {dice.ci95[1]:.3f}" if dice.ci95 else ""
        sentence = f"Patient Dice {dice.value:.3f}{interval}, over {patients} patient{'s' if patients != 1 else ''}"
    parts = []
    if found.value is not None:
        parts.append(f"{100 * found.value:.1f} % of tumor slices found")
    if spared.value is not None:
        parts.append(f"{100 * (1 - spared.value):.1f} % false alarms")
    if report.outcome.failures:
        parts.append(f"{len(report.outcome.failures)} of {len(report.outcome.results)} slices could not be read")
    return "; ".join([sentence, ", ".join(parts)] if parts else [sentence])


def summary_of(report: Report) -> dict[str, Any]:
    """The `summary` of report.json: flat, one value a key."""
    outcome, dice = report.outcome, report.figure("patient_dice_mean")
    return {
        "patients": len({score.case.patient for score in outcome.scores}),
        "slices": len(outcome.scores),
        "tumor_slices": report.verdicts.truth,
        "failed_slices": len(outcome.failures),
        **{figure.name: _rounded(figure.value) for figure in report.figures},
        "patient_dice_ci95": _rounded(dice.ci95),
        "surface_tolerance_pixels": TOLERANCE_PIXELS,
        "threshold": report.settings.threshold,
        "min_tumor_pixels": report.min_tumor_pixels,
        "model": report.model,
        "model_version": report.model_version,
        "engine": report.engine,
        "tta": report.settings.has_tta,
        "grey": report.settings.is_grey,
        "seed": report.settings.seed,
        "slices_per_second": round(len(outcome.results) / outcome.seconds, 2),
    }


def report_json(report: Report, pictures: tuple[Picture, ...]) -> str:
    """The text of report.json. Never NaN: what is not defined is null."""
    document = {
        "format": "glioscope-evaluation-1",
        "notice": NOTICE,
        "headline": headline(report),
        "summary": summary_of(report),
        "intervals": {figure.name: _rounded(figure.ci95) for figure in report.figures},
        "aggregation": {figure.name: figure.aggregation for figure in report.figures},
        "bootstrap": {"over": "patients", "resamples": RESAMPLES, "seed": report.settings.seed, "level": 0.95},
        "by_size": [_rounded(asdict(size)) for size in report.sizes],
        "verdicts": asdict(report.verdicts),
        "roc": None if report.roc is None else _rounded(asdict(report.roc)),
        "calibration": {
            "all_pixels": _rounded(asdict(report.calibration)),
            "in_doubt": _rounded(asdict(report.calibration_in_doubt)),
        },
        "patients": [_rounded(asdict(patient)) for patient in report.patients],
        "gallery": [_rounded(asdict(picture)) for picture in pictures],
        "failures": [
            {"patient": failure.case.patient, "image": failure.case.image.name, "message": failure.message}
            for failure in report.outcome.failures
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _rounded(value: Any) -> Any:
    """Floats to six decimals, in any nesting of what JSON knows."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, tuple | list) else value

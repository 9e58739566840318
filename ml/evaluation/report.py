"""Everything that an evaluation found, before anything is written: `ml.reports` makes files of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ml.cards import Card
from ml.datasets.checking.problems import LeftOut
from ml.datasets.time_points import person_of
from ml.evaluation.caveats import caveats_of, is_apart
from ml.evaluation.mask_fit import Misfit, find_misfits
from ml.evaluation.run import Outcome
from ml.evaluation.sizes import SizeResult, sizes_of
from ml.evaluation.summary import (
    MetricEstimate,
    PatientResult,
    UncertainSlices,
    estimate_metrics,
    patients_of,
    uncertain_of,
    verdicts_of,
)
from ml.metrics.calibration import Calibration, add_histograms, calibrate
from ml.metrics.data_set import FOREGROUND_LEVEL, verdict_score
from ml.metrics.overlap import Counts
from ml.metrics.surfaces import TOLERANCE_PIXELS
from ml.metrics.verdicts import Roc, roc
from ml.metrics.volumes import TOLERANCE_MM


class Subject(Protocol):
    """What was evaluated: an engine, or what was written down of one."""

    @property
    def name(self) -> str:
        """The engine's."""

    @property
    def card(self) -> Card:
        """The model's."""


@dataclass(frozen=True)
class Settings:
    """What a person chose for an evaluation."""

    threshold: float
    has_tta: bool
    seed: int
    is_grey: bool = False


@dataclass(frozen=True)
class Report:
    """All results of one evaluation. metrics: of the whole data set, in the order of the registry.

    caveats: what must be known before the figures, in sentences; misfits: masks that would agree better another way.
    """

    model: str
    model_version: str | None
    engine: str
    min_tumor_pixels: int
    settings: Settings
    outcome: Outcome
    patients: tuple[PatientResult, ...]
    metrics: tuple[MetricEstimate, ...]
    sizes: tuple[SizeResult, ...]
    verdicts: Counts
    uncertain: UncertainSlices
    roc: Roc | None
    calibration: Calibration  # of all pixels
    calibration_foreground: Calibration  # of pixels with p >= 0.05
    caveats: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    misfits: tuple[Misfit, ...] = ()

    @property
    def has_volumes(self) -> bool:
        """Whether one patient at least was measured in 3-D."""
        return bool(self.outcome.volumes)

    def metric(self, name: str) -> MetricEstimate:
        """One metric by its name. Raises KeyError."""
        return {metric.name: metric for metric in self.metrics}[name]


def make_report(
    engine: Subject,
    outcome: Outcome,
    settings: Settings,
    left_out: Sequence[LeftOut] = (),
    notes: Sequence[str] = (),
) -> Report:
    """Aggregate an outcome with at least one score. left_out: what the folder has beside the cases; notes: what its
    layout says of the figures."""
    scores = outcome.scores
    histogram = add_histograms(score.probability_histogram for score in scores)
    patients = patients_of((*scores, *outcome.failures), volumes=outcome.volumes)
    metrics = estimate_metrics(scores, settings.seed, outcome.volumes)
    misfits = find_misfits(scores)
    explained = {patient for misfit in misfits for patient in misfit.patients}
    return Report(
        model=engine.card.name,
        model_version=engine.card.release,
        engine=engine.name,
        min_tumor_pixels=engine.card.min_tumor_pixels,
        settings=settings,
        outcome=outcome,
        patients=patients,
        metrics=metrics,
        sizes=sizes_of(scores),
        verdicts=verdicts_of(scores),
        uncertain=uncertain_of(scores),
        roc=roc(
            np.array([verdict_score(score) for score in scores]),
            np.array([score.counts.truth > 0 for score in scores]),
        ),
        calibration=calibrate(histogram),
        calibration_foreground=calibrate(histogram, FOREGROUND_LEVEL),
        caveats=caveats_of(
            engine.card.training,
            {score.patient for score in scores},
            len({person_of(patient.patient) for patient in patients if patient.dice is not None}),
            has_interval=any(metric.ci95 for metric in metrics),
            duplicate_slices=outcome.duplicate_slices,
            slices=len(scores),
            apart=[
                patient.patient
                for patient in patients
                if is_apart(patient.dice, patient.metrics.get("predicted_pixels")) and patient.patient not in explained
            ],
            training_slices=outcome.training_slices,
            misfits=[misfit.sentence for misfit in misfits],
            notes=notes,
        ),
        left_out=tuple(left_out),
        misfits=misfits,
    )


def headline(report: Report) -> str:
    """The result in one sentence."""
    dice, sensitivity, specificity = (
        report.metric(name) for name in ("patient_dice_mean", "slice_sensitivity", "slice_specificity")
    )
    patients = sum(patient.dice is not None for patient in report.patients)
    if dice.value is None:
        sentence = "No patient with tumor, so no Dice"
    else:
        interval = f", 95 % CI {dice.ci95[0]:.3f} to {dice.ci95[1]:.3f}" if dice.ci95 else ""
        sentence = f"Patient Dice {dice.value:.3f}{interval}, over {patients} patient{'s' if patients != 1 else ''}"
    parts = []
    if sensitivity.value is not None:
        parts.append(f"{100 * sensitivity.value:.1f} % of tumor slices found")
    if specificity.value is not None:
        parts.append(f"{100 * (1 - specificity.value):.1f} % false alarms")
    if report.outcome.failures:
        parts.append(f"{len(report.outcome.failures)} of {len(report.outcome.results)} slices could not be used")
    clauses = [
        sentence,
        ", ".join(parts),
        report.outcome.doubtful_masks.phrase,
        *left_out_words(report.left_out),
    ]
    return "; ".join(clause for clause in clauses if clause)


def left_out_words(left_out: Sequence[LeftOut]) -> list[str]:
    """For a headline: how many files were left out; nothing where there are none."""
    count = sum(group.count for group in left_out)
    return [f"{count:,} file{'' if count == 1 else 's'} of the folder left out"] if count else []


def summary_of(report: Report) -> dict[str, Any]:
    """The `summary` of report.json: flat, one value a key."""
    outcome, dice = report.outcome, report.metric("patient_dice_mean")
    return {
        "patients": len({score.patient for score in outcome.scores}),
        "slices": len(outcome.scores),
        "tumor_slices": report.verdicts.truth,
        "failed_slices": len(outcome.failures),
        "doubtful_masks": outcome.doubtful_masks.slices,
        **{metric.name: rounded(metric.value) for metric in report.metrics},
        "patient_dice_ci95": rounded(dice.ci95),
        "surface_tolerance_pixels": TOLERANCE_PIXELS,
        **({"volumes": len(outcome.volumes), "surface_tolerance_mm": TOLERANCE_MM} if report.has_volumes else {}),
        "threshold": report.settings.threshold,
        "min_tumor_pixels": report.min_tumor_pixels,
        "model": report.model,
        "model_version": report.model_version,
        "engine": report.engine,
        "tta": report.settings.has_tta,
        "grey": report.settings.is_grey,
        "seed": report.settings.seed,
        "slices_sha256": outcome.slices_sha256,
        "slices_per_second": round(len(outcome.results) / outcome.seconds, 2),
        "caveats": list(report.caveats),
    }


def rounded(value: Any) -> Any:
    """Floats to six decimals, in any nesting of what JSON knows; tuples become lists."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, tuple | list) else value

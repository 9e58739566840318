"""Several runs side by side: what each reached, and whether the difference to the first is more than chance.

Runs are compared patient by patient, so only on the same validation patients of the same data.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.datasets import DatasetError, read_split
from ml.metrics.comparison import PairedComparison, compare_pairs
from ml.training.errors import TrainingError
from ml.training.records import RESULT_FILE, VALIDATION_FOLDER
from ml.training.run import SPLIT_FILE

_LOSSES = ("bce", "dice", "focal", "boundary")


@dataclass(frozen=True)
class Run:
    """A finished run. dice: of each validation patient with tumor; patients: which they are, by the data's digest."""

    name: str
    result: Mapping[str, Any]
    dice: Mapping[str, float]
    patients: tuple[str, tuple[str, ...]]


def read_run(folder: Path) -> Run:
    """A run's folder. Raises TrainingError where it is not finished."""
    try:
        result = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
        split = read_split(folder / SPLIT_FILE)
        with (folder / VALIDATION_FOLDER / "patients.csv").open(encoding="utf-8", newline="") as file:
            dice = {row["patient"]: float(row["dice"]) for row in csv.DictReader(file) if row["dice"]}
    except (OSError, ValueError, KeyError, DatasetError) as error:
        raise TrainingError(
            f"{folder} is not the folder of a finished run ({error}); give one that `python -m ml train` has finished."
        ) from error
    return Run(folder.name, result, dice, (split.data_sha256, split.validation))


def compare_runs(runs: Sequence[Run]) -> tuple[PairedComparison | None, ...]:
    """Patient Dice of each run less that of the first, whose own is None.

    Raises TrainingError where they were validated on other patients.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.patients != first.patients:
            raise TrainingError(
                f"{run.name} was validated on other patients or other data than {first.name}, so their figures say"
                " nothing about each other; train both with the same --split."
            )
    return (None, *(_compare(run.dice, first.dice) for run in runs[1:]))


def table_of(runs: Sequence[Run]) -> str:
    """A Markdown table, a row a run, and how its numbers were added up below it."""
    head = ("run", "recipe", "loss", "best epoch", "patient Dice", "difference to the first", "p", "slice Dice")
    rows = [(*head, "sensitivity", "specificity", "s / epoch")]
    for run, difference in zip(runs, compare_runs(runs), strict=True):
        summary = run.result["summary"]
        seconds = run.result["seconds_per_epoch"]
        rows.append(
            (
                run.name,
                run.result["recipe"],
                _loss(run.result["loss"]),
                f"{run.result['best_epoch']} of {run.result['epochs']}",
                _number(summary["patient_dice_mean"]) + _interval(summary["patient_dice_ci95"]),
                "" if difference is None else f"{difference.mean_difference or 0.0:+.4f}{_interval(difference.ci95)}",
                "" if difference is None or difference.p_value is None else f"{difference.p_value:.3f}",
                *(_number(summary[name]) for name in ("slice_dice_mean", "slice_sensitivity", "slice_specificity")),
                f"{np.median(seconds):.1f}" if seconds else "",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |" for row in rows]
    lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    patients = len(runs[0].patients[1])
    explanation = (
        f"{patients} validation patients, which chose each run's epoch. Patient Dice: pixels pooled over a patient's"
        " slices, mean over patients with tumor; in brackets 95 % intervals, bootstrap over patients. p: Wilcoxon"
        " signed-rank test of the paired differences. Slice Dice: mean over slices with tumor. Threshold 0.5."
    )
    return "\n".join([*lines, "", explanation]) + "\n"


def _compare(dice: Mapping[str, float], reference: Mapping[str, float]) -> PairedComparison:
    """Of `dice` less `reference`, over the patients of both."""
    if not reference:
        raise TrainingError("The validation patients have no tumor, so no run has a Dice to compare.")
    patients = sorted(reference)
    return compare_pairs([reference[patient] for patient in patients], [dice[patient] for patient in patients])


def _loss(loss: Mapping[str, Any]) -> str:
    return " + ".join(f"{loss[name]:g} {name}" for name in _LOSSES if loss[name])


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _interval(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"

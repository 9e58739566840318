"""Several runs side by side: what each reached, and whether the difference to the first is more than chance.

Runs are compared patient by patient, so only on the same validation patients of the same data. Runs that differ in
their seed alone are one row: of each patient the mean over the seeds is compared.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ml.datasets import DatasetError, read_split
from ml.datasets.time_points import person_of
from ml.metrics.comparison import PairedComparison, compare_pairs
from ml.metrics.intervals import draw_patients, mean_interval
from ml.training.errors import TrainingError
from ml.training.records import RESULT_FILE, VALIDATION_FOLDER
from ml.training.run import CONFIGURATION_FILE, SPLIT_FILE

_LOSSES = ("bce", "dice", "focal", "boundary")
# Of a run's summary, beside the interval.
_FIGURES = ("patient_dice_mean", "slice_dice_mean", "slice_sensitivity", "slice_specificity")


@dataclass(frozen=True)
class Run:
    """A finished run, or several that differ in their seed alone.

    dice: of each validation patient with tumor; patients: which they are, by the data's digest. configuration: without
    the seed. seeds: each with the mean patient Dice of its run.
    """

    name: str
    result: Mapping[str, Any]
    dice: Mapping[str, float]
    patients: tuple[str, tuple[str, ...]]
    configuration: Mapping[str, Any]
    seeds: tuple[tuple[int, float | None], ...]


def read_run(folder: Path) -> Run:
    """A run's folder. Raises TrainingError where it is not finished, or has nothing to compare."""
    try:
        result = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
        split = read_split(folder / SPLIT_FILE)
        if not split.validation:
            raise TrainingError(
                f"{folder} was trained on {len(split.train)} patients and none was kept for validation, so it has no"
                " figures to compare; give runs of a split with a validation side."
            )
        with (folder / VALIDATION_FOLDER / "patients.csv").open(encoding="utf-8", newline="") as file:
            dice = {row["patient"]: float(row["dice"]) for row in csv.DictReader(file) if row["dice"]}
        configuration = yaml.safe_load((folder / CONFIGURATION_FILE).read_text(encoding="utf-8"))
        seed = configuration["loop"].pop("seed")
        mean = result["summary"]["patient_dice_mean"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, DatasetError) as error:
        if (folder / "report.json").is_file():
            raise TrainingError(
                f"{folder} is an evaluation and no run of `python -m ml train`; two evaluations of the same images are"
                " compared in the portal (docs/evaluation.md, Comparison), or patient by patient by their patients.csv."
            ) from error
        raise TrainingError(
            f"{folder} is not the folder of a finished run ({error}); give one that `python -m ml train` has finished."
        ) from error
    patients = (split.data_sha256, split.validation)
    return Run(folder.name, result, dice, patients, configuration, ((seed, mean),))


def merge_seeds(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Runs of one configuration and the same patients as one, each in the place of its first; figures are means."""
    groups: list[list[Run]] = []
    for run in runs:
        same = (g for g in groups if (g[0].configuration, g[0].patients) == (run.configuration, run.patients))
        group = next(same, None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    return tuple(_merge(group) if len(group) > 1 else group[0] for group in groups)


def _merge(runs: Sequence[Run]) -> Run:
    """Raises TrainingError where two have the same seed."""
    seeds = tuple(sorted((seed for run in runs for seed in run.seeds), key=lambda seed: seed[0]))
    names = ", ".join(run.name for run in runs)
    if len({seed for seed, _ in seeds}) < len(seeds):
        raise TrainingError(f"{names} are runs of one recipe, two of them with the same seed; give each seed once.")
    first = runs[0]
    dice = {patient: float(np.mean([run.dice[patient] for run in runs])) for patient in first.dice}
    values = np.array(list(dice.values()))
    summary: dict[str, Any] = {name: _mean([run.result["summary"][name] for run in runs]) for name in _FIGURES}
    draws = draw_patients(len(values), persons=[person_of(patient) for patient in dice])
    summary["patient_dice_ci95"] = mean_interval(values, np.ones(len(values)), draws)
    seconds = [value for run in runs for value in run.result["seconds_per_epoch"]]
    result = {**first.result, "summary": summary, "seconds_per_epoch": seconds}
    return replace(first, name=names, result=result, dice=dice, seeds=seeds)


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one of them is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


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
    """A Markdown table, a row a run or a group of seeds, and how its numbers were added up below it."""
    head = ("run", "recipe", "start", "loss", "seeds", "best epoch", "patient Dice", "difference to the first", "p")
    rows = [(*head, "slice Dice", "sensitivity", "specificity", "s / epoch")]
    merged = merge_seeds(runs)
    for run, difference in zip(merged, compare_runs(merged), strict=True):
        summary = run.result["summary"]
        seconds = run.result["seconds_per_epoch"]
        rows.append(
            (
                run.name,
                run.result["recipe"],
                _start(run.configuration["network"]),
                _loss(run.result["loss"]),
                ", ".join(f"{seed}: {_number(mean)}" for seed, mean in run.seeds),
                f"{run.result['best_epoch']} of {run.result['epochs']}" if len(run.seeds) == 1 else "",
                _number(summary["patient_dice_mean"]) + _interval(summary["patient_dice_ci95"]),
                "" if difference is None else f"{difference.mean_difference or 0.0:+.4f}{_interval(difference.ci95)}",
                "" if difference is None or difference.p_value is None else f"{difference.p_value:.3f}",
                *(_number(summary[name]) for name in _FIGURES[1:]),
                f"{np.median(seconds):.1f}" if seconds else "",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |" for row in rows]
    lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    sets = "; ".join(dict.fromkeys(run.result["set"] for run in runs))
    explanation = (
        f"{len(runs[0].patients[1])} {sets}. Patient Dice: pixels pooled over a patient's"
        " slices, mean over patients with tumor; in brackets 95 % intervals, bootstrap over patients. Of several"
        " seeds each patient's mean over them is taken first. p: Wilcoxon signed-rank test of the paired differences."
        " Slice Dice: mean over slices with tumor. Threshold 0.5."
    )
    return "\n".join([*lines, "", explanation]) + "\n"


def _compare(dice: Mapping[str, float], reference: Mapping[str, float]) -> PairedComparison:
    """Of `dice` less `reference`, over the patients of both."""
    if not reference:
        raise TrainingError("The validation patients have no tumor, so no run has a Dice to compare.")
    patients = sorted(reference)
    return compare_pairs(
        [reference[patient] for patient in patients],
        [dice[patient] for patient in patients],
        persons=[person_of(patient) for patient in patients],
    )


def _start(network: Mapping[str, Any]) -> str:
    """Where the encoder's weights came from: random, imagenet, or the name of a folder or file."""
    return Path(network["encoder_weights"] or "random").name


def _loss(loss: Mapping[str, Any]) -> str:
    parts = " + ".join(f"{loss[name]:g} {name}" for name in _LOSSES if loss[name])
    each = loss.get("dice_per_image") if loss["dice"] else 0  # runs of older versions have none
    return f"{parts}, {each:.0%} of dice by image" if each else parts


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _interval(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"

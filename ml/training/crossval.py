"""K-fold cross-validation by patient: every patient is evaluated once, by a network that never saw that patient."""

import json
import logging
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.atomic_files import fresh_file, write_text
from ml.datasets import Split, list_cases, make_folds, read_split, write_split
from ml.datasets.checking.check import Progress
from ml.datasets.time_points import person_of
from ml.evaluation.report import Report, Settings, make_report
from ml.evaluation.run import Outcome
from ml.metrics.intervals import DEFAULT_SEED
from ml.metrics.registry import Output, patient_metrics
from ml.reports.csv import write_patients, write_slices
from ml.reports.json import json_text, report_document
from ml.reports.title import Title
from ml.training.callbacks import LAST_FILE
from ml.training.configuration import Configuration
from ml.training.errors import TrainingError
from ml.training.out_of_fold import score_maps
from ml.training.recipes import load_recipe
from ml.training.records import RESULT_FILE, THRESHOLD, engine_of, write_records
from ml.training.run import CONFIGURATION_FILE, SPLIT_FILE, Plan, check_data, check_tumor, has_tumor, resume_plan, train

logger = logging.getLogger(__name__)

# What may differ from fold to fold.
_OF_MACHINE = {
    "sampling.cache_gb",
    *(f"loop.{key}" for key in ("precision", "workers", "devices", "nodes", "is_compiled")),
}


@dataclass(frozen=True)
class Folds:
    """What is to be cross-validated. only: the folds to train in this call (from 0), None for all of them."""

    configuration: Configuration
    data: Path
    out: Path
    count: int
    excluded: tuple[str, ...] = ()
    only: int | None = None


def cross_validate(folds: Folds, report_check: Progress | None = None) -> Report | None:
    """Train the folds that are not trained yet, then pool them; None while some are missing.

    A fold that was interrupted goes on after its last epoch. Writes a run's folder a fold, and when all are there
    `metrics.csv`, `patients.csv` and `report.json` over all patients. Raises as `train` does.
    """
    _check_recipe(folds)
    split = _find_split(folds, report_check)
    numbers = range(folds.count) if folds.only is None else (folds.only,)
    for number in numbers:
        _train_fold(folds, split.fold(number), _folder(folds, number))
    if not all((_folder(folds, number) / RESULT_FILE).is_file() for number in range(folds.count)):
        return None
    return _pool(folds, split)


def _find_split(folds: Folds, report_check: Progress | None) -> Split:
    """The split of an earlier call, or a new one. Raises TrainingError where it was made with other folds."""
    path = folds.out / SPLIT_FILE
    if path.is_file():
        split = read_split(path, folds.data)
        if len(split.folds) != folds.count or _persons(split.excluded) != _persons(folds.excluded):
            raise TrainingError(
                f"{path} has {len(split.folds)} folds and {len(split.excluded)} excluded patients; go on with the same"
                " --folds and --exclude, or give --out a new folder."
            )
        return split
    report = check_data(folds.data, folds.configuration, report_check)
    seed = folds.configuration.loop.seed
    split = make_folds(report.patients, report.data_sha256 or "", folds.count, seed, folds.excluded)
    _check_folds(folds, split)
    write_split(split, path)
    return split


def _persons(patients: Iterable[str]) -> set[str]:
    return set(map(person_of, patients))


def _check_recipe(folds: Folds) -> None:
    """Raises TrainingError where a fold was trained otherwise than is asked for now: pooled, they are of no recipe."""
    asked = _values_of(folds.configuration)
    for number in range(folds.count):
        folder = _folder(folds, number)
        if not any((folder / name).is_file() for name in (RESULT_FILE, LAST_FILE)):
            continue
        kept = _values_of(load_recipe(str(folder / CONFIGURATION_FILE)))
        other = next((key for key in asked if kept[key] != asked[key]), None)
        if other is not None:
            raise TrainingError(
                f"{folder} is of another recipe: {other} is {kept[other]!r} there and {asked[other]!r} now; go on with"
                " the same recipe and --set, or give --out a new folder."
            )


def _values_of(configuration: Configuration) -> dict[str, Any]:
    """Every value by its key, without those of the machine that trains; of the encoder's file the name."""
    found: dict[str, Any] = {}
    for name, value in configuration.model_dump(mode="json").items():
        section = value if isinstance(value, dict) else {"": value}
        found |= {f"{name}.{key}".rstrip("."): one for key, one in section.items()}
    weights = found["network.encoder_weights"]
    found["network.encoder_weights"] = None if weights is None else Path(weights).name
    return {key: value for key, value in found.items() if key not in _OF_MACHINE}


def _check_folds(folds: Folds, split: Split) -> None:
    """Raises TrainingError for a fold without any tumor now, not after the folds before it are trained."""
    sides = {f"fold {number}": list_cases(folds.data, names) for number, names in enumerate(split.folds) if names}
    if folds.configuration.loop.checkpoint == "best":
        check_tumor(sides)
    elif sum(any(map(has_tumor, cases)) for cases in sides.values()) < 2:
        raise TrainingError("Tumor is in one fold alone, so one network would learn none; ask for fewer folds.")


def _train_fold(folds: Folds, split: Split, folder: Path) -> None:
    if (folder / RESULT_FILE).is_file():
        logger.info("%s is trained already", folder.name)
        return
    logger.info("%s: %d patients to train on, %d to validate on", folder.name, len(split.train), len(split.validation))
    if (folder / LAST_FILE).is_file():
        plan = resume_plan(folds.data, folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)  # of a call that was ended before its first epoch was
        plan = Plan(folds.configuration, folds.data, folder, split)
    write_records(plan, train(plan), has_maps=True)


def _pool(folds: Folds, split: Split) -> Report:
    """From the maps that each fold kept: no network runs again."""
    results = []
    seconds = 0.0
    for number in range(folds.count):
        folder = _folder(folds, number)
        engine = engine_of(checkpoint_of(folder), load_recipe(str(folder / CONFIGURATION_FILE)))
        cases = list_cases(folds.data, split.folds[number])
        scores = score_maps(folder, cases, engine.card, THRESHOLD)
        results.extend(scores)
        seconds += sum(score.seconds for score in scores)
    pooled = Outcome(tuple(results), seconds)
    report = make_report(engine, pooled, Settings(threshold=THRESHOLD, has_tta=False, seed=DEFAULT_SEED))
    with fresh_file(folds.out / "metrics.csv") as partial:
        write_slices(partial, pooled.results)
    with fresh_file(folds.out / "patients.csv") as partial:
        write_patients(partial, report.patients, patient_metrics(Output.CSV, has_volumes=False))
    write_text(
        folds.out / "report.json",
        json_text(report_document(report, (), Title(folds.out.resolve().name, folds.data.resolve().name))),
    )
    return report


def checkpoint_of(folder: Path) -> Path:
    """What a finished fold keeps."""
    result = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
    return folder / str(result["checkpoint"])


def _folder(folds: Folds, number: int) -> Path:
    return folds.out / f"fold-{number}"

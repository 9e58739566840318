"""A cross-validation's finished folds: maps of patients by networks that never saw them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.cards import Architecture, Card, InputConvention, PackageError
from ml.datasets import Case, DatasetError, Split, list_cases, read_split
from ml.datasets.time_points import person_of
from ml.networks import Checkpoint
from ml.networks.folding import folded_architecture
from ml.training.configuration import Configuration
from ml.training.out_of_fold import MAPS_FILE, read_maps
from ml.training.recipes import load_recipe, make_configuration
from ml.training.records import RESULT_FILE
from ml.training.run import CONFIGURATION_FILE, SPLIT_FILE


@dataclass(frozen=True)
class FoldRun:
    """A run of `python -m ml crossval` in `folder`, and what its finished folds left.

    finished: their numbers; cases: their patients' slices; folds: int (N,), the fold of each slice. maps: round(255 p),
    uint8 (H, W) each; truths: bool (H, W) each.
    """

    name: str
    folder: Path
    split: Split
    configuration: Configuration
    finished: tuple[int, ...]
    cases: tuple[Case, ...]
    folds: NDArray[np.int64]
    maps: tuple[NDArray[np.uint8], ...]
    truths: tuple[NDArray[np.bool], ...]

    @property
    def architecture(self) -> Architecture:
        """As a package of such a network names it."""
        return folded_architecture(self.configuration.architecture)

    @property
    def convention(self) -> InputConvention:
        """The input of the last stage."""
        return self.configuration.convention

    @property
    def patients(self) -> tuple[str, ...]:
        """Of all folds, finished or not."""
        return tuple(sorted(name for fold in self.split.folds for name in fold))

    @property
    def description(self) -> str:
        """Whose maps these are, in words."""
        count, folds = len(self.patients), len(self.split.folds)
        if len(self.finished) == folds:
            return f"{count} patients, {folds} folds"
        judged = len({case.patient for case in self.cases})
        numbers = ", ".join(map(str, self.finished))
        word = "folds" if len(self.finished) > 1 else "fold"
        return f"{judged} of {count} patients, {word} {numbers} of {folds}"


def read_folds(run: Path, data: Path) -> FoldRun:
    """Read the finished folds of a run on this data set; the others are left out.

    Raises PackageError where the folder is no such run or no fold is finished, DatasetError for other data, and for
    maps and masks that cannot be read, and TrainingError for a configuration that cannot.
    """
    if not (run / SPLIT_FILE).is_file():
        raise PackageError(
            f"{run} is no run of `python -m ml crossval`: it has no {SPLIT_FILE}; give its --out folder."
        )
    split = read_split(run / SPLIT_FILE, data)
    if not split.folds:
        raise PackageError(f"{run} has a split without folds; give the --out folder of `python -m ml crossval`.")
    folders = [run / f"fold-{number}" for number in range(len(split.folds))]
    finished = tuple(number for number, folder in enumerate(folders) if (folder / RESULT_FILE).is_file())
    if not finished:
        raise PackageError(
            f"No fold of {run} is finished, so there are no maps to choose on; go on with `python -m ml crossval`."
        )
    without = next((number for number in finished if not (folders[number] / MAPS_FILE).is_file()), None)
    if without is not None:
        raise PackageError(f"{folders[without]} has no {MAPS_FILE}: an older version trained it; train the fold again.")
    of_fold = [list_cases(data, split.folds[number]) for number in finished]
    cases = tuple(case for fold in of_fold for case in fold)
    maps = [
        item for number, fold in zip(finished, of_fold, strict=True) for item, _ in read_maps(folders[number], fold)
    ]
    return FoldRun(
        name=run.name,
        folder=run,
        split=split,
        configuration=load_recipe(str(folders[finished[0]] / CONFIGURATION_FILE)),
        finished=finished,
        cases=cases,
        folds=np.repeat(finished, [len(fold) for fold in of_fold]).astype(np.int64),
        maps=tuple(maps),
        truths=tuple(_truth_of(case) for case in cases),
    )


def check_leaves_test(run: FoldRun, test_patients: Sequence[str] | None) -> None:
    """Raises PackageError where a test patient was trained on and chose something."""
    persons = {person_of(patient) for patient in run.patients}
    known = sorted(who for who in test_patients or () if person_of(who) in persons)
    if known:
        raise PackageError(
            f"{known[0]!r} is to be tested on and is in a fold of {run.name}: that is no test; name others, or none."
        )


def with_common_folds(runs: Sequence[FoldRun]) -> list[FoldRun]:
    """The runs, each with the folds alone that all have finished.

    Raises PackageError where they divided the patients otherwise, or have finished no fold in common.
    """
    first = runs[0]
    for run in runs[1:]:
        if (run.split.data_sha256, run.split.folds) != (first.split.data_sha256, first.split.folds):
            raise PackageError(
                f"{run.name} and {first.name} divided the patients otherwise, so a patient that is new to one may be"
                " known to the other; run both `python -m ml crossval` with the same data, --folds, --exclude and"
                " loop.seed."
            )
    common = sorted(set.intersection(*(set(run.finished) for run in runs)))
    if not common:
        raise PackageError(
            f"{' and '.join(run.name for run in runs)} have finished no fold in common; go on with"
            " `python -m ml crossval`."
        )
    return [_only(run, common) for run in runs]


def _only(run: FoldRun, numbers: Sequence[int]) -> FoldRun:
    kept = [place for place, fold in enumerate(run.folds) if fold in numbers]
    return replace(
        run,
        finished=tuple(numbers),
        cases=tuple(run.cases[place] for place in kept),
        folds=run.folds[kept],
        maps=tuple(run.maps[place] for place in kept),
        truths=tuple(run.truths[place] for place in kept),
    )


def check_package(run: FoldRun, card: Card) -> None:
    """Raises PackageError where a package's network or input is another than the run's, or chose on a test patient."""
    if (run.architecture, run.convention) != (card.architecture, card.input):
        raise PackageError(f"{run.name} is no cross-validation of {card.name}: its network or input is another.")
    check_leaves_test(run, card.training.test_patients)


def check_checkpoint(run: FoldRun, checkpoint: Checkpoint) -> None:
    """Raises PackageError where a run's maps say nothing about a checkpoint: other data, network or input, or a network
    that was not trained on everybody."""
    if checkpoint.data is None or checkpoint.configuration is None:
        raise PackageError(
            "A checkpoint that does not say how it was trained cannot be held against folds; give one of"
            " `python -m ml train`."
        )
    configuration = make_configuration(dict(checkpoint.configuration), "the checkpoint")
    if checkpoint.data.get("data_sha256") != run.split.data_sha256:
        raise PackageError(f"The checkpoint was trained on other data than {run.name}; cross-validate on the same.")
    if checkpoint.data.get("validation_patients"):
        raise PackageError(
            f"The checkpoint kept {len(checkpoint.data['validation_patients'])} patients for validation; with --folds"
            " give one that was trained on everybody (--set 'shares=[100, 0, 0]'), or package it without --folds."
        )
    pairs = (
        ("recipe", configuration.name, run.configuration.name),
        ("network", folded_architecture(configuration.architecture), run.architecture),
        ("input", configuration.convention, run.convention),
    )
    for what, found, expected in pairs:
        if found != expected:
            raise PackageError(
                f"The checkpoint's {what} is {found} and that of {run.name} {expected}; cross-validate what is"
                " packaged."
            )
    if run.architecture.classes > 2:
        raise PackageError(
            f"The network has {run.architecture.classes} classes, and kept maps are of tumor alone; package it without"
            " --folds."
        )


def _truth_of(case: Case) -> NDArray[np.bool]:
    truth = case.truth()
    if truth is None:
        raise DatasetError(f"{case.patient}/{case.name} has no expert mask; give the data that the folds were made of.")
    return truth

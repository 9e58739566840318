"""The networks of a cross-validation, each of which never saw its fold's patients. Imports torch."""

from collections.abc import Sequence

import numpy as np

from ml.cards import PackageError
from ml.datasets import Case
from ml.packaging.choices.folds import FoldRun
from ml.packaging.ood_fit import FoldNetwork, HeldOut
from ml.training.crossval import checkpoint_of
from ml.training.records import engine_of

# Of each fold's own patients, drawn with the seed: a hundredth of the slices of all folds is more than a slice or two.
HELD_OUT_SLICES = 300


def held_out_by(run: FoldRun, cases: Sequence[Case], seed: int) -> HeldOut:
    """The finished folds of a run, and slices of the data set that it was made of, `cases`.

    Raises PackageError where a fold's checkpoint is gone, and CheckpointError where one cannot be read.
    """
    known = set(run.patients)
    networks = []
    for number in run.finished:
        folder = run.folder / f"fold-{number}"
        checkpoint = checkpoint_of(folder)
        if not checkpoint.is_file():
            raise PackageError(f"{folder} has no {checkpoint.name}, which judges its patients; train the fold again.")
        own = set(run.split.folds[number])
        held_out = [case for case in cases if case.patient in own]
        order = np.random.default_rng(seed).permutation(len(held_out))[:HELD_OUT_SLICES]
        networks.append(
            FoldNetwork(
                engine=engine_of(checkpoint, run.configuration),
                training=[case for case in cases if case.patient in known - own],
                held_out=[held_out[index] for index in sorted(order)],
            )
        )
    return HeldOut(folds=networks, description=f"{run.description}, by networks that never saw them")

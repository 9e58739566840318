"""The networks behind the maps: a cross-validation's own, and the package that is chosen for. Imports torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from ml.cards import WEIGHTS_FILE, Card, PackageError, verify_files
from ml.datasets import Case
from ml.networks import load_network
from ml.packaging.choices.folds import FoldRun
from ml.packaging.choices.out_of_fold import level_logits
from ml.packaging.ood_fit import FoldNetwork, HeldOut
from ml.packaging.quantization import Calibration, choose_slices
from ml.packaging.temperature import SATURATION_SLICES, LogitCounts, Scaling, count_logits, saturated_logits
from ml.training.crossval import checkpoint_of
from ml.training.records import engine_of

# Of each fold's own patients, drawn with the seed: a hundredth of the slices of all folds is more than a slice or two.
HELD_OUT_SLICES = 300


def checkpoints_of(run: FoldRun) -> dict[int, Path]:
    """The checkpoint of each finished fold. Raises PackageError where one is gone."""
    found = {number: checkpoint_of(run.folder / f"fold-{number}") for number in run.finished}
    for checkpoint in found.values():
        if not checkpoint.is_file():
            raise PackageError(
                f"{checkpoint.parent} has no {checkpoint.name}, which judges its patients; train the fold again."
            )
    return found


def held_out_by(run: FoldRun, cases: Sequence[Case], seed: int) -> HeldOut:
    """The finished folds of a run, and slices of the data set that it was made of, `cases`.

    Raises PackageError where a fold's checkpoint is gone, and CheckpointError where one cannot be read.
    """
    known = set(run.patients)
    networks = []
    for number, checkpoint in checkpoints_of(run).items():
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


def scaling_of(card: Card) -> Scaling:
    """What is folded into the weights of a package; none where it was packaged unchanged."""
    found = card.temperature
    return Scaling() if found is None else Scaling(found.temperature, found.offset)


def network_of(package: Path, card: Card) -> nn.Module:
    """The package's network; the scaling is folded into its weights. Raises PackageError for a damaged package."""
    verify_files(package, card, (WEIGHTS_FILE,))
    return load_network(card.architecture, load_file(package / WEIGHTS_FILE))


def kept_logits(network: nn.Module, card: Card, run: FoldRun) -> NDArray[np.float64]:
    """The logit of each level of a run's kept maps, before any scaling, float64 (256,).

    network: the package's; it runs on a few of the slices, to see what the levels 0 and 255 stand for.
    """
    found = count_logits(network, card.input, choose_slices(run.cases, Calibration(slices=SATURATION_SLICES)))
    scaling = scaling_of(card)
    # The folds' networks are not scaled: back to their logits, to see which of them saturate.
    unscaled = LogitCounts(found.counts, (found.centers - scaling.offset) * scaling.temperature)
    return level_logits(*saturated_logits(unscaled))

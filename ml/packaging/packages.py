"""From a checkpoint to a model package: card, safetensors, int8, and the measured agreement of int8 with torch.

Imports torch.
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from ml.cards import (
    INT8_GRAPH_FILE,
    INT8_WEIGHTS_FILE,
    WEIGHTS_FILE,
    Card,
    PackageError,
    load_card,
    verify_files,
)
from ml.datasets import Case, list_cases
from ml.engines.torch import TorchEngine
from ml.networks import Checkpoint, load_network, read_checkpoint
from ml.packaging.card_facts import MASK_RULE, card_of_facts, check_leaves_choices, read_facts, with_facts, with_test
from ml.packaging.choices.folds import FoldRun, check_checkpoint, check_leaves_test, check_package, read_folds
from ml.packaging.choices.networks import checkpoints_of, held_out_by, kept_logits, scaling_of
from ml.packaging.choices.out_of_fold import choose_on_folds, level_logits, with_rule
from ml.packaging.choices.rules import choose_doubt, choose_mask_rule, describe_rule
from ml.packaging.measuring import (
    add_figures,
    cases_of,
    check_and_compare,
    check_is_whole,
    compare_forms,
    measure_int8,
    split_of,
)
from ml.packaging.ood_fit import HeldOut
from ml.packaging.package_writer import staged, write_card, write_weights
from ml.packaging.quantization import Calibration, choose_slices, write_int8
from ml.packaging.temperature import (
    SATURATION_SLICES,
    count_logits,
    describe_scaling,
    fit_scaling,
    saturated_logits,
    scale_head,
)

logger = logging.getLogger(__name__)


def make_package(
    checkpoint: Path,
    out: Path,
    calibrate: Path | None = None,
    facts: Path | None = None,
    calibration: Calibration | None = None,
    is_tested: bool = False,
    folds: Path | None = None,
) -> Card:
    """Write the package `out` (its folder's name is the package's) and return its card.

    calibrate: a data set folder; without one there is no int8, and nothing is chosen or measured. facts: YAML with
    fields of the card. is_tested: also measure on the test patients, which is done once, at the very end. folds: a run
    of `python -m ml crossval` on that data set, whose out-of-fold maps choose in place of validation patients.
    An older package called `out` is replaced. Raises PackageError, DatasetError and TrainingError; nothing is left
    behind then.
    """
    published = read_checkpoint(checkpoint)
    stated = read_facts(facts)
    card = card_of_facts(out.resolve().name, stated, published, is_tested=is_tested)
    run = None if folds is None else _read_run(folds, calibrate, stated, published)
    if run is not None:
        card = _with_run(card, run)
    if is_tested and (calibrate is None or not card.training.test_patients):
        raise PackageError(
            "There is nothing to test on: give --calibrate, and a checkpoint or facts with test patients."
        )
    cases = () if calibrate is None else list_cases(calibrate)
    if is_tested:
        check_is_whole(cases, card.training.test_patients or ())
    network = load_network(card.architecture, published.weights)
    with staged(out) as folder:
        # A published checkpoint is packaged unchanged; one of our own gets temperature and mask rule first.
        if run is not None:
            network, card = _choose_out_of_fold(network, card, run)
        elif cases and published.data is not None:
            network, card = _choose_on_validation(network, card, stated, cases)
        write_weights(network, folder / WEIGHTS_FILE)
        card = write_card(folder, card)
        if cases:
            card = _add_int8(folder, card, network, cases, calibration or Calibration(), run)
        if cases and (is_tested or published.data is not None):
            card = add_figures(folder, card, network, cases, is_tested)
    return card


def measure_again(
    package: Path,
    out: Path,
    data: Path,
    facts: Path | None = None,
    calibration: Calibration | None = None,
    is_tested: bool = False,
    only_checks: bool = False,
    folds: Path | None = None,
) -> Card:
    """Measure a package's checks of the input, parity and metrics again, after a change of engines or facts.

    Weights, int8 files, temperature and mask rule stay. facts: fields that replace the card's. `out` may be `package`.
    only_checks: crops and metrics stay as they are, too. folds: the run that chose for this package; its networks
    choose the limits of the input check.
    Raises PackageError and DatasetError; nothing is left behind then.
    """
    kept = (WEIGHTS_FILE, INT8_GRAPH_FILE, INT8_WEIGHTS_FILE)
    card = _read_again(package, kept)
    card, cases = _restated(replace(card, name=out.resolve().name), read_facts(facts), data, is_tested=is_tested)
    calibration = calibration or Calibration()
    network = load_network(card.architecture, load_file(package / WEIGHTS_FILE))
    held_out = None if folds is None else _held_out_by(folds, data, card, cases, calibration.seed)
    with staged(out) as folder:
        for name in kept:
            shutil.copy(package / name, folder / name)
        split = replace(split_of(card, cases, calibration.seed), held_out=held_out)
        card = replace(card, parity={}, familiarity=None, sequences=None)
        if card.doubt is None:
            card = _choose_doubt(network, card, cases_of(cases, card.training.validation_patients or ()))
        if only_checks:
            return check_and_compare(folder, card, network, split, calibration)
        card = replace(card, metrics=tuple(metric for metric in card.metrics if metric.is_out_of_fold))
        card = measure_int8(folder, card, network, split, calibration)
        return add_figures(folder, card, network, cases, is_tested)


def choose_rules_again(
    package: Path,
    out: Path,
    data: Path,
    folds: Path,
    facts: Path | None = None,
    calibration: Calibration | None = None,
    is_tested: bool = False,
) -> Card:
    """Choose a package's threshold, smallest area, depth and doubt again, on more folds than it was made with.

    Weights, int8 files, scaling, crops and the checks of the input stay; parity and metrics are taken anew. folds: a
    run of `python -m ml crossval` of this network on `data`. facts: fields that replace the card's. `out` may be
    `package`. Raises PackageError, DatasetError and TrainingError; nothing is left behind then.
    """
    card = _read_again(package)
    stated = read_facts(facts)
    check_leaves_choices(stated)
    run = read_folds(folds, data)
    check_package(run, card)
    network = load_network(card.architecture, load_file(package / WEIGHTS_FILE))
    logits, scaling = kept_logits(network, card, run), scaling_of(card)
    card, cases = _restated(replace(card, name=out.resolve().name), stated, data, is_tested=is_tested)
    card = _with_run(replace(card, metrics=(), parity={}), run, is_scaled=False)
    chosen = choose_on_folds(run, card, logits, scaling)
    card = replace(chosen.on_card(card), temperature=card.temperature)
    calibration = calibration or Calibration()
    with staged(out) as folder:
        for name in card.files:
            shutil.copy(package / name, folder / name)
        card = compare_forms(
            folder, write_card(folder, card), network, split_of(card, cases, calibration.seed), calibration
        )
        return add_figures(folder, card, network, cases, is_tested)


def _read_again(package: Path, files: Sequence[str] | None = None) -> Card:
    """The card of a package whose files are whole. Raises PackageError for one that has no weights of its own."""
    card = load_card(package)
    if card.members:
        raise PackageError(f"{card.name} has no weights of its own; make it again with `python -m ml ensemble`.")
    verify_files(package, card, tuple(card.files) if files is None else files)
    return card


def _restated(card: Card, stated: Mapping[str, Any], data: Path, *, is_tested: bool) -> tuple[Card, tuple[Case, ...]]:
    """The card with facts in place of its own, and the data set's cases. Raises PackageError without a test."""
    card = with_facts(card, stated)
    if is_tested:
        card = with_test(card)
        if not card.training.test_patients:
            raise PackageError(f"{card.name} names no test patients; give --card with training.test_patients.")
    cases = list_cases(data)
    if is_tested:
        check_is_whole(cases, card.training.test_patients or ())
    return card, cases


def _held_out_by(folds: Path, data: Path, card: Card, cases: Sequence[Case], seed: int) -> HeldOut:
    """The networks of a run like the package's. Raises PackageError for a run of other data, network or input."""
    run = read_folds(folds, data)
    check_package(run, card)
    return held_out_by(run, cases, seed)


def _choose_doubt(network: nn.Module, card: Card, chosen_on: Sequence[Case]) -> Card:
    """A doubt rule for a card that was made without one; its masks, and so its figures, stay as they are."""
    found = choose_doubt(TorchEngine(network, card, device="cpu"), chosen_on) if chosen_on else None
    if found is None:
        return card
    doubt, description = found
    return replace(card, doubt=doubt, chosen_on="; ".join(filter(None, (card.chosen_on, description))))


def _choose_on_validation(
    network: nn.Module, card: Card, stated: Mapping[str, Any], cases: Sequence[Case]
) -> tuple[nn.Module, Card]:
    """Fit the scaling, then choose the mask rule unless the facts give one; both on validation patients."""
    chosen_on = cases_of(cases, card.training.validation_patients or ())
    if not chosen_on:
        raise PackageError(
            "The data set has none of the checkpoint's validation patients; give the folder that it was trained on."
        )
    logger.info("Scaling and mask rule on %d slices of the validation patients", len(chosen_on))
    found = count_logits(network, card.input, chosen_on)
    scaling = fit_scaling(found)
    network = scale_head(network, scaling)
    if card.architecture.classes > 2:  # the logit of tumor is then not linear in the class logits
        scaled = count_logits(network, card.input, chosen_on)
    else:
        scaled = replace(found, centers=scaling.of(found.centers))
    patients = len({case.patient for case in chosen_on})
    card = replace(card, temperature=describe_scaling(found, scaled, scaling, patients, "validation"))
    if stated.keys() & MASK_RULE:
        return network, card
    rule = choose_mask_rule(TorchEngine(network, card, device="cpu"), chosen_on)
    if rule is None:
        return network, card
    return network, replace(with_rule(card, rule), chosen_on=card.chosen_on or f"validation: {describe_rule(rule)}")


def _read_run(folds: Path, data: Path | None, stated: Mapping[str, Any], published: Checkpoint) -> FoldRun:
    """A run whose maps can choose for this checkpoint. Raises PackageError, DatasetError and TrainingError."""
    if data is None:
        raise PackageError("Out-of-fold maps are compared with the experts' masks; give the data set with --calibrate.")
    check_leaves_choices(stated)
    run = read_folds(folds, data)
    check_checkpoint(run, published)
    checkpoints_of(run)  # needed after the minutes of the quantization
    return run


def _with_run(card: Card, run: FoldRun, *, is_scaled: bool = True) -> Card:
    """The card that says who chose. is_scaled: the scaling, too, and not the rules alone.

    Raises PackageError where a test patient was trained on, or chose something.
    """
    training = card.training
    check_leaves_test(run, training.test_patients)
    excluded = {*(training.excluded_patients or ()), *run.split.excluded} - set(training.test_patients or ())
    kept = len(training.test_patients or ())
    epochs = sum(stage.epochs for stage in run.configuration.stages)
    shorter = "" if training.epochs in (None, epochs) else f", whose networks were trained for {epochs} epochs"
    chosen = "scaling and rules" if is_scaled else "the rules alone"
    split = (
        f"trained on {training.patients} patients without validation; {chosen} chosen out of fold on"
        f" {run.description}{shorter}; {f'{kept} kept for the final test' if kept else 'no test patients'}"
    )
    return replace(
        card,
        training=replace(
            training, split=split, validation_patients=None, excluded_patients=tuple(sorted(excluded)) or None
        ),
    )


def _choose_out_of_fold(network: nn.Module, card: Card, run: FoldRun) -> tuple[nn.Module, Card]:
    """Scaling, rules and their figures from the run's maps; the network runs on a few slices of it alone."""
    sample = choose_slices(run.cases, Calibration(slices=SATURATION_SLICES))
    ends = saturated_logits(count_logits(network, card.input, sample))
    chosen = choose_on_folds(run, card, level_logits(*ends))
    return scale_head(network, chosen.scaling), chosen.on_card(card)


def _add_int8(
    folder: Path,
    card: Card,
    network: nn.Module,
    cases: Sequence[Case],
    calibration: Calibration,
    run: FoldRun | None,
) -> Card:
    """Quantize on training patients, then measure on the others."""
    split = split_of(card, cases, calibration.seed)
    chosen = choose_slices(split.calibration, calibration)
    logger.info("Calibrating on %d slices of %d patients", len(chosen), len({case.patient for case in chosen}))
    write_int8(network, card.input, chosen, folder, split.surroundings)
    split = replace(split, held_out=None if run is None else held_out_by(run, cases, calibration.seed))
    return measure_int8(folder, card, network, split, calibration)

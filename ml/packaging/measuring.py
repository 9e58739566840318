"""Measures a package through the engines that serve it: crops, out-of-distribution check, parity, metrics.

Imports torch.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from ml.cards import Card, PackageError
from ml.datasets import Case
from ml.datasets.time_points import person_of
from ml.engines import Engine
from ml.engines.crops import sizes_of_crops
from ml.engines.flair_only import FlairOnlyEngine
from ml.engines.flip_tta import FlipTtaEngine
from ml.engines.openvino import OpenVinoEngine
from ml.engines.torch import HALF, TorchEngine, default_device
from ml.ood.detector import load_detector, save_detector
from ml.ood.sequences import save_classifier
from ml.ood.training_slices import fit_training_slices, save_training_slices
from ml.packaging.card_metrics import HEADLINE_NAMES, VARIANT_NAMES, measure_model
from ml.packaging.ood_fit import HeldOut, fit
from ml.packaging.package_writer import write_card
from ml.packaging.parity import compare_engines, describe_parity
from ml.packaging.quantization import Calibration
from ml.packaging.sequence_fit import fit_sequences
from ml.packaging.surroundings import ALONE, Surroundings

logger = logging.getLogger(__name__)

PARITY_SLICES = 300
# Where no validation patients are stated, this share of the patients is held out of calibration for the comparison.
_HELD_OUT_SHARE = 0.15


@dataclass(frozen=True)
class Split:
    """The cases that calibrate int8 and those that it is compared on; no person is in both.

    held_out: what chooses the limits of the checks of the input; None for the cases that int8 is compared on.
    surroundings: the slices around all of them, of a network that takes neighbors.
    """

    calibration: tuple[Case, ...]
    parity: tuple[Case, ...]
    held_out: HeldOut | None = None
    surroundings: Surroundings = ALONE


def split_cases(cases: Sequence[Case], held_out: Iterable[str], validation: Iterable[str], seed: int) -> Split:
    """Split by person; nobody in `held_out`, which includes the validation patients, calibrates at any time.

    Parity takes the validation patients where the folder has any, else persons drawn with the seed. Raises
    PackageError where one of the two parts would be empty.
    """
    patients = {case.patient for case in cases}
    persons = {person_of(patient) for patient in patients}
    withheld = {person_of(patient) for patient in held_out}
    compared = set(validation) & patients
    if not compared:
        free = sorted(persons - withheld)
        count = max(1, round(_HELD_OUT_SHARE * len(free)))
        drawn = set(np.random.default_rng(seed).permutation(free)[:count].tolist())
        compared = {patient for patient in patients if person_of(patient) in drawn}
    withheld |= {person_of(patient) for patient in compared}
    split = Split(
        calibration=tuple(case for case in cases if person_of(case.patient) not in withheld),
        parity=tuple(case for case in cases if case.patient in compared),
    )
    if not split.calibration or not split.parity:
        raise PackageError(
            f"The data set has {len(persons)} patients; at least one to calibrate on and another one to compare on are"
            " needed: give a folder with training patients in it."
        )
    return split


def split_of(card: Card, cases: Sequence[Case], seed: int) -> Split:
    """`split_cases` by the patients that the card names."""
    training = card.training
    validation = training.validation_patients or ()
    held_out = {*validation, *(training.test_patients or ()), *(training.excluded_patients or ())}
    split = split_cases(cases, held_out, validation, seed)
    return replace(split, surroundings=Surroundings(cases, card.input.neighbors))


def cases_of(cases: Sequence[Case], patients: Iterable[str]) -> tuple[Case, ...]:
    """The cases of these patients."""
    wanted = set(patients)
    return tuple(case for case in cases if case.patient in wanted)


def parity_slices(split: Split, seed: int) -> list[Case]:
    """The slices that engines are compared on, drawn with the seed."""
    order = np.random.default_rng(seed).permutation(len(split.parity))[:PARITY_SLICES]
    return [split.parity[index] for index in sorted(order)]


def measure_int8(folder: Path, card: Card, network: nn.Module, split: Split, calibration: Calibration) -> Card:
    """Choose crops for the int8 form in `folder`, then `check_and_compare`.

    Crops to the brain stay on the card only where int8 on crops passes the parity gate against torch on whole slices: a
    network may rely on the distance to the image's border.
    """
    compared = parity_slices(split, calibration.seed)
    reference = TorchEngine(network, card, device="cpu")
    cropped = replace(card, crops=sizes_of_crops(card.input.size))
    if cropped.crops:
        logger.info("Comparing crops with whole slices on %d slices", len(compared))
        write_card(folder, cropped)
        on_crops = compare_engines(OpenVinoEngine(folder), reference, compared, split.surroundings)
        served = "crops are served" if on_crops.is_close else "whole slices are served"
        logger.info("%s: %s", describe_parity(on_crops), served)
        card = cropped if on_crops.is_close else replace(card, crops=())
    return check_and_compare(folder, card, network, split, calibration)


def check_and_compare(folder: Path, card: Card, network: nn.Module, split: Split, calibration: Calibration) -> Card:
    """Fit the checks of the input for the int8 form in `folder`, with the card's crops, and compare it with torch."""
    card = add_checks(folder, write_card(folder, card), split, calibration)
    return compare_forms(folder, card, network, split, calibration)


def compare_forms(folder: Path, card: Card, network: nn.Module, split: Split, calibration: Calibration) -> Card:
    """Compare the int8 form in `folder`, with its checks of the input, and half precision on a GPU with torch."""
    compared = parity_slices(split, calibration.seed)
    logger.info("Comparing int8 with torch fp32 on %d slices", len(compared))
    detector = load_detector(folder, card)
    reference = TorchEngine(network, card, device="cpu", detector=detector)
    parity = {"int8": compare_engines(OpenVinoEngine(folder), reference, compared, split.surroundings)}
    if default_device() == "cuda":
        logger.info("Comparing half precision on the GPU with torch fp32 on %d slices", len(compared))
        half = TorchEngine(network, card, device="cuda", detector=detector, is_half=True)
        parity[HALF] = compare_engines(half, reference, compared, split.surroundings)
    return write_card(folder, replace(card, parity=parity))


def add_figures(folder: Path, card: Card, network: nn.Module, cases: Sequence[Case], is_tested: bool) -> Card:
    """Measure the model on its validation patients and, where is_tested, on its test patients; write the card."""
    reference = TorchEngine(network, card, device="cpu")
    return write_card(folder, with_figures(card, OpenVinoEngine(folder), reference, cases, is_tested))


def with_figures(card: Card, served: Engine, reference: Engine, cases: Sequence[Case], is_tested: bool) -> Card:
    """The card with what the engines reach on its validation patients and, where is_tested, on its test patients."""
    metrics = [metric for metric in card.metrics if not metric.is_out_of_fold]
    if is_tested:
        test = cases_of(cases, card.training.test_patients or ())
        set_name = "test (used for no choice)"
        metrics += measure_model(served, test, set_name)
        metrics += measure_model(reference, test, set_name, HEADLINE_NAMES)
        metrics += measure_model(FlipTtaEngine(served), test, set_name, VARIANT_NAMES, "mean of four flips")
        metrics += measure_model(FlairOnlyEngine(served), test, set_name, VARIANT_NAMES, "grey: FLAIR alone")
    metrics += [metric for metric in card.metrics if metric.is_out_of_fold]
    validation = cases_of(cases, card.training.validation_patients or ())
    # A published checkpoint does not say what its patients chose, and an ensemble's chose its members alone.
    if validation and card.temperature is not None and not card.members:
        metrics += measure_model(served, validation, "validation (it chose epoch, temperature and mask rule)")
    return replace(card, metrics=tuple(metrics))


def check_is_whole(cases: Sequence[Case], patients: Sequence[str]) -> None:
    """Raises PackageError where the data set lacks one of the patients: a test on fewer is another test."""
    missing = sorted(set(patients) - {case.patient for case in cases})
    if missing:
        raise PackageError(
            f"The data set lacks {len(missing)} of {len(patients)} test patients (the first: {missing[0]!r}); give the"
            " folder that has them all."
        )


def add_checks(folder: Path, card: Card, split: Split, calibration: Calibration) -> Card:
    """Fit and write the checks of the input; a package has none that too few slices, or patients, were there for."""
    engine = OpenVinoEngine(folder)
    held_out = split.held_out or HeldOut(split.parity)
    logger.info("Fitting the out-of-distribution check")
    found = fit(engine, split.calibration, held_out, calibration.seed, calibration.other_images, split.surroundings)
    if found is not None:
        save_detector(found[0], folder)
        card = replace(card, familiarity=found[1])
    logger.info("Fitting the sequence check")
    cases = (*split.calibration, *split.parity)
    told = fit_sequences(engine, cases, calibration.seed, held_out.folds, split.surroundings)
    if told is not None:
        save_classifier(told[0], folder)
        card = replace(card, sequences=told[1])
    add_training_slices(folder, card, cases)
    return write_card(folder, card)


def add_training_slices(folder: Path, card: Card, cases: Iterable[Case]) -> None:
    """Write the fingerprints of the slices that the card names as trained on; none where those are too few."""
    trained = set(card.training.training_patients or ())
    logger.info("Taking the fingerprints of the training slices")
    slices = (case.pixels() for case in cases if case.patient in trained)
    known = fit_training_slices(slices, card.input.flair_channel)
    if known is not None:
        save_training_slices(known, folder)

"""From packages to one that averages their logits: a card that names its members, and nothing else.

Imports torch.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.cards import (
    CARD_FILE,
    Architecture,
    Card,
    Member,
    PackageError,
    PackageNotFoundError,
    Training,
    check_members,
    find_package,
    load_card,
)
from ml.datasets import Case, list_cases
from ml.datasets.time_points import person_of
from ml.digests import sha256_of
from ml.engines.ensemble import LOGIT_LIMIT, EnsembleEngine, mean_probability
from ml.engines.openvino import OpenVinoEngine
from ml.engines.torch import TorchEngine
from ml.packaging.card_facts import check_leaves_choices, read_facts, with_facts, with_test
from ml.packaging.choices.folds import FoldRun, check_leaves_test, check_package, read_folds, with_common_folds
from ml.packaging.choices.networks import kept_logits, network_of, scaling_of
from ml.packaging.choices.out_of_fold import choose_on_folds, level_logits
from ml.packaging.measuring import check_is_whole, parity_slices, split_of, with_figures
from ml.packaging.package_writer import staged, write_card
from ml.packaging.parity import compare_engines
from ml.packaging.quantization import Calibration
from ml.preprocessing import quantize

logger = logging.getLogger(__name__)

# Facts that the members state.
OF_MEMBERS = ("architecture", "input")


@dataclass(frozen=True)
class Ensemble:
    """What is to be joined: folders of packages, two or more, and the folder to write.

    folds: a run of `python -m ml crossval` for each member, in their order, or none; with them the rules are chosen out
    of fold. data: the data set of these, on which int8 is compared with torch and, where is_tested, the test patients
    are measured. facts: YAML with fields of the card. directories: where members are found beside `out`'s own.
    """

    members: tuple[Path, ...]
    out: Path
    folds: tuple[Path, ...] = ()
    data: Path | None = None
    facts: Path | None = None
    directories: tuple[Path, ...] = ()
    is_tested: bool = False


def make_ensemble(plan: Ensemble, calibration: Calibration | None = None) -> Card:
    """Write the package `plan.out` (its folder's name is the package's) and return its card.

    An older package of the name is replaced. Raises PackageError, DatasetError and TrainingError; nothing is left
    behind then.
    """
    stated = read_facts(plan.facts)
    cards = _read_members(plan)
    card = with_facts(_join(plan, cards), _checked(stated))
    card = with_test(card) if plan.is_tested else card
    if plan.is_tested and (plan.data is None or not card.training.test_patients):
        raise PackageError("There is nothing to test on: give --data, and members or facts with test patients.")
    cases = () if plan.data is None else list_cases(plan.data)
    if plan.is_tested:
        check_is_whole(cases, card.training.test_patients or ())
    if plan.folds:
        check_leaves_choices(stated)
    # Opened before the work, which takes long: a folder that cannot be written is known at once.
    with staged(plan.out) as folder:
        if plan.folds:
            card = _choose(plan, card, cards)
        if cases:
            card = _measure(plan, card, cases, calibration or Calibration())
        return write_card(folder, card)


def check_leaves_members(out: Path, names: Sequence[str]) -> None:
    """Raises PackageError where a package `out` would take the place, or hide, one that it is made of."""
    if out.resolve().name in names:
        raise PackageError(
            f"{out} has the name of one of the models that it joins, which it would replace; give --out another name."
        )


def average_maps(
    members: Sequence[Sequence[NDArray[np.uint8]]],
    tables: Sequence[NDArray[np.float32]],
    *,
    temperature: float = 1.0,
    offset: float = 0.0,
) -> tuple[NDArray[np.uint8], ...]:
    """What `EnsembleEngine` makes of kept maps: the mean of the members' clipped logits, 8 bit.

    members: each member's maps, uint8 (H, W) each, of the same slices. tables: float32 (256,), the logit that a
    member's package has where its kept map has a level. temperature, offset: the ensemble's.
    """
    averaged = []
    for slices in zip(*members, strict=True):
        logits = np.stack([table[levels] for table, levels in zip(tables, slices, strict=True)])  # (members, H, W)
        mean: NDArray[np.float32] = logits.mean(axis=0)
        averaged.append(quantize(mean_probability(mean, temperature, offset)))
    return tuple(averaged)


def _checked(stated: Mapping[str, Any]) -> Mapping[str, Any]:
    fixed = next((name for name in OF_MEMBERS if name in stated), None)
    if fixed is not None:
        raise PackageError(f"The {fixed} of an ensemble is that of its members; leave it out of the facts.")
    return stated


def _read_members(plan: Ensemble) -> list[Card]:
    """Raises PackageError for members that cannot be joined, or would not be found."""
    cards = [load_card(folder) for folder in plan.members]
    names = [card.name for card in cards]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise PackageError(f"An ensemble joins two or more different packages; {', '.join(names)} are given.")
    check_leaves_members(plan.out, names)
    check_members(cards)
    for folder, card in zip(plan.members, cards, strict=True):
        try:
            found = find_package(card.name, (plan.out.resolve().parent, *plan.directories))
        except PackageNotFoundError:
            found = None
        if found is None or sha256_of(found / CARD_FILE) != sha256_of(folder / CARD_FILE):
            raise PackageError(
                f"{card.name} would not be found beside {plan.out}: put the ensemble into the members' folder, or name"
                " that in GLIOSCOPE_MODELS."
            )
    return cards


def _join(plan: Ensemble, cards: Sequence[Card]) -> Card:
    """The card before anything is chosen: the first member's rule, input and check of the input."""
    first, reach = cards[0], max(card.input.neighbors for card in cards)
    trainings = [card.training for card in cards]
    test = set.intersection(*(set(training.test_patients or ()) for training in trainings))
    kept = {who for one in trainings for who in (*(one.test_patients or ()), *(one.excluded_patients or ()))}
    trained = [training.training_patients for training in trainings]
    validated = {who for training in trainings for who in training.validation_patients or ()}
    # Whom one member knows the ensemble knows, whoever excluded that patient.
    known = {person_of(who) for who in (*validated, *(who for one in trained for who in one or ()))}
    excluded = {who for who in kept - test if person_of(who) not in known}
    return replace(
        first,
        name=plan.out.resolve().name,
        version=None,
        title=None,
        architecture=Architecture(
            network="ensemble",
            encoder=" + ".join(card.name for card in cards),
            in_channels=len(first.input.channels) * (1 + 2 * reach),
            classes=first.architecture.classes,
        ),
        files={},
        input=replace(first.input, neighbors=reach),
        members=tuple(
            Member(card.name, card.version, sha256_of(folder / CARD_FILE))
            for folder, card in zip(plan.members, cards, strict=True)
        ),
        chosen_on=f"taken from {first.name}",
        crops=(),
        training=Training(
            data=_common(training.data for training in trainings),
            data_sha256=_common(training.data_sha256 for training in trainings),
            split="as the members' cards say",
            patients=_common(training.patients for training in trainings),
            # Of one member's that are not known, nothing is known of the ensemble's.
            training_patients=tuple(sorted({who for one in trained for who in one or ()})) if all(trained) else None,
            validation_patients=tuple(sorted(validated)) or None,
            test_patients=tuple(sorted(test)) or None,
            excluded_patients=tuple(sorted(excluded)) or None,
        ),
        metrics=(),
        volumes=None,
        temperature=None,
        parity={},
        limits=tuple(dict.fromkeys(limit for card in cards for limit in card.limits)),
        licence=_common(card.licence for card in cards),
    )


def _choose(plan: Ensemble, card: Card, cards: Sequence[Card]) -> Card:
    """Scaling, rules and their figures from the mean of the members' out-of-fold logits."""
    if plan.data is None:
        raise PackageError("Out-of-fold maps are compared with the experts' masks; give the data set with --data.")
    if len(plan.folds) != len(cards):
        raise PackageError(
            f"{len(cards)} members need as many runs after --folds, in their order, not {len(plan.folds)}."
        )
    runs = with_common_folds([read_folds(folder, plan.data) for folder in plan.folds])
    for run, member in zip(runs, cards, strict=True):
        check_package(run, member)
        check_leaves_test(run, card.training.test_patients)
    tables = [table_of(folder, member, run) for folder, member, run in zip(plan.members, cards, runs, strict=True)]
    averaged = replace(runs[0], name=card.name, maps=average_maps([run.maps for run in runs], tables))
    # A mean of 8 bits is 0 only where every member's is, which no scaling changes.
    card = choose_on_folds(averaged, card, level_logits(-np.inf, LOGIT_LIMIT)).on_card(replace(card, chosen_on=None))
    split = f"members trained as their cards say; scaling and rules chosen out of fold on {averaged.description}"
    return replace(card, training=replace(card.training, split=split))


def table_of(folder: Path, card: Card, run: FoldRun) -> NDArray[np.float32]:
    """The clipped logit of the package for each level of its kept maps, float32 (256,)."""
    logits = scaling_of(card).of(kept_logits(network_of(folder, card), card, run))
    return np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT).astype(np.float32)


def _measure(plan: Ensemble, card: Card, cases: tuple[Case, ...], calibration: Calibration) -> Card:
    """int8 beside torch on slices that did not calibrate it, and the test patients where that is asked for."""
    served = EnsembleEngine(card, [OpenVinoEngine(folder) for folder in plan.members])
    reference = EnsembleEngine(card, [TorchEngine.from_package(folder, device="cpu") for folder in plan.members])
    split = split_of(card, cases, calibration.seed)
    compared = parity_slices(split, calibration.seed)
    logger.info("Comparing int8 with torch fp32 on %d slices", len(compared))
    card = replace(card, parity={"int8": compare_engines(served, reference, compared, split.surroundings)})
    return with_figures(card, served, reference, cases, plan.is_tested)


def _common(values: Iterable[Any]) -> Any:
    """The value that all members have, or None."""
    found = set(values)
    return found.pop() if len(found) == 1 else None

"""From an ensemble to a cascade: the same members and rules, one of them asked first, the rest where it saw something,
and for its neighbors in the stack.

The limit is chosen on maps of networks that never saw the patients; the gate is passed by the compiled models that
serve, or no package is written. Imports torch.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.cards import (
    LOST_PIXELS,
    MAX_DICE_DELTA,
    MIN_VERDICTS_EQUAL,
    Card,
    Cascade,
    CascadeFigures,
    PackageError,
    find_members,
    load_card,
)
from ml.cards.reading import MAX_NEIGHBORS
from ml.datasets import Case, list_cases
from ml.datasets.loading import load_case
from ml.datasets.stacks import find_stacks, parts_of_one_size
from ml.engines import Engine
from ml.engines.context import Context
from ml.engines.ensemble import EnsembleEngine, is_seen
from ml.engines.openvino import OpenVinoEngine
from ml.engines.torch import TorchEngine
from ml.evaluation.run import CaseResult, score_cases
from ml.masks import Masks, apply_rule, min_pixels_on_grid, rule_on_grid
from ml.measurements import Verdict, verdict_of
from ml.packaging.card_facts import check_leaves_choices, read_facts, with_facts, with_test
from ml.packaging.choices.folds import FoldRun, check_leaves_test, check_package, read_folds, with_common_folds
from ml.packaging.choices.networks import scaling_of
from ml.packaging.choices.out_of_fold import measure_on_folds
from ml.packaging.ensembles import OF_MEMBERS, average_maps, check_leaves_members, table_of
from ml.packaging.measuring import PARITY_SLICES, check_is_whole, parity_slices, split_of, with_figures
from ml.packaging.package_writer import staged, write_card
from ml.packaging.parity import compare_engines, describe_delta
from ml.packaging.quantization import Calibration

logger = logging.getLogger(__name__)

# Tried from the highest: the more slices the first member answers alone, the less there is to compute.
LIMITS = (0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01)
_GRID = (256, 256)  # that LOST_PIXELS are of
_REMEDY = "Ask about more --neighbors, name another --first, or use the ensemble as it is."
_GATE = (
    f"the gate is a Dice within {MAX_DICE_DELTA:g}, {MIN_VERDICTS_EQUAL:.1%} of verdicts equal and no larger tumor lost"
)


@dataclass(frozen=True)
class CascadePlan:
    """An ensemble's folder, the name of the member to ask first, and the folder to write.

    neighbors: slices on either side of what that member sees that the others are asked about as well. folds: a run of
    `python -m ml crossval` for each member, in the ensemble's order; data: the data set of these. facts: YAML with
    fields of the card. directories: where members are found beside the ensemble's own. is_tested: the test patients are
    measured as well.
    """

    ensemble: Path
    first: str
    out: Path
    folds: tuple[Path, ...]
    data: Path
    neighbors: int = 2
    facts: Path | None = None
    directories: tuple[Path, ...] = ()
    is_tested: bool = False


@dataclass(frozen=True)
class Look:
    """A slice: the map of all members and the cascade's, uint8 (H, W), the truth, bool (H, W), and whether the first
    member answered alone."""

    case: Case
    full: NDArray[np.uint8]
    cascaded: NDArray[np.uint8]
    truth: NDArray[np.bool]
    is_skipped: bool


def make_cascade(plan: CascadePlan, calibration: Calibration | None = None) -> Card:
    """Write the package `plan.out` (its folder's name is the package's) and return its card.

    Raises PackageError, also where no limit and where the compiled models do not pass the gate; nothing is left behind
    then. Raises DatasetError and TrainingError as `python -m ml ensemble` does.
    """
    whole = load_card(plan.ensemble)
    names = [member.name for member in whole.members]
    if not names:
        raise PackageError(
            f"{whole.name} is no ensemble, but one model; join it with another by `python -m ml ensemble`."
        )
    check_leaves_members(plan.out, names)
    folders = find_members(plan.ensemble, whole, plan.directories)
    if plan.first not in names:
        raise PackageError(f"{plan.first} is no member of {whole.name}; name one of {', '.join(names)}.")
    order = sorted(range(len(names)), key=lambda place: names[place] != plan.first)
    folders = tuple(folders[place] for place in order)
    stated = read_facts(plan.facts)
    check_leaves_choices(stated)
    fixed = next((name for name in OF_MEMBERS if name in stated), None)
    if fixed is not None:
        raise PackageError(f"The {fixed} of a cascade is that of its members; leave it out of the facts.")
    cases = list_cases(plan.data)
    card = with_facts(_reordered(plan, whole, order, load_card(folders[0])), stated)
    card = with_test(card) if plan.is_tested else card
    if plan.is_tested:
        check_is_whole(cases, card.training.test_patients or ())
    if not 0 <= plan.neighbors <= MAX_NEIGHBORS:
        raise PackageError(f"--neighbors {plan.neighbors}: give a number from 0 to {MAX_NEIGHBORS}.")
    if len(plan.folds) != len(names):
        raise PackageError(
            f"{len(names)} members need as many runs after --folds, in the ensemble's order, not {len(plan.folds)}."
        )
    runs = with_common_folds([read_folds(plan.folds[place], plan.data) for place in order])
    # Opened before the work, which takes long: a folder that cannot be written is known at once.
    with staged(plan.out) as folder:
        card = choose_limit(card, folders, runs, plan.neighbors)
        card = _measure(card, folders, cases, calibration or Calibration(), plan.is_tested)
        return write_card(folder, card)


def compare_looks(looks: Sequence[Look], card: Card) -> CascadeFigures:
    """The figures of slices, each patient's of one size as a stack for Dice, each alone for its verdict."""
    same = lost = 0
    for look in looks:
        rule = rule_on_grid(card, card.threshold, *look.truth.shape)
        full, cascaded = (apply_rule(one[None], rule, is_stack=False) for one in (look.full, look.cascaded))
        same += _verdict(full) is _verdict(cascaded)
        is_large = look.truth.sum() > min_pixels_on_grid(LOST_PIXELS, _GRID, *look.truth.shape)
        lost += bool(is_large and full.tumor.any() and not cascaded.tumor.any())
    patients = sorted({look.case.patient for look in looks})
    deltas = [
        delta
        for patient in patients
        if (delta := _dice_delta([look for look in looks if look.case.patient == patient], card)) is not None
    ]
    clear = [look for look in looks if not look.truth.any()]
    return CascadeFigures(
        slices=len(looks),
        patients=len(patients),
        skipped=sum(look.is_skipped for look in looks),
        clear=len(clear),
        skipped_clear=sum(look.is_skipped for look in clear),
        verdicts_equal=round(same / len(looks), 4),
        patient_dice_delta=round(float(np.mean(deltas)), 5) if deltas else None,
        lost=lost,
    )


def _reordered(plan: CascadePlan, whole: Card, order: Sequence[int], first: Card) -> Card:
    """The ensemble's card with its members in this order, the first one's checks of the input, and no metrics yet.

    Its error of volumes stays: the gate lets no mask change that counts, and it is of rules that other patients chose.
    """
    return replace(
        whole,
        name=plan.out.resolve().name,
        version=None,
        title=None,
        members=tuple(whole.members[place] for place in order),
        architecture=replace(whole.architecture, encoder=" + ".join(whole.members[place].name for place in order)),
        chosen_on=f"rules as of {whole.name}: {whole.chosen_on}",
        familiarity=first.familiarity,
        sequences=first.sequences,
        metrics=(),
        parity={},
    )


def choose_limit(card: Card, folders: Sequence[Path], runs: Sequence[FoldRun], neighbors: int) -> Card:
    """The card with the highest limit that passes the gate on the kept maps of each fold, and its figures on all of
    them.

    card: the ensemble's, without figures, its members in the order of `folders` and `runs`.

    A limit that only just passes on some patients does not on the next ones: of 30 patients one had lost no tumor, of
    60 it lost two. Raises PackageError where none does.
    """
    tables = []
    for folder, run in zip(folders, runs, strict=True):
        member = load_card(folder)
        check_package(run, member)
        check_leaves_test(run, card.training.test_patients)
        tables.append(table_of(folder, member, run))
    scaling = scaling_of(card)
    means = average_maps(
        [run.maps for run in runs],
        tables,
        temperature=scaling.temperature,
        offset=scaling.offset,
    )
    # The first member's package on the grid of 8 bits that its folds' maps were kept in.
    alone = average_maps([runs[0].maps], tables[:1])
    highest = card.threshold if card.doubt is None else card.doubt.threshold
    tried: CascadeFigures | None = None
    for limit in (limit for limit in LIMITS if limit <= highest):
        seen = [bool(is_seen(one[None], limit)[0]) for one in alone]
        skipped = [not asked for asked in asked_about(runs[0].cases, [one.shape for one in alone], seen, neighbors)]
        looks = [
            Look(case, full, first if is_skipped else full, truth, is_skipped)
            for case, full, first, truth, is_skipped in zip(
                runs[0].cases, means, alone, runs[0].truths, skipped, strict=True
            )
        ]
        tried = compare_looks(looks, card)
        logger.info("Limit %g, out of fold: %s", limit, _describe(tried))
        if tried.is_close and passes_in_each(looks, runs[0].folds, card):
            words = f"the highest of {len(LIMITS)} limits from {LIMITS[-1]:g} to {LIMITS[0]:g} that passes in each fold"
            judged = replace(runs[0], name=card.name, maps=tuple(look.cascaded for look in looks))
            cascade = Cascade(limit, neighbors, f"out of fold, {runs[0].description}: {words}", tried)
            return replace(card, cascade=cascade, metrics=measure_on_folds(judged, card))
    first = load_card(folders[0]).name
    if tried is None:
        raise PackageError(
            f"The ensemble marks what is as improbable as {highest:g}, and no limit is below {LIMITS[-1]:g}: {first}"
            " can answer nothing alone; use the ensemble as it is."
        )
    raise PackageError(
        f"With {first} asked first no limit passes the gate in each fold (the lowest, on all of them:"
        f" {_describe(tried)}); {_GATE}. {_REMEDY}"
    )


def _measure(
    card: Card,
    folders: Sequence[Path],
    cases: Sequence[Case],
    calibration: Calibration,
    is_tested: bool,
) -> Card:
    """The gate on the compiled models, int8 beside torch with all members, and the test patients.

    card: with its cascade. Raises PackageError where the gate is not passed.
    """
    members = [OpenVinoEngine(folder) for folder in folders]
    without = replace(card, cascade=None)
    whole, served = EnsembleEngine(without, members), EnsembleEngine(card, members)
    split = split_of(card, cases, calibration.seed)
    stacks = _whole_patients(split.parity)
    logger.info("Comparing the cascade with all members on %d slices", len(stacks))
    passed = compare_looks(list(_served_looks(served, whole, stacks)), card)
    cascade = card.cascade
    if cascade is None or not passed.is_close:
        raise PackageError(
            f"The limit passes on the folds' maps, but the compiled models do not: {_describe(passed)}; {_GATE}."
            f" {_REMEDY}"
        )
    reference = EnsembleEngine(without, [TorchEngine.from_package(folder, device="cpu") for folder in folders])
    compared = parity_slices(split, calibration.seed)
    logger.info("Comparing int8 with torch fp32 on %d slices", len(compared))
    parity = compare_engines(served, reference, compared, split.surroundings)
    card = replace(
        card,
        cascade=replace(cascade, served=passed),
        parity={"int8": replace(parity, against="torch fp32, all members on every slice")},
    )
    return with_figures(card, served, reference, cases, is_tested)


def _describe(figures: CascadeFigures) -> str:
    """The gate's figures in words, beside the same members asked on every slice."""
    return (
        f"of {figures.slices} slices of {figures.patients} patients the first look answers {figures.skipped} alone,"
        f" {figures.verdicts_equal:.2%} of verdicts are equal, {describe_delta(figures.patient_dice_delta)},"
        f" {figures.lost} larger tumors are lost"
    )


def asked_about(
    cases: Sequence[Case], shapes: Sequence[tuple[int, ...]], seen: Sequence[bool], neighbors: int
) -> list[bool]:
    """The cases that all members are asked about, in the order of the cases, as an engine decides it.

    shapes: of the cases' slices; seen: on which the first member sees something.
    """
    if not neighbors:
        return list(seen)
    stacks = [part for stack in find_stacks(cases) for part in parts_of_one_size(stack, shapes)]
    order = np.array([place for stack in stacks for place in stack], dtype=np.intp)
    asked = np.empty(len(cases), dtype=np.bool)
    asked[order] = Context.of_stacks(stacks).spread(np.array(seen)[order], neighbors)
    return [bool(one) for one in asked]


def passes_in_each(looks: Sequence[Look], folds: NDArray[np.int64], card: Card) -> bool:
    """Whether the gate is passed on the slices of each fold by themselves. folds: int (N,), of each look."""
    return all(
        compare_looks([look for look, of in zip(looks, folds, strict=True) if of == fold], card).is_close
        for fold in np.unique(folds)
    )


def _whole_patients(cases: Sequence[Case]) -> list[Case]:
    """The first patients, with all their slices, that have PARITY_SLICES together."""
    taken: list[Case] = []
    for _, slices in groupby(cases, key=lambda case: case.patient):
        if len(taken) >= PARITY_SLICES:
            break
        taken.extend(slices)
    return taken


def _served_looks(served: Engine, whole: Engine, cases: Sequence[Case]) -> Iterator[Look]:
    """Every slice as both engines answer it among its patient's. Raises DatasetError."""
    answers = zip(_maps(served, cases), _maps(whole, cases), strict=True)
    for found, full in answers:
        if found.probability_u8 is None or full.probability_u8 is None or found.truth is None:
            raise PackageError(f"{found.result.case.image} has no expert's mask to compare with.")
        is_skipped = bool(found.is_first_look)
        yield Look(found.result.case, full.probability_u8, found.probability_u8, found.truth, is_skipped)


def _maps(engine: Engine, cases: Sequence[Case]) -> Iterator[CaseResult]:
    for piece in score_cases(engine, cases, engine.card.threshold, read=load_case):
        yield from piece


def _verdict(masks: Masks) -> Verdict:
    return verdict_of(has_tumor=bool(masks.tumor.any()), has_doubt=bool(masks.doubtful.any()))


def _dice_delta(looks: Sequence[Look], card: Card) -> float | None:
    """Dice of one patient's slices, the cascade's less that of all members; None where nothing is there to compare."""
    sums = np.zeros((2, 3), dtype=np.int64)  # intersection, predicted, truth
    shapes = [look.truth.shape for look in looks]
    for places in find_stacks([look.case for look in looks]):
        for part in parts_of_one_size(places, shapes):
            stack = [looks[place] for place in part]
            truth = np.stack([look.truth for look in stack])
            rule = rule_on_grid(card, card.threshold, *truth.shape[1:])
            for row, maps in enumerate(([look.cascaded for look in stack], [look.full for look in stack])):
                mask = apply_rule(np.stack(maps), rule, is_stack=True).tumor
                sums[row] += [(mask & truth).sum(), mask.sum(), truth.sum()]
    if not sums[:, 1:].sum(axis=1).all():
        return None
    dice = 2 * sums[:, 0] / sums[:, 1:].sum(axis=1)
    return float(dice[0] - dice[1])

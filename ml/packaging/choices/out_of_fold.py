"""Everything that is chosen on out-of-fold maps, and honest figures: of rules that were chosen on the other folds."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ml.cards import NESTED, OUT_OF_FOLD, Card, Metric, PackageError, TemperatureScaling, VolumeError
from ml.engines.ensemble import LOGIT_LIMIT
from ml.evaluation.scoring import MaskedSlice, Score, mask_slices, score_slice
from ml.measurements import Verdict, verdict_of
from ml.metrics.growth import SHARE, volume_factors
from ml.metrics.overlap import Counts
from ml.packaging.card_metrics import NAMES, VARIANT_NAMES, metrics_of
from ml.packaging.choices.folds import FoldRun
from ml.packaging.choices.maps import ChoiceMaps
from ml.packaging.choices.rules import ChosenRule, choose_rule, describe_rule
from ml.packaging.temperature import LogitCounts, Scaling, describe_scaling, fit_scaling
from ml.preprocessing import quantize

logger = logging.getLogger(__name__)

NESTED_SET = f"{OUT_OF_FOLD}; scaling and rules {NESTED}"
CHOSEN_SET = f"{OUT_OF_FOLD}; these patients chose scaling and rules"
# Of a scaling that stays as it was.
NESTED_RULES_SET = f"{OUT_OF_FOLD}; rules {NESTED}"
CHOSEN_RULES_SET = f"{OUT_OF_FOLD}; these patients chose the rules"
STACKED, SINGLE = "slices stacked, with the depth rule", "each slice alone"


@dataclass(frozen=True)
class FoldChoice:
    """What is chosen, as a card has it, and the metrics for the card. scaling: of the network's own logits."""

    scaling: Scaling
    temperature: TemperatureScaling
    rule: ChosenRule
    chosen_on: str
    metrics: tuple[Metric, ...]
    volumes: VolumeError | None

    def on_card(self, card: Card) -> Card:
        """The card with everything that was chosen."""
        metrics = (*card.metrics, *self.metrics)
        return replace(
            with_rule(card, self.rule),
            temperature=self.temperature,
            chosen_on=self.chosen_on,
            metrics=metrics,
            volumes=self.volumes,
        )


@dataclass(frozen=True)
class _Choice:
    """One choice. scaled: uint8 (256,), what the scaling makes of each kept level."""

    scaling: Scaling
    scaled: NDArray[np.uint8]
    rule: ChosenRule


@dataclass(frozen=True)
class _ScoredSlice:
    """A slice as part of its stack, with the depth rule, and by itself."""

    in_stack: tuple[Score, Verdict]
    alone: tuple[Score, Verdict]


def with_rule(card: Card, rule: ChosenRule) -> Card:
    """The card with a rule in place of its own."""
    return replace(
        card, threshold=rule.threshold, min_tumor_pixels=rule.min_tumor_pixels, depth=rule.depth, doubt=rule.doubt
    )


def level_logits(lowest: float = -LOGIT_LIMIT, highest: float = LOGIT_LIMIT) -> NDArray[np.float64]:
    """The logit of each 8-bit level, float64 (256,). lowest, highest: of 0 and 255, which tell no logit themselves."""
    inner = np.arange(1, 255) / 255
    return np.concatenate([[lowest], np.log(inner / (1 - inner)), [highest]])


def choose_on_folds(
    run: FoldRun, card: Card, logits: NDArray[np.float64], scaling: Scaling | None = None
) -> FoldChoice:
    """Scaling, then rules, on all finished folds; where there are two or more, measured on each by the others' choice.

    card: its input's grid counts. logits: `level_logits` of the kept maps. scaling: one that stays as it is, so that
    rules alone are chosen. Raises PackageError where a fold's patients or the others' have no slices with tumor, or
    none without.
    """
    maps = ChoiceMaps(run.cases, run.maps, run.truths, card.input.size)
    everyone = np.ones(len(maps), dtype=bool)
    final = _choose(maps, everyone, logits, scaling, run.description)
    logger.info("Chosen on %s: %s", run.description, _rules_in_words([final.rule]))
    nested: list[tuple[NDArray[np.bool], _Choice]] = []
    for fold in run.finished if len(run.finished) > 1 else ():
        others = _choose(maps, run.folds != fold, logits, scaling, f"the folds without {fold}")
        nested.append((run.folds == fold, others))
    nested_set, chosen_set = (NESTED_SET, CHOSEN_SET) if scaling is None else (NESTED_RULES_SET, CHOSEN_RULES_SET)
    measured, set_name = (nested, nested_set) if nested else ([(everyone, final)], chosen_set)
    scored = [
        both
        for judged, choice in measured
        for both in _score(maps, judged, choice.scaled, with_rule(card, choice.rule))
    ]
    stacked, single = [both.in_stack for both in scored], [both.alone for both in scored]
    words = f"{run.description}; {_rules_in_words([choice.rule for _, choice in measured])}"
    metrics = _metrics(stacked, single, set_name, words)
    histogram = maps.histograms.sum(axis=0)
    before = LogitCounts(histogram, logits)
    temperature = describe_scaling(
        before,
        replace(before, centers=final.scaling.of(logits)),
        final.scaling,
        len(maps.patients),
        f"{OUT_OF_FOLD}: {run.description}",
    )
    chosen_on = f"{OUT_OF_FOLD}, {run.description}: {describe_rule(final.rule)}"
    if nested:
        chosen_on += f"; with the rules of the other folds {_doubt_in_words(stacked)}"
    volumes = _volumes([score for score, _ in stacked], set_name)
    return FoldChoice(final.scaling, temperature, final.rule, chosen_on, metrics, volumes)


def measure_on_folds(run: FoldRun, card: Card) -> tuple[Metric, ...]:
    """The metrics of rules that the card has already, on `run.maps` as they are. card: its input's grid counts.

    For rules that the same patients chose, which the metrics say.
    """
    maps = ChoiceMaps(run.cases, run.maps, run.truths, card.input.size)
    everyone = np.ones(len(maps), dtype=bool)
    as_kept = np.arange(256, dtype=np.uint8)
    scored = list(_score(maps, everyone, as_kept, card))
    stacked, single = [both.in_stack for both in scored], [both.alone for both in scored]
    return _metrics(stacked, single, CHOSEN_SET, f"{run.description}; {_rules_in_words([card])}")


def _metrics(
    stacked: Sequence[tuple[Score, Verdict]], single: Sequence[tuple[Score, Verdict]], set_name: str, words: str
) -> tuple[Metric, ...]:
    return (
        *metrics_of([score for score, _ in stacked], set_name, NAMES, f"{words}; {STACKED}"),
        *metrics_of([score for score, _ in single], set_name, VARIANT_NAMES, f"{words}; {SINGLE}"),
    )


def _volumes(stacked: Sequence[Score], set_name: str) -> VolumeError | None:
    """Of each patient's slices as a stack; what a pixel measures is the same in both volumes of a patient."""
    pooled: dict[str, Counts] = defaultdict(Counts)
    for score in stacked:
        pooled[score.patient] += score.counts
    factors = volume_factors(
        [counts.predicted for counts in pooled.values()], [counts.truth for counts in pooled.values()]
    )
    if factors is None:
        return None
    half, volume, change = (round(factor, 4) for factor in (factors.half, factors.volume, factors.change))
    return VolumeError(half, volume, change, SHARE, factors.patients, set_name)


def _choose(
    maps: ChoiceMaps, among: NDArray[np.bool], logits: NDArray[np.float64], scaling: Scaling | None, name: str
) -> _Choice:
    """On the slices `among`, bool (N,). scaling: one that stays as it is, None for one that they choose."""
    scaling = scaling or fit_scaling(LogitCounts(maps.histograms[among].sum(axis=0), logits))
    scaled = quantize(1 / (1 + np.exp(-scaling.of(logits))))
    rule = choose_rule(maps, among, scaled)
    if rule is None:
        raise PackageError(f"Slices with tumor and slices without are needed to choose on, and {name} lack one kind.")
    return _Choice(scaling, scaled, rule)


def _score(maps: ChoiceMaps, among: NDArray[np.bool], scaled: NDArray[np.uint8], card: Card) -> Iterator[_ScoredSlice]:
    """The slices `among`, bool (N,), by the very rule that serves.

    scaled: uint8 (256,), what becomes of each kept level. card: its rule counts.
    """
    for stack in maps.stacks:
        if not among[stack[0]]:  # a patient's slices are all in one fold
            continue
        values = scaled[np.stack([maps.maps[place] for place in stack])]  # (n, H, W)
        masked, alone = (
            mask_slices(values, card, card.threshold, [0.0] * len(stack), is_stack=is_stack)
            for is_stack in (True, False)
        )
        for place, one, other in zip(stack, masked, alone, strict=True):
            in_stack = _scored(maps, place, one)
            # Where the depth rule dropped nothing, both masks are the same.
            yield _ScoredSlice(in_stack, _scored(maps, place, other) if one.dropped else in_stack)


def _scored(maps: ChoiceMaps, place: int, one: MaskedSlice) -> tuple[Score, Verdict]:
    verdict = verdict_of(has_tumor=bool(one.tumor.any()), has_doubt=bool(one.doubtful.any()))
    return score_slice(maps.cases[place], maps.truths[place], one), verdict


def _rules_in_words(rules: Sequence[ChosenRule | Card]) -> str:
    """What the rules have in common, and from where to where they differ."""
    parts = [
        ("threshold", [f"{rule.threshold:g}" for rule in rules]),
        ("pixels", [f"{rule.min_tumor_pixels}" for rule in rules]),
        ("share of depth", ["none" if rule.depth is None else f"{rule.depth.min_share:g}" for rule in rules]),
    ]
    return ", ".join(f"{name} {' / '.join(dict.fromkeys(values))}" for name, values in parts)


def _doubt_in_words(scored: Sequence[tuple[Score, Verdict]]) -> str:
    tumor = [verdict for score, verdict in scored if score.counts.truth]
    free = [verdict for score, verdict in scored if not score.counts.truth]
    uncertain = free.count(Verdict.UNCERTAIN) / max(len(free), 1)
    found_in_doubt, missed = (
        tumor.count(verdict) / max(len(tumor), 1) for verdict in (Verdict.UNCERTAIN, Verdict.NO_TUMOR)
    )
    return (
        f"{uncertain:.1%} of tumor-free slices uncertain, {found_in_doubt:.1%} of tumor slices uncertain and"
        f" {missed:.1%} missed outright"
    )

"""Chooses what the mask rule of ml.masks works with: threshold, smallest area, share of depth, limits of doubt.

In this order, each with what was chosen before it, on patients that the network did not see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.cards import DepthRule, DoubtRule
from ml.datasets import Case
from ml.engines import Engine
from ml.masks import threshold_level
from ml.packaging.choices.maps import ChoiceMaps

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(4, 17))  # 0.2 to 0.8
# Pixels of a grid of 256 x 256; on another grid the same share of it.
AREAS = (0, 5, 10, 15, 20, 30, 40)
DOUBT_AREAS = (1, 5, 10, 15, 20, 30, 40, 60, 80, 120)
_GRID = 256 * 256
# An area may lower the mean patient Dice by this much where it raises sensitivity + specificity.
DICE_ALLOWANCE = 0.002
SHARES = (0.02, 0.05, 0.1, 0.2, 0.3)
# Of the slices without tumor, at most this share may be in doubt; of those with, at most that one should be missed.
UNCERTAIN_LIMIT, MISSED_AIM = 0.1, 0.03
# Levels of the kept maps at which doubt may begin: 0.01 to 0.98.
_DOUBT_LEVELS = (2, 4, 8, *range(13, 255, 13))
_UNSCALED = np.arange(256, dtype=np.uint8)


@dataclass(frozen=True)
class RuleFigures:
    """Of the slices that a rule was chosen on, stacked where they lie on each other.

    uncertain: of the slices without tumor; missed: of those with tumor, neither a mask nor a region in doubt.
    """

    patients: int
    patient_dice: float
    slice_sensitivity: float
    slice_specificity: float
    uncertain: float
    missed: float


@dataclass(frozen=True)
class ChosenRule:
    """A card's rule, numbers of pixels on the model's grid, and how it does on the slices that it was chosen on."""

    threshold: float
    min_tumor_pixels: int
    depth: DepthRule | None
    doubt: DoubtRule | None
    figures: RuleFigures


def choose_mask_rule(engine: Engine, cases: Sequence[Case]) -> ChosenRule | None:
    """The rule for an engine's own maps of these cases; see `choose_rule`. Raises DatasetError and EngineError."""
    maps = _maps_of(engine, cases)
    return choose_rule(maps, np.ones(len(maps), dtype=bool), _UNSCALED)


def choose_doubt(engine: Engine, cases: Sequence[Case]) -> tuple[DoubtRule, str] | None:
    """The doubt rule beside the threshold and the smallest area of the engine's card, and how it was chosen.

    None where no slice, or every slice, has tumor, or where none is missed. Raises DatasetError and EngineError.
    """
    maps, card = _maps_of(engine, cases), engine.card
    search = _Search(maps, np.ones(len(maps), dtype=bool), _UNSCALED)
    if not maps.has_tumor.any() or maps.has_tumor.all():
        return None
    area = card.min_tumor_pixels
    _, is_masked = search.masked(card.threshold, area, card.depth)
    doubt, in_doubt = search.choose_doubt(card.threshold, is_masked)
    if doubt is None:
        return None
    figures = search.figures(card.threshold, area, card.depth, in_doubt)
    return doubt, (
        f"limits of doubt by the fewest tumors missed with at most {UNCERTAIN_LIMIT:.0%} of tumor-free slices in doubt,"
        f" on {figures.patients} validation patients: {figures.uncertain:.1%} of tumor-free slices uncertain,"
        f" {figures.missed:.1%} of tumor slices missed outright"
    )


def choose_rule(maps: ChoiceMaps, among: NDArray[np.bool], scaled: NDArray[np.uint8]) -> ChosenRule | None:
    """The rule for the slices `among`, bool (N,), of maps that are scaled by a rising table, uint8 (256,).

    threshold: the highest mean patient Dice. area: the highest slice sensitivity + specificity (Youden, Cancer 3, 1950)
    among those that cost at most DICE_ALLOWANCE. depth: the highest mean patient Dice, none where no share gains.
    doubt: the fewest tumors missed with at most UNCERTAIN_LIMIT of the slices without tumor in doubt.
    None where no slice, or every slice, has tumor.
    """
    if not (maps.has_tumor & among).any() or not (~maps.has_tumor & among).any():
        return None
    search = _Search(maps, among, scaled)
    threshold = search.choose_threshold()
    area = search.choose_area(threshold)
    depth, is_masked = search.choose_depth(threshold, area)
    doubt, in_doubt = search.choose_doubt(threshold, is_masked)
    return ChosenRule(threshold, area, depth, doubt, search.figures(threshold, area, depth, in_doubt))


def describe_rule(rule: ChosenRule) -> str:
    """How the rule was chosen and what it reached on the slices that it was chosen on, for the card."""
    figures = rule.figures
    return (
        f"threshold of {len(THRESHOLDS)} from {THRESHOLDS[0]:g} to {THRESHOLDS[-1]:g} by mean patient Dice, then area"
        f" of {', '.join(map(str, AREAS))} pixels on a grid of 256 by slice sensitivity + specificity at a cost of at"
        f" most {DICE_ALLOWANCE:g} Dice, then share of depth of none, {', '.join(f'{share:g}' for share in SHARES)} by"
        f" mean patient Dice, then the limits of doubt by the fewest tumors missed with at most {UNCERTAIN_LIMIT:.0%}"
        f" of tumor-free slices in doubt; on the {figures.patients} patients that chose it: patient Dice"
        f" {figures.patient_dice:.4f}, sensitivity {figures.slice_sensitivity:.3f}, specificity"
        f" {figures.slice_specificity:.3f}, {figures.uncertain:.1%} of tumor-free slices uncertain,"
        f" {figures.missed:.1%} of tumor slices missed outright (aim: {MISSED_AIM:.0%})"
    )


def _maps_of(engine: Engine, cases: Sequence[Case]) -> ChoiceMaps:
    maps = [engine.probability_map(case.pixels()[None])[0] for case in cases]
    return ChoiceMaps(cases, maps, [case.labels() > 0 for case in cases], engine.card.input.size)


class _Search:
    """One choice: the figures of rules on the slices `among`."""

    def __init__(self, maps: ChoiceMaps, among: NDArray[np.bool], scaled: NDArray[np.uint8]) -> None:
        self._maps, self._among, self._scaled = maps, among, scaled
        self._truth = maps.histograms[:, 1].sum(axis=1)  # (N,)

    def choose_threshold(self) -> float:
        """Of tied thresholds the one closest to 0.5."""
        reached = self._maps.histograms[:, :, ::-1].cumsum(axis=2)[:, :, ::-1]  # (N, 2, 256): pixels from a level on
        reached = np.concatenate([reached, np.zeros_like(reached[:, :, :1])], axis=2)

        def dice(threshold: float) -> float:
            predicted, overlap = reached[:, :, self._level(threshold)].T
            return self._patient_dice(predicted, overlap)

        # max takes the first of equal values.
        return max(sorted(THRESHOLDS, key=lambda threshold: abs(threshold - 0.5)), key=dice)

    def choose_area(self, threshold: float) -> int:
        """In pixels of the model's grid; the smallest of equally good ones."""
        regions = self._maps.regions(self._level(threshold))
        tried = []
        for area in _on_grid(AREAS, self._maps.grid):
            is_kept = regions.pixels >= self._maps.min_pixels(area)[regions.slices]
            dice, is_masked = self._of_regions(self._level(threshold), is_kept)
            tried.append((area, dice, sum(self._verdicts(is_masked))))
        enough = max(dice for _, dice, _ in tried) - DICE_ALLOWANCE
        return max((item for item in tried if item[1] >= enough), key=lambda item: item[2])[0]

    def choose_depth(self, threshold: float, area: int) -> tuple[DepthRule | None, NDArray[np.bool]]:
        """The rule, and which slices have a mask with it, bool (N,)."""
        best: DepthRule | None = None
        dice, is_masked = self.masked(threshold, area, None)
        for share in SHARES:
            found, masked = self.masked(threshold, area, DepthRule(share))
            if found > dice:
                best, dice, is_masked = DepthRule(share), found, masked
        return best, is_masked

    def choose_doubt(self, threshold: float, is_masked: NDArray[np.bool]) -> tuple[DoubtRule | None, NDArray[np.bool]]:
        """The rule, and which of the slices without a mask are then in doubt, bool (N,)."""
        tumor, free = self._among & self._maps.has_tumor, self._among & ~self._maps.has_tumor
        best: tuple[DoubtRule | None, NDArray[np.bool]] = (None, np.zeros(len(self._maps), dtype=bool))
        least = (float(np.mean(~is_masked[tumor])), 0.0)
        highest = threshold_level(threshold)
        levels = sorted({int(self._scaled[level]) for level in _DOUBT_LEVELS} | {highest})
        for level in (level for level in levels if int(self._scaled[0]) < level <= highest):
            regions = self._maps.regions(self._raw(level))
            largest = np.zeros(len(self._maps), dtype=np.int64)
            np.maximum.at(largest, regions.slices, regions.pixels)
            for area in _on_grid(DOUBT_AREAS, self._maps.grid):
                if area < 1:
                    continue
                in_doubt = ~is_masked & (largest >= self._maps.min_pixels(area))
                uncertain = float(np.mean(in_doubt[free]))
                reached = (float(np.mean(~is_masked[tumor] & ~in_doubt[tumor])), uncertain)
                if uncertain <= UNCERTAIN_LIMIT and reached < least:
                    limit = threshold if level == highest else _threshold_at(level)
                    best, least = (DoubtRule(limit, area), in_doubt), reached
        return best

    def figures(self, threshold: float, area: int, depth: DepthRule | None, in_doubt: NDArray[np.bool]) -> RuleFigures:
        """Of the whole rule. in_doubt: bool (N,)."""
        dice, is_masked = self.masked(threshold, area, depth)
        sensitivity, specificity = self._verdicts(is_masked)
        tumor, free = self._among & self._maps.has_tumor, self._among & ~self._maps.has_tumor
        return RuleFigures(
            patients=len(np.unique(self._maps.owners[self._among])),
            patient_dice=dice,
            slice_sensitivity=sensitivity,
            slice_specificity=specificity,
            uncertain=float(np.mean(in_doubt[free])),
            missed=float(np.mean(~is_masked[tumor] & ~in_doubt[tumor])),
        )

    def masked(self, threshold: float, area: int, depth: DepthRule | None) -> tuple[float, NDArray[np.bool]]:
        """Mean patient Dice, and which slices have a mask."""
        level = self._level(threshold)
        bodies, regions = self._maps.bodies(level, area), self._maps.regions(level)
        is_kept = bodies >= 0
        if depth is not None and is_kept.any():
            voxels = np.bincount(bodies[is_kept], weights=regions.pixels[is_kept])  # (bodies,)
            stack_of_slice = np.empty(len(self._maps), dtype=np.int64)
            for index, stack in enumerate(self._maps.stacks):
                stack_of_slice[list(stack)] = index
            stacks = stack_of_slice[regions.slices]  # (K,)
            largest = np.zeros(len(self._maps.stacks))
            np.maximum.at(largest, stacks[is_kept], voxels[bodies[is_kept]])
            is_single = np.array([len(stack) == 1 for stack in self._maps.stacks])[stacks]
            is_kept &= is_single | (voxels[bodies] >= depth.min_share * largest[stacks])
        return self._of_regions(level, is_kept)

    def _of_regions(self, level: int, is_kept: NDArray[np.bool]) -> tuple[float, NDArray[np.bool]]:
        """Mean patient Dice of masks of the kept regions, bool (K,), and which slices have a mask, bool (N,)."""
        regions, size = self._maps.regions(level), len(self._maps)
        kept = regions.slices[is_kept]
        predicted, overlap = (
            np.bincount(kept, weights=values[is_kept], minlength=size) for values in (regions.pixels, regions.overlap)
        )
        return self._patient_dice(predicted, overlap), predicted > 0

    def _patient_dice(self, predicted: NDArray[np.number], overlap: NDArray[np.number]) -> float:
        """predicted, overlap: (N,), pixels of each slice's mask, and those of them in the truth."""
        owners, patients = self._maps.owners[self._among], len(self._maps.patients)
        in_mask, in_both, in_truth = (
            np.bincount(owners, weights=values[self._among], minlength=patients)
            for values in (predicted, overlap, self._truth)
        )
        has_tumor = in_truth > 0
        return float(np.mean(2 * in_both[has_tumor] / (in_mask + in_truth)[has_tumor]))

    def _verdicts(self, is_masked: NDArray[np.bool]) -> tuple[float, float]:
        """Sensitivity and specificity of the slices. is_masked: bool (N,)."""
        tumor, free = self._among & self._maps.has_tumor, self._among & ~self._maps.has_tumor
        return float(np.mean(is_masked[tumor])), float(np.mean(~is_masked[free]))

    def _level(self, threshold: float) -> int:
        """The level of the kept maps at which a threshold on the scaled ones lies; 256 where none reaches it."""
        return self._raw(threshold_level(threshold))

    def _raw(self, level: int) -> int:
        return int(np.searchsorted(self._scaled, level))


def _threshold_at(level: int) -> float:
    """A threshold of four digits whose level is this one."""
    return (level * 10_000 // 255) / 10_000


def _on_grid(areas: Sequence[int], grid: tuple[int, int]) -> tuple[int, ...]:
    """Areas of a grid of 256 x 256 on another one, rising."""
    return tuple(sorted({round(area * grid[0] * grid[1] / _GRID) for area in areas}))

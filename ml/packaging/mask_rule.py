"""Chooses the mask's threshold and smallest area, on validation patients only."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ml.datasets import Case
from ml.engines import Engine
from ml.evaluation.scoring import mask_of
from ml.metrics.overlap import Counts, count, dice

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(4, 17))  # 0.2 to 0.8
AREAS = (0, 10, 20, 30, 50, 75, 100, 150)
# An area may lower the mean patient Dice by this much where it raises sensitivity + specificity.
DICE_ALLOWANCE = 0.002


@dataclass(frozen=True)
class MaskRule:
    """The choice and its figures on the patients that it was chosen on. description: the card's `chosen_on`."""

    threshold: float
    min_tumor_pixels: int
    patient_dice: float
    slice_sensitivity: float
    slice_specificity: float
    description: str


def choose_mask_rule(engine: Engine, cases: Sequence[Case]) -> MaskRule | None:
    """The threshold with the highest mean patient Dice, then the area with the best slice verdicts at that threshold.

    Best verdicts: the highest sum of sensitivity and specificity (Youden, Cancer 3, 1950), among the areas that cost at
    most DICE_ALLOWANCE. None where no slice, or every slice, has tumor. Raises DatasetError and EngineError.
    """
    # Patient, probability (1, H, W) and truth (H, W) of each slice.
    slices = [(case.patient, engine.probability_map(case.pixels()[None]), case.labels() > 0) for case in cases]
    has_tumor = [bool(truth.any()) for _, _, truth in slices]
    if not any(has_tumor) or all(has_tumor):
        return None

    def try_rule(threshold: float, area: int) -> MaskRule:
        card = replace(engine.card, min_tumor_pixels=area)
        pooled: dict[str, Counts] = {}
        verdicts = []
        for patient, probability_u8, truth in slices:
            found = count(truth, mask_of(probability_u8, card, threshold)[0])
            pooled[patient] = pooled.get(patient, Counts()) + found
            verdicts.append((found.truth > 0, found.predicted > 0))
        values = [value for value in map(dice, pooled.values()) if value is not None]
        right = np.array([truth == verdict for truth, verdict in verdicts])
        tumor = np.array([truth for truth, _ in verdicts])
        sensitivity, specificity = float(right[tumor].mean()), float(right[~tumor].mean())
        return MaskRule(threshold, area, float(np.mean(values)), sensitivity, specificity, "")

    # max takes the first of equal values: of tied thresholds the one closest to 0.5.
    by_distance = sorted(THRESHOLDS, key=lambda threshold: abs(threshold - 0.5))
    threshold = max((try_rule(threshold, 0) for threshold in by_distance), key=lambda rule: rule.patient_dice).threshold
    tried = [try_rule(threshold, area) for area in AREAS]
    enough = max(rule.patient_dice for rule in tried) - DICE_ALLOWANCE
    allowed = [rule for rule in tried if rule.patient_dice >= enough]
    best = max(allowed, key=lambda rule: rule.slice_sensitivity + rule.slice_specificity)
    patients = len({patient for patient, _, _ in slices})
    return replace(best, description=_describe(best, patients))


def _describe(rule: MaskRule, patients: int) -> str:
    return (
        f"threshold of {len(THRESHOLDS)} from {THRESHOLDS[0]:g} to {THRESHOLDS[-1]:g} by mean patient Dice, then area"
        f" of {', '.join(map(str, AREAS))} pixels by slice sensitivity + specificity at a cost of at most"
        f" {DICE_ALLOWANCE:g} Dice; on {patients} validation patients, torch fp32: patient Dice"
        f" {rule.patient_dice:.4f}, sensitivity {rule.slice_sensitivity:.3f}, specificity {rule.slice_specificity:.3f}"
    )

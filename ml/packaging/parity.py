"""Compares a served engine with the reference, on slices that it was not calibrated on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml.cards import Parity
from ml.datasets import Case
from ml.engines import Engine
from ml.masks import apply_rule, rule_on_grid
from ml.measurements import verdict_of
from ml.packaging.surroundings import ALONE, Surroundings, ask_middle


def compare_engines(
    served: Engine, reference: Engine, cases: Sequence[Case], surroundings: Surroundings = ALONE
) -> Parity:
    """Run both engines on every slice, with the served card's rule for single slices.

    surroundings: where the network takes neighbors, each slice is compared alone and in its stack; its verdict is equal
    where it is both times, and either mask counts.
    Patient Dice pools a patient's slices; it is undefined where the pooled truth and masks are empty. Slice Dice is the
    mean over slices with tumor in the truth. A delta is served less reference. A stack of slices may be computed by
    another compiled form than a single slice: where the two differ by more than 1 of 255, the slice's verdict counts as
    unequal.
    """
    card = served.card
    # Per engine and patient: [intersection, predicted pixels, truth pixels].
    counts: dict[str, NDArray[np.int64]] = {case.patient: np.zeros((2, 3), dtype=np.int64) for case in cases}
    slice_dice: list[NDArray[np.float64]] = []
    equal_warnings: list[bool] = []
    equal = equal_doubt = 0
    for case in cases:
        truth = case.labels() > 0  # (H, W)
        rule = rule_on_grid(card, card.threshold, *truth.shape)
        is_equal = is_doubt_equal = True
        for way in surroundings.ways(case):  # (S, H, W, 3)
            found = [ask_middle(engine, way) for engine in (served, reference)]
            both = [apply_rule(item.probability_u8, rule, is_stack=False) for item in found]
            masks = [item.tumor[0] for item in both]
            verdicts = {
                verdict_of(has_tumor=bool(item.tumor.any()), has_doubt=bool(item.doubtful.any())) for item in both
            }
            if found[0].is_out_of_distribution is not None and found[1].is_out_of_distribution is not None:
                equal_warnings.append(bool(found[0].is_out_of_distribution[0] == found[1].is_out_of_distribution[0]))
            is_same = len(way) > 1 or _is_same_among_others(served, way[0], found[0].probability_u8)
            is_equal &= is_same and bool(masks[0].any() == masks[1].any())
            is_doubt_equal &= is_same and len(verdicts) == 1
            sums = np.array([[(mask & truth).sum(), mask.sum(), truth.sum()] for mask in masks])  # (2, 3)
            counts[case.patient] += sums
            if truth.any():
                slice_dice.append(_dice(sums))
        equal += is_equal
        equal_doubt += is_doubt_equal
    patient_dice = [_dice(sums) for sums in counts.values() if sums[:, 1:].sum(axis=1).all()]
    return Parity(
        patient_dice_delta=_mean_delta(patient_dice),
        slice_dice_delta=_mean_delta(slice_dice),
        verdicts_equal=round(int(equal) / len(cases), 4),
        doubt_equal=None if card.doubt is None else round(int(equal_doubt) / len(cases), 4),
        warnings_equal=round(float(np.mean(equal_warnings)), 4) if equal_warnings else None,
        slices=len(cases),
        patients=len(counts),
    )


def describe_parity(parity: Parity) -> str:
    """Its figures in words."""
    return (
        f"of {parity.slices} slices of {parity.patients} patients {parity.verdicts_equal:.2%} of verdicts are equal,"
        f" {describe_delta(parity.patient_dice_delta)}"
    )


def describe_delta(patient_dice_delta: float | None) -> str:
    """In words; None: undefined."""
    differs = "nothing, for there is no tumor" if patient_dice_delta is None else f"{patient_dice_delta:+.4f}"
    return f"mean patient Dice differs by {differs}"


def _is_same_among_others(engine: Engine, pixels: NDArray[np.uint8], alone: NDArray[np.uint8]) -> bool:
    """Whether a slice has the same map in a stack. pixels: uint8 (H, W, 3); alone: uint8 (1, H, W), its map alone."""
    among_others = engine.infer(np.stack([pixels, pixels])).probability_u8
    return int(np.abs(among_others.astype(int) - alone).max()) <= 1


def _dice(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    """Dice of each row [intersection, predicted, truth]: 2 |A and B| / (|A| + |B|) (Dice, 1945). (2, 3) -> (2,)."""
    dice: NDArray[np.float64] = 2 * sums[:, 0] / sums[:, 1:].sum(axis=1)
    return dice


def _mean_delta(pairs: list[NDArray[np.float64]]) -> float | None:
    """Mean of served less reference over pairs, float64 (2,) each; None where there are none."""
    return round(float(np.mean([pair[0] - pair[1] for pair in pairs])), 5) if pairs else None

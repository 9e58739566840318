"""A served engine beside the reference, on slices that it was not calibrated on."""

from collections.abc import Sequence

import numpy as np

from ml.cards.card import Parity
from ml.datasets import Case
from ml.engines import Engine
from ml.masks import min_pixels_on_grid, tumor_mask


def compare_engines(served: Engine, reference: Engine, cases: Sequence[Case]) -> Parity:
    """Run both engines on every slice, with the served card's threshold and smallest component.

    Patient Dice pools a patient's slices; a patient whose pooled truth and masks are both empty has none. Slice Dice is
    the mean over slices with tumour in the truth. A delta is served less reference. Several slices at once may go
    through another form of the network: where that answers otherwise than for one alone, by more than one level of 255,
    the slice's verdict counts as unequal.
    """
    card = served.card
    # Per engine and patient: [intersection, predicted pixels, truth pixels].
    counts: dict[str, np.ndarray] = {case.patient: np.zeros((2, 3), dtype=np.int64) for case in cases}
    slice_dice: list[np.ndarray] = []
    equal_warnings: list[bool] = []
    equal = 0
    for case in cases:
        pixels, truth = case.pixels(), case.truth()
        smallest = min_pixels_on_grid(card.min_tumor_pixels, card.input.size, *truth.shape)
        found = [engine.infer(pixels[None]) for engine in (served, reference)]
        masks = [tumor_mask(item.q, card.threshold, smallest)[0] for item in found]
        if found[0].is_out_of_distribution is not None and found[1].is_out_of_distribution is not None:
            equal_warnings.append(bool(found[0].is_out_of_distribution[0] == found[1].is_out_of_distribution[0]))
        equal += _is_same_among_others(served, pixels, found[0].q) and masks[0].any() == masks[1].any()
        sums = np.array([[(mask & truth).sum(), mask.sum(), truth.sum()] for mask in masks])  # (2, 3)
        counts[case.patient] += sums
        if truth.any():
            slice_dice.append(_dice(sums))
    patient_dice = [_dice(sums) for sums in counts.values() if sums[:, 1:].sum(axis=1).all()]
    return Parity(
        patient_dice_delta=_mean_delta(patient_dice),
        slice_dice_delta=_mean_delta(slice_dice),
        verdicts_equal=round(int(equal) / len(cases), 4),
        warnings_equal=round(float(np.mean(equal_warnings)), 4) if equal_warnings else None,
        slices=len(cases),
        patients=len(counts),
    )


def _is_same_among_others(engine: Engine, pixels: np.ndarray, alone: np.ndarray) -> bool:
    """pixels: uint8 (H, W, 3); alone: uint8 (1, H, W), the engine's answer for this slice by itself."""
    among_others = engine.infer(np.stack([pixels, pixels])).q
    return int(np.abs(among_others.astype(int) - alone).max()) <= 1


def _dice(sums: np.ndarray) -> np.ndarray:
    """Dice of each row [intersection, predicted, truth]: 2 |A and B| / (|A| + |B|) (Dice, 1945). (2, 3) -> (2,)."""
    return 2 * sums[:, 0] / sums[:, 1:].sum(axis=1)


def _mean_delta(pairs: list[np.ndarray]) -> float | None:
    """Mean of (served - reference), None where there is nothing to take it from."""
    return round(float(np.mean([pair[0] - pair[1] for pair in pairs])), 5) if pairs else None

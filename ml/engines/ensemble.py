"""An ensemble: the mean of its members' logits, each member on its own grid. Never imports torch.

A cascade is an ensemble whose first member, a small network, looks at every slice, and whose other members are asked
only where it saw something, or beside that in a stack: two slices in three show no tumor.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ml.cards import Card
from ml.engines import ExactEngine, Inference
from ml.engines.context import Context
from ml.masks import threshold_level
from ml.preprocessing import quantize

# The logit of half a step below 255: what 8 bits tell apart from certainty. The ensemble's rules are chosen on maps of
# 8 bits (ml.packaging.folds), and no member overrules the others by a certainty that those do not show.
LOGIT_LIMIT = math.log(254.5 / 0.5)


class EnsembleEngine:
    """Engines whose logits are averaged. Features and checks of the input are the first member's; a slice is of the
    training if one of those that were asked was trained on it.

    Not thread-safe: one engine serves one thread at a time.
    """

    def __init__(self, card: Card, members: Sequence[ExactEngine]) -> None:
        """card: the ensemble's, whose temperature and offset are applied to the mean; members: two or more."""
        self.card = card
        self._members = tuple(members)
        # The last slices that a cascade's first member looked at, uint8 (N, H, W, 3), and what it said of them.
        self._looked: tuple[NDArray[np.uint8], Inference] | None = None
        names = {member.name for member in members}
        self.name = f"ensemble-{names.pop() if len(names) == 1 else 'mixed'}"

    def warm_up(self) -> None:
        """Run each size of input of each member once."""
        for member in self._members:
            member.warm_up()

    def probability_map(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """pixels: uint8 (N, H, W, 3). Returns round(255 p), uint8 (N, H, W), in the same grid."""
        return self.infer(pixels).probability_u8

    def infer(self, pixels: NDArray[np.uint8], context: Context | None = None) -> Inference:
        """pixels: uint8 (N, H, W, 3). Returns the same map, with the first member's features and checks.

        Of a cascade the other members are asked for the slices alone on which the first one sees something, and those
        near them by `context`; its own map is the answer for the rest.
        """
        place = context or Context.of_single(len(pixels))
        looked = self._look(pixels, is_continued=place.stop < len(pixels))
        is_seen = self._is_seen(looked.probability_u8, place)[place.asked]  # (N,), of the slices asked for
        pixels = pixels[place.asked]
        first = (
            looked if len(is_seen) == len(looked.probability_u8) else looked.take(np.arange(place.start, place.stop))
        )
        probability = _exact(first)
        others = self._members[1:] if is_seen.any() else ()
        found = [member.infer(pixels[is_seen], is_exact=True, is_checked=False) for member in others]
        probability_u8 = first.probability_u8.copy()
        if found:
            mean = clipped_logit(probability[is_seen])
            for other in found:
                mean += clipped_logit(_exact(other))
            probability_u8[is_seen] = quantize(self._scaled(mean / np.float32(len(self._members))))
        return replace(
            first,
            probability_u8=probability_u8,
            probability=None,
            is_of_training=_known_to_any(first, found, is_seen),
            is_first_look=None if self.card.cascade is None else ~is_seen,
        )

    def _look(self, pixels: NDArray[np.uint8], *, is_continued: bool) -> Inference:
        """The first member's answer for all slices, uint8 (N, H, W, 3). is_continued: another piece of the stack comes.

        Pieces of a stack overlap by the neighbors that they have on both sides; it is asked about these once. Of a
        stack that has ended nothing is kept.
        """
        first, neighbors = self._members[0], self.card.neighbors
        known = 0 if self._looked is None else _overlap(self._looked[0], pixels)
        parts = [] if known == len(pixels) > 0 else [first.infer(pixels[known:], is_exact=True)]
        if known and self._looked is not None:
            kept = self._looked[1]
            parts.insert(0, kept.take(np.arange(len(kept.probability_u8) - known, len(kept.probability_u8))))
        found = Inference.join(parts)
        last = np.arange(max(0, len(pixels) - 2 * neighbors), len(pixels))
        self._looked = (pixels[last], found.take(last)) if is_continued else None
        return found

    def _is_seen(self, probability_u8: NDArray[np.uint8], context: Context) -> NDArray[np.bool]:
        """The slices, bool (N,), that all members are asked for. probability_u8: the first one's map, (N, H, W)."""
        cascade = self.card.cascade
        if cascade is None:
            return np.ones(len(probability_u8), dtype=np.bool)
        seen = is_seen(probability_u8, cascade.limit)
        return context.spread(seen, cascade.neighbors) if cascade.neighbors else seen

    def _scaled(self, mean: NDArray[np.float32]) -> NDArray[np.float32]:
        scaling = self.card.temperature
        temperature, offset = (1.0, 0.0) if scaling is None else (scaling.temperature, scaling.offset)
        return mean_probability(mean, temperature, offset)


def _overlap(before: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> int:
    """How many of the last slices of `before` are the first ones of `pixels`. Both uint8 (N, H, W, 3)."""
    if before.shape[1:] != pixels.shape[1:]:
        return 0
    most = min(len(before), len(pixels))
    return next((count for count in range(most, 0, -1) if np.array_equal(before[-count:], pixels[:count])), 0)


def is_seen(probability_u8: NDArray[np.uint8], limit: float) -> NDArray[np.bool]:
    """The slices, bool (N,), with a probability of at least `limit` somewhere. probability_u8: uint8 (N, H, W).

    By the 8 bits that masks are made of: what is not seen has no pixel of a mask or doubt at `limit` or above.
    """
    seen: NDArray[np.bool] = probability_u8.max(axis=(1, 2)) >= threshold_level(limit)
    return seen


def clipped_logit(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """log(p / (1 - p)), within LOGIT_LIMIT of 0. float32 of any shape, p in [0, 1]."""
    inside = np.clip(probability, 0.5 / 255, 254.5 / 255)
    logits: NDArray[np.float32] = np.log(inside / (1 - inside))
    return logits


def mean_probability(mean: NDArray[np.float32], temperature: float, offset: float) -> NDArray[np.float32]:
    """The probability of a mean of clipped logits; 0 where every member says 0, which an offset must not raise."""
    probability: NDArray[np.float32] = 1 / (1 + np.exp(-(mean / np.float32(temperature) + np.float32(offset))))
    probability[mean <= -LOGIT_LIMIT + 1e-4] = 0
    return probability


def _known_to_any(first: Inference, found: Sequence[Inference], is_seen: NDArray[np.bool]) -> NDArray[np.bool] | None:
    """Slices that a member which was asked was trained on, bool (N,); None where no member can tell."""
    if first.is_of_training is None and all(other.is_of_training is None for other in found):
        return None
    known = np.zeros(len(is_seen), dtype=np.bool) if first.is_of_training is None else first.is_of_training.copy()
    for other in found:
        if other.is_of_training is not None:
            known[is_seen] |= other.is_of_training
    return known


def _exact(found: Inference) -> NDArray[np.float32]:
    if found.probability is None:
        raise ValueError("An ensemble's member was asked for its map before rounding and gave none.")
    return found.probability

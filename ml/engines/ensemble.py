"""An ensemble: the mean of its members' logits, each member on its own grid. Never imports torch.

A cascade is an ensemble whose first member, a small network, looks at every slice, and whose other members are asked
only where it saw something, or beside that in a stack: two slices in three show no tumor.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class _Looked:
    """The last slices that a cascade's first member was given, and what it said of those that it was asked for.

    pixels: uint8 (M, H, W, 3); is_joined: bool (M,), those that lie on the one before them; found: of the slices from
    `stop` - len(found) to `stop`. reach: the neighbors on either side that an answer depends on.
    """

    pixels: NDArray[np.uint8]
    is_joined: NDArray[np.bool]
    found: Inference
    stop: int
    reach: int

    @classmethod
    def last_of(cls, pixels: NDArray[np.uint8], wide: Context, found: Inference, count: int, reach: int) -> "_Looked":
        """Of the last `count` slices. found: of the slices that `wide` asks for."""
        first = max(0, len(pixels) - count)
        skipped = max(0, first - wide.start)
        kept = found.take(np.arange(min(skipped, wide.stop - wide.start), wide.stop - wide.start))
        return cls(pixels[first:], wide.is_joined[first:], kept, wide.stop - first, reach)

    def of(self, pixels: NDArray[np.uint8], wide: Context) -> Inference | None:
        """What is known of the first slices that `wide` asks for; None where that is nothing.

        pixels: uint8 (N, H, W, 3). An answer is known where the slice and all that it depends on are those of before.
        """
        overlap = self._overlap(pixels, wide)
        shift = len(self.pixels) - overlap  # of a place among `pixels` to one of before
        stop = min(wide.stop, self.stop - shift, overlap - self.reach)
        first = wide.start + shift - (self.stop - len(self.found.probability_u8))  # among `found`
        if not overlap or stop <= wide.start or first < 0 or wide.start < self.reach:
            return None
        return self.found.take(np.arange(first, first + stop - wide.start))

    def _overlap(self, pixels: NDArray[np.uint8], wide: Context) -> int:
        """How many of the last slices of before are the first ones of `pixels`."""
        if self.pixels.shape[1:] != pixels.shape[1:]:
            return 0
        most = min(len(self.pixels), len(pixels))
        return next(
            (
                count
                for count in range(most, 0, -1)
                if np.array_equal(self.pixels[-count:], pixels[:count])
                and np.array_equal(self.is_joined[-count:][1:], wide.is_joined[1:count])
            ),
            0,
        )


class EnsembleEngine:
    """Engines whose logits are averaged. Features and checks of the input are the first member's; a slice is of the
    training if one of those that were asked was trained on it.

    Not thread-safe: one engine serves one thread at a time.
    """

    def __init__(self, card: Card, members: Sequence[ExactEngine]) -> None:
        """card: the ensemble's, whose temperature and offset are applied to the mean; members: two or more."""
        self.card = card
        self._members = tuple(members)
        self._looked: _Looked | None = None
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
        wide = place if self.card.cascade is None else place.widened(self.card.cascade.neighbors)
        looked = self._look(pixels, wide, is_continued=place.stop < len(pixels))
        asked = slice(place.start - wide.start, place.stop - wide.start)  # of those that were looked at
        is_seen = self._is_seen(looked.probability_u8, wide)[asked]  # (N,), of the slices asked for
        is_all = len(is_seen) == len(looked.probability_u8)
        first = looked if is_all else looked.take(np.arange(asked.start, asked.stop))
        probability = _exact(first)
        others = self._members[1:] if is_seen.any() else ()
        found = [_ask(member, pixels, place, is_seen) for member in others]
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

    def _look(self, pixels: NDArray[np.uint8], wide: Context, *, is_continued: bool) -> Inference:
        """The first member's answer for the slices that `wide` asks for. is_continued: more of the stack comes.

        pixels: uint8 (N, H, W, 3). Pieces of a stack overlap by the neighbors that they have on both sides; it is asked
        about these once. Of a stack that has ended nothing is kept.
        """
        kept = None if self._looked is None else self._looked.of(pixels, wide)
        start = wide.start if kept is None else wide.start + len(kept.probability_u8)
        parts = [] if kept is None else [kept]
        if start < wide.stop or not parts:
            rest = Context(wide.stack_of, start, wide.stop)
            parts.append(self._members[0].infer(pixels, rest, is_exact=True))
        found = Inference.join(parts)
        self._looked = None
        if is_continued:
            card = self.card
            self._looked = _Looked.last_of(pixels, wide, found, 2 * card.neighbors, card.input.neighbors)
        return found

    def _is_seen(self, probability_u8: NDArray[np.uint8], wide: Context) -> NDArray[np.bool]:
        """The slices that all members are asked for, of those that `wide` asks for, bool (N,).

        probability_u8: the first member's map of these, (N, H, W).
        """
        cascade = self.card.cascade
        if cascade is None:
            return np.ones(len(probability_u8), dtype=np.bool)
        seen = is_seen(probability_u8, cascade.limit)
        looked_at = Context(wide.stack_of[wide.asked], 0, len(seen))
        return looked_at.spread(seen, cascade.neighbors) if cascade.neighbors else seen

    def _scaled(self, mean: NDArray[np.float32]) -> NDArray[np.float32]:
        scaling = self.card.temperature
        temperature, offset = (1.0, 0.0) if scaling is None else (scaling.temperature, scaling.offset)
        return mean_probability(mean, temperature, offset)


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


def _ask(member: ExactEngine, pixels: NDArray[np.uint8], place: Context, is_seen: NDArray[np.bool]) -> Inference:
    """What a member says of the seen ones, bool (N,), of the slices that `place` asks for; neighbors are among all."""
    if not member.card.input.neighbors:
        return member.infer(pixels[place.asked][is_seen], is_exact=True, is_checked=False)
    runs = [member.infer(pixels, run, is_exact=True, is_checked=False) for run in place.runs(is_seen)]
    return Inference.join(runs)


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

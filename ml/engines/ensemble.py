"""An ensemble: the mean of its members' logits, each member on its own grid. Never imports torch."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ml.cards import Card
from ml.engines import ExactEngine, Inference
from ml.preprocessing import quantize

# The logit of half a step below 255: what 8 bits tell apart from certainty. The ensemble's rules are chosen on maps of
# 8 bits (ml.packaging.folds), and no member overrules the others by a certainty that those do not show.
LOGIT_LIMIT = math.log(254.5 / 0.5)


class EnsembleEngine:
    """Engines whose logits are averaged. Features and checks of the input are the first member's; a slice is of the
    training if one of them was trained on it.

    Not thread-safe: one engine serves one thread at a time.
    """

    def __init__(self, card: Card, members: Sequence[ExactEngine]) -> None:
        """card: the ensemble's, whose temperature and offset are applied to the mean; members: two or more."""
        self.card = card
        self._members = tuple(members)
        names = {member.name for member in members}
        self.name = f"ensemble-{names.pop() if len(names) == 1 else 'mixed'}"

    def warm_up(self) -> None:
        """Run each size of input of each member once."""
        for member in self._members:
            member.warm_up()

    def probability_map(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """pixels: uint8 (N, H, W, 3). Returns round(255 p), uint8 (N, H, W), in the same grid."""
        return self.infer(pixels).probability_u8

    def infer(self, pixels: NDArray[np.uint8]) -> Inference:
        """pixels: uint8 (N, H, W, 3). Returns the same map, with the first member's features and checks."""
        first, *others = (member.infer(pixels, is_exact=True) for member in self._members)
        known = [found.is_of_training for found in (first, *others) if found.is_of_training is not None]
        mean = _logits(first)
        for found in others:
            mean += _logits(found)
        mean /= np.float32(len(self._members))
        scaling = self.card.temperature
        temperature, offset = (1.0, 0.0) if scaling is None else (scaling.temperature, scaling.offset)
        probability = mean_probability(mean, temperature, offset)
        return replace(
            first,
            probability_u8=quantize(probability),
            probability=None,
            is_of_training=np.logical_or.reduce(known) if known else None,
        )


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


def _logits(found: Inference) -> NDArray[np.float32]:
    if found.probability is None:
        raise ValueError("An ensemble's member was asked for its map before rounding and gave none.")
    return clipped_logit(found.probability)

"""An ensemble's members without a network: what they see is drawn into the slices' channels."""

from dataclasses import replace

import numpy as np

from ml.cards import Architecture, Card, Cascade, InputConvention
from ml.engines import Inference
from ml.engines.context import Context
from ml.engines.ensemble import EnsembleEngine

_CONVENTION = InputConvention((8, 8), ("pre-contrast", "FLAIR", "post-contrast"), (0.4,) * 3, (0.2,) * 3)
_CARD = Card("both", None, Architecture("ensemble", "a + b", 3, 1), _CONVENTION, 0.5, 0, {})


class LevelEngine:
    """A member whose probability is a channel of the slice; it counts the slices that it was asked for.

    neighbors: the largest of so many slices on either side counts, or half of the lowest and a third of the highest.
    """

    name = "drawn"

    def __init__(self, channel, known=None, neighbors=0):
        self.channel, self.known, self.asked, self.checked = channel, known, 0, 0
        self.card = replace(_CARD, input=replace(_CONVENTION, neighbors=neighbors))

    def warm_up(self):
        pass

    def infer(self, pixels, context=None, *, is_exact=False, is_checked=True):
        place = context or Context.of_single(len(pixels))
        reach = self.card.input.neighbors
        around = [place.around(index, reach) for index in range(place.start, place.stop)]
        drawn = pixels[..., self.channel]
        parts = [
            np.maximum(drawn[places].max(axis=0), drawn[places[0]] // 2 + drawn[places[-1]] // 3) for places in around
        ]
        probability_u8 = np.stack(parts) if reach else drawn[place.asked].copy()
        pixels = pixels[place.asked]
        self.asked += len(pixels)
        self.checked += len(pixels) if is_checked else 0
        exact = probability_u8.astype(np.float32) / 255 if is_exact else None
        known = None if self.known is None else np.full(len(pixels), self.known)
        return Inference(probability_u8, features=np.ones((len(pixels), 2)), probability=exact, is_of_training=known)


def cascade_of(limit, *members, neighbors=0):
    """An ensemble of these that asks the first one first; limit None: that asks all of them always."""
    cascade = None if limit is None else Cascade(limit, neighbors)
    reach = max(member.card.input.neighbors for member in members)
    card = replace(_CARD, cascade=cascade, input=replace(_CONVENTION, neighbors=reach))
    return EnsembleEngine(card, members)


def slices_with(*levels):
    """Slices (N, 8, 8, 3): in the first channel one pixel of each level, in the second 200 everywhere."""
    pixels = np.zeros((len(levels), 8, 8, 3), dtype=np.uint8)
    pixels[..., 1] = 200
    pixels[:, 3, 4, 0] = levels
    return pixels

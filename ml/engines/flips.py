"""Test-time augmentation: an engine asked four times, on the slice and its mirror images. Never imports torch."""

from dataclasses import replace

import numpy as np

from ml.cards import Card
from ml.engines import Engine, Inference

# Axes of (N, H, W) to mirror beside the slice as it is: left and right, top and bottom, both.
_FLIPS: tuple[tuple[int, ...], ...] = ((2,), (1,), (1, 2))


class FlippedEngine:
    """Wraps an engine; its probability is the mean over the four flips, each turned back. Four times as slow."""

    def __init__(self, engine: Engine) -> None:
        self.name = engine.name
        self.card: Card = engine.card
        self._engine = engine

    def warm_up(self) -> None:
        """Run once on a black slice."""
        self._engine.warm_up()

    def probability_map(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: uint8 (N, H, W, 3). Returns q = round(mean of the four q), uint8 (N, H, W), in the same grid."""
        return self.infer(pixels).q

    def infer(self, pixels: np.ndarray) -> Inference:
        """pixels: uint8 (N, H, W, 3). The mean of the four q; features are those of the slice as it is."""
        plain = self._engine.infer(pixels)
        total = plain.q.astype(np.uint16)
        for axes in _FLIPS:
            flipped = np.ascontiguousarray(np.flip(pixels, axes))
            total += np.flip(self._engine.probability_map(flipped), axes)
        return replace(plain, q=np.rint(total / (1 + len(_FLIPS))).astype(np.uint8))

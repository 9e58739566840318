"""A scan as if FLAIR alone had been taken, in front of any engine. Never imports torch."""

import numpy as np

from ml.cards import Card
from ml.engines import Engine, Inference

_FLAIR = 1  # of pre-contrast, FLAIR, post-contrast


class GreyEngine:
    """Wraps an engine: it sees FLAIR in all three planes, as a grey scan is read. How much a model needs the others."""

    def __init__(self, engine: Engine) -> None:
        self.name = engine.name
        self.card: Card = engine.card
        self._engine = engine

    def warm_up(self) -> None:
        """Run once on a black slice."""
        self._engine.warm_up()

    def probability_map(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: uint8 (N, H, W, 3). Returns q = round(255 p), uint8 (N, H, W), in the same grid."""
        return self.infer(pixels).q

    def infer(self, pixels: np.ndarray) -> Inference:
        """pixels: uint8 (N, H, W, 3). Returns q, and what the input check says of FLAIR alone."""
        return self._engine.infer(np.repeat(pixels[..., _FLAIR, None], pixels.shape[3], axis=3))

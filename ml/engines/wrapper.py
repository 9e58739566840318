"""What engines that stand in front of another engine have in common. Never imports torch."""

import numpy as np

from ml.cards.card import Card
from ml.engines import Engine, Inference


class EngineWrapper:
    """An engine with the name and the card of the one behind it, which `infer` asks."""

    def __init__(self, engine: Engine) -> None:
        self.name = engine.name
        self.card: Card = engine.card
        self._engine = engine

    def warm_up(self) -> None:
        """Run once on a black slice."""
        self._engine.warm_up()

    def probability_map(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: uint8 (N, H, W, 3). Returns q of `infer`, uint8 (N, H, W), in the same grid."""
        return self.infer(pixels).q

    def infer(self, pixels: np.ndarray) -> Inference:
        """pixels: uint8 (N, H, W, 3). What the wrapped engine says of something made of them."""
        raise NotImplementedError

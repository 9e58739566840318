"""Base class of engines that wrap another engine. Never imports torch."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from ml.cards import Card
from ml.engines import Engine, Inference
from ml.engines.context import Context


class EngineWrapper(ABC):
    """Has the name and the card of the engine that it wraps; a subclass says in `infer` what that engine is given."""

    def __init__(self, engine: Engine) -> None:
        self.name = engine.name
        self.card: Card = engine.card
        self._engine = engine

    def warm_up(self) -> None:
        """Run each size of input once."""
        self._engine.warm_up()

    def probability_map(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """pixels: uint8 (N, H, W, 3). Returns the map of `infer`, uint8 (N, H, W), in the same grid."""
        return self.infer(pixels).probability_u8

    @abstractmethod
    def infer(self, pixels: NDArray[np.uint8], context: Context | None = None) -> Inference:
        """pixels: uint8 (N, H, W, 3); context: where they lie, and which of them are asked for."""

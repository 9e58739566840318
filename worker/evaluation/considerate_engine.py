"""An engine that lets more urgent jobs go first between a few slices: a group takes it half a second and more."""

import os

import numpy as np
from numpy.typing import NDArray

from ml.engines import Engine, Inference
from ml.engines.context import Context
from ml.engines.wrapper import EngineWrapper
from worker.jobs.step import StepAside

# Each core does so many slices in a row: less would leave some of them without work between two pieces.
ROUNDS = 2


class ConsiderateEngine(EngineWrapper):
    """The same answers as the engine's own, a few slices at a time. threads: of one prediction; None for every core."""

    def __init__(self, engine: Engine, step_aside: StepAside, threads: int | None) -> None:
        super().__init__(engine)
        self._step_aside = step_aside
        self._at_once = ROUNDS * (threads or len(os.sched_getaffinity(0)))

    def infer(self, pixels: NDArray[np.uint8], context: Context | None = None) -> Inference:
        """pixels: uint8 (N, H, W, 3), one of them asked for or more. Returns the map with the checks of the input."""
        whole = context or Context.of_single(len(pixels))
        parts = []
        for given, of_piece in whole.pieces(self._at_once, self.card.neighbors):
            self._step_aside()
            parts.append(self._engine.infer(pixels[given], of_piece))
        return Inference.join(parts)

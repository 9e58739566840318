"""An engine that lets more urgent jobs go first between a few slices: a group takes it half a second and more."""

import os

import numpy as np
from numpy.typing import NDArray

from ml.engines import Engine, Inference
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

    def infer(self, pixels: NDArray[np.uint8]) -> Inference:
        """pixels: uint8 (N, H, W, 3), N >= 1. Returns the map with the checks of the input."""
        parts = []
        for start in range(0, len(pixels), self._at_once):
            self._step_aside()
            parts.append(self._engine.infer(pixels[start : start + self._at_once]))
        return Inference.join(parts)

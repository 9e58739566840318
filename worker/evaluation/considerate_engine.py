"""An engine that lets more urgent jobs go first between a few slices: a group takes it half a second and more."""

import os
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.cards import Card
from ml.engines import Engine, Inference
from ml.ood.sequences import SequenceEvidence, join
from worker.jobs.step import StepAside

# Each core does so many slices in a row: less would leave some of them without work between two pieces.
ROUNDS = 2


class ConsiderateEngine:
    """The same answers as the engine's own, a few slices at a time. threads: of one prediction; None for every core."""

    def __init__(self, engine: Engine, step_aside: StepAside, threads: int | None) -> None:
        self._engine = engine
        self._step_aside = step_aside
        self._at_once = ROUNDS * (threads or len(os.sched_getaffinity(0)))
        self.name: str = engine.name
        self.card: Card = engine.card

    def warm_up(self) -> None:
        """Run each size of input once."""
        self._engine.warm_up()

    def probability_map(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """pixels: uint8 (N, H, W, 3). Returns round(255 p), uint8 (N, H, W), in the same grid."""
        return self.infer(pixels).probability_u8

    def infer(self, pixels: NDArray[np.uint8]) -> Inference:
        """pixels: uint8 (N, H, W, 3). Returns the map with the checks of the input."""
        parts = []
        for start in range(0, len(pixels), self._at_once):
            self._step_aside()
            parts.append(self._engine.infer(pixels[start : start + self._at_once]))
        return (
            parts[0]
            if len(parts) == 1
            else Inference(**{field.name: _joined(parts, field.name) for field in fields(Inference)})
        )


def _joined(parts: list[Inference], name: str) -> Any:
    """One field of the answers, over all slices; None where a part has none."""
    values = [getattr(part, name) for part in parts]
    if any(value is None for value in values):
        return None
    return join(values) if isinstance(values[0], SequenceEvidence) else np.concatenate(values)

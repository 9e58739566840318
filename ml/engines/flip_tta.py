"""Test-time augmentation by flips: the mean over the slice and its mirror images. Never imports torch."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ml.engines import Inference
from ml.engines.context import Context
from ml.engines.wrapper import EngineWrapper

# Axes of (N, H, W) that are mirrored: left and right, top and bottom, both.
_FLIPS: tuple[tuple[int, ...], ...] = ((2,), (1,), (1, 2))


class FlipTtaEngine(EngineWrapper):
    """Wraps an engine; the probability is the mean over four passes, each flipped back. Takes four times as long."""

    def infer(self, pixels: NDArray[np.uint8], context: Context | None = None) -> Inference:
        """pixels: uint8 (N, H, W, 3). Returns the mean of the four maps; features are those of the unflipped slice."""
        plain = self._engine.infer(pixels, context)
        total = plain.probability_u8.astype(np.uint16)
        for axes in _FLIPS:
            flipped = np.ascontiguousarray(np.flip(pixels, axes))
            total += np.flip(self._engine.infer(flipped, context).probability_u8, axes)
        return replace(plain, probability_u8=np.rint(total / (1 + len(_FLIPS))).astype(np.uint8))

"""Test-time augmentation: an engine asked four times, on the slice and its mirror images. Never imports torch."""

from dataclasses import replace

import numpy as np

from ml.engines import Inference
from ml.engines.wrapper import EngineWrapper

# Axes of (N, H, W) to mirror beside the slice as it is: left and right, top and bottom, both.
_FLIPS: tuple[tuple[int, ...], ...] = ((2,), (1,), (1, 2))


class FlipTtaEngine(EngineWrapper):
    """Wraps an engine; its probability is the mean over the four flips, each turned back. Four times as slow."""

    def infer(self, pixels: np.ndarray) -> Inference:
        """pixels: uint8 (N, H, W, 3). The mean of the four q; features are those of the slice as it is."""
        plain = self._engine.infer(pixels)
        total = plain.q.astype(np.uint16)
        for axes in _FLIPS:
            flipped = np.ascontiguousarray(np.flip(pixels, axes))
            total += np.flip(self._engine.probability_map(flipped), axes)
        return replace(plain, q=np.rint(total / (1 + len(_FLIPS))).astype(np.uint8))

"""Inference from FLAIR alone: how much a model depends on the other two sequences. Never imports torch."""

import numpy as np
from numpy.typing import NDArray

from ml.engines import Inference
from ml.engines.context import Context
from ml.engines.wrapper import EngineWrapper

_FLAIR = 1  # of pre-contrast, FLAIR, post-contrast


class FlairOnlyEngine(EngineWrapper):
    """Wraps an engine that then sees FLAIR in all three channels, as for a gray scan."""

    def infer(self, pixels: NDArray[np.uint8], context: Context | None = None) -> Inference:
        """pixels: uint8 (N, H, W, 3). Returns the engine's answer for FLAIR alone."""
        flair = np.repeat(pixels[..., _FLAIR, None], pixels.shape[3], axis=3)  # (N, H, W, 3)
        return self._engine.infer(flair, context)

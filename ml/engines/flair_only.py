"""A scan as if FLAIR alone had been taken, in front of any engine. Never imports torch."""

import numpy as np

from ml.engines import Inference
from ml.engines.wrapper import EngineWrapper

_FLAIR = 1  # of pre-contrast, FLAIR, post-contrast


class FlairOnlyEngine(EngineWrapper):
    """Wraps an engine: it sees FLAIR in all three planes, as a grey scan is read. How much a model needs the others."""

    def infer(self, pixels: np.ndarray) -> Inference:
        """pixels: uint8 (N, H, W, 3). Returns q, and what the input check says of FLAIR alone."""
        return self._engine.infer(np.repeat(pixels[..., _FLAIR, None], pixels.shape[3], axis=3))

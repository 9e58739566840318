"""Extremes over the channels of a slice. NumPy alone, since web processes ask as well.

`pixels.max(axis=-1)` takes ten times as long: NumPy's loops are fast along long axes only.
"""

import numpy as np
from numpy.typing import NDArray


def brightest_channel(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest value of each pixel, uint8 (..., 3) -> uint8 (...)."""
    largest: NDArray[np.uint8] = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    return largest


def channel_ranges(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Largest less smallest value of each channel of each slice, uint8 (N, H, W, 3) -> int16 (N, 3)."""
    count, height, width, channels = pixels.shape
    rows = pixels.reshape(count, height, width * channels)
    highest, lowest = (  # (N, W * 3) -> (N, 3)
        ends.reshape(count, width, channels) for ends in (rows.max(axis=1), rows.min(axis=1))
    )
    spread: NDArray[np.int16] = highest.max(axis=1).astype(np.int16) - lowest.min(axis=1)
    return spread

"""What a model got wrong, drawn on the slice: red missed, green extra, yellow correct. Pillow and NumPy only."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.masks import outline
from ml.rendering.panels import DEFAULT_OPACITY

MISSED, EXTRA, CORRECT = (0xFF, 0x4D, 0x6A), (0x3F, 0xD6, 0x9B), (0xFF, 0xD2, 0x4D)
# In words, for a legend: color alone tells nothing to many readers.
LEGEND: tuple[tuple[str, tuple[int, int, int]], ...] = (("missed", MISSED), ("extra", EXTRA), ("correct", CORRECT))


def error_overlay_image(
    pixels: NDArray[np.uint8], truth: NDArray[np.bool], mask: NDArray[np.bool], opacity: float = DEFAULT_OPACITY
) -> Image.Image:
    """The three kinds of pixels in their colors over the scan, each kind's outline in its full color.

    pixels: uint8 (H, W, 3); truth, mask: bool (H, W); opacity: 0 (outlines only) to 1.
    """
    blended = pixels.copy()
    for kind, color in ((truth & ~mask, MISSED), (mask & ~truth, EXTRA), (truth & mask, CORRECT)):
        inside = pixels[kind]  # (pixels of the kind, 3)
        blended[kind] = np.rint(inside + opacity * (np.array(color) - inside)).astype(np.uint8)
        blended[outline(kind)] = color
    return Image.fromarray(blended)

"""What a model got wrong, drawn on the slice: red missed, green extra, yellow correct. Pillow and NumPy only."""

import numpy as np
from PIL import Image

from ml.masks import outline
from ml.rendering.panels import DEFAULT_OPACITY

MISSED, EXTRA, CORRECT = (0xFF, 0x4D, 0x6A), (0x3F, 0xD6, 0x9B), (0xFF, 0xD2, 0x4D)
# In words, for a legend: colour alone tells nothing to many readers.
LEGEND: tuple[tuple[str, tuple[int, int, int]], ...] = (("missed", MISSED), ("extra", EXTRA), ("correct", CORRECT))


def error_overlay_image(
    pixels: np.ndarray, truth: np.ndarray, mask: np.ndarray, opacity: float = DEFAULT_OPACITY
) -> Image.Image:
    """The three kinds of pixels in their colours over the scan, each kind's outline in its full colour.

    pixels: uint8 (H, W, 3); truth, mask: bool (H, W); opacity: 0 (outlines only) to 1.
    """
    blended = pixels.copy()
    for kind, colour in ((truth & ~mask, MISSED), (mask & ~truth, EXTRA), (truth & mask, CORRECT)):
        inside = pixels[kind]  # (pixels of the kind, 3)
        blended[kind] = np.rint(inside + opacity * (np.array(colour) - inside)).astype(np.uint8)
        blended[outline(kind)] = colour
    return Image.fromarray(blended)

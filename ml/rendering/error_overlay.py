"""What a model got wrong, drawn on the slice: red missed, green extra, yellow correct. Pillow and NumPy only.

To one man in twelve red and green are one color: the palette for them is orange, blue and white, and what is missed is
hatched upward, what is extra downward.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.masks import outline
from ml.rendering.panels import DEFAULT_OPACITY

Color = tuple[int, int, int]


class Palette(StrEnum):
    """Which colors errors are drawn in."""

    STANDARD = "standard"
    COLOR_BLIND = "color-blind"


@dataclass(frozen=True)
class ErrorColors:
    """The colors of the three kinds of pixels."""

    missed: Color
    extra: Color
    correct: Color
    is_hatched: bool = False


COLORS = {
    Palette.STANDARD: ErrorColors((0xFF, 0x4D, 0x6A), (0x3F, 0xD6, 0x9B), (0xFF, 0xD2, 0x4D)),
    # Far apart in blue and yellow, which all but one reader in 10,000 see.
    Palette.COLOR_BLIND: ErrorColors((0xE6, 0x7A, 0x00), (0x3D, 0x8B, 0xFF), (0xF2, 0xF2, 0xF2), is_hatched=True),
}
MISSED, EXTRA, CORRECT = (getattr(COLORS[Palette.STANDARD], kind) for kind in ("missed", "extra", "correct"))
# In words, for a legend: color alone tells nothing to many readers.
LEGEND: tuple[tuple[str, Color], ...] = (("missed", MISSED), ("extra", EXTRA), ("correct", CORRECT))
# Pixels from one line of the hatching to the next.
HATCH_PIXELS = 4


def error_overlay_image(
    pixels: NDArray[np.uint8],
    truth: NDArray[np.bool],
    mask: NDArray[np.bool],
    opacity: float = DEFAULT_OPACITY,
    palette: Palette = Palette.STANDARD,
    channel: int | None = None,
) -> Image.Image:
    """The three kinds of pixels in their colors over the scan, each kind's outline in its full color.

    pixels: uint8 (H, W, 3); truth, mask: bool (H, W); opacity: 0 (outlines only) to 1. channel: of the scan that lies
    under them in gray, 0 to 2; None: all three as they are, and false colors hide those of the errors.
    """
    colors = COLORS[palette]
    if channel is not None:
        pixels = np.repeat(pixels[..., channel, None], 3, axis=-1)
    rows, columns = np.ogrid[: truth.shape[0], : truth.shape[1]]
    blended = pixels.copy()
    for kind, color, slope in (
        (truth & ~mask, colors.missed, 1),
        (mask & ~truth, colors.extra, -1),
        (truth & mask, colors.correct, 0),
    ):
        inside = pixels[kind]  # (pixels of the kind, 3)
        blended[kind] = np.rint(inside + opacity * (np.array(color) - inside)).astype(np.uint8)
        if colors.is_hatched and slope:
            blended[kind & ((columns + slope * rows) % HATCH_PIXELS == 0)] = color
        blended[outline(kind)] = color
    return Image.fromarray(blended)

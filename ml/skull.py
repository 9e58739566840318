"""A rim around the brain of a skull-stripped volume, in what the network sees and nowhere else.

The networks were trained on whole heads, and take the bare edge of a brain for scalp: of the tumors of two such volumes
they mark a fifth. With a rim where scalp was they see what they know (docs/models.md has the figures). Its gap, width
and brightness hardly matter. Never imports torch.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ml.engines import Engine, Inference
from ml.ood.sequences import SEQUENCE_UNCHECKED

# Of 255: twice the median that the head is brought to (ml.scans.readers.head_window).
BRIGHTNESS = 120
# Shares of the slice's longer side: 4 and 6 pixels of 240.
_GAP, _WIDTH = 1 / 60, 1 / 40
_BLACK = 5


def infer_stripped(engine: Engine, pixels: NDArray[np.uint8]) -> Inference:
    """The model's answer for slices of a brain without its skull, uint8 (N, H, W, 3).

    The sequence check, which was fitted on whole heads, is not asked: it took FLAIR and T1 alike for T1.
    """
    return replace(engine.infer(draw_rim(pixels)), sequences=None)


def stripped_warnings(engine: Engine, is_flair: bool | None) -> tuple[str, ...]:
    """What else is said of such a scan. is_flair: of its file; None where that does not tell."""
    is_unknown = is_flair is None and engine.card.input.flair_channel is not None
    return (SEQUENCE_UNCHECKED,) if is_unknown else ()


def draw_rim(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy with a rim in all channels around what each slice shows. pixels: uint8 (N, H, W, 3)."""
    from scipy import ndimage  # costs 0.1 s and 20 MB: a web process draws none

    drawn = pixels.copy()
    longer = max(pixels.shape[1:3])
    for plane in drawn:
        is_lit = plane.max(axis=-1) > _BLACK
        if not is_lit.any():
            continue
        distance = ndimage.distance_transform_edt(~ndimage.binary_fill_holes(is_lit))
        plane[(distance > _GAP * longer) & (distance <= (_GAP + _WIDTH) * longer)] = BRIGHTNESS
    return drawn

"""A rim around the brain of a skull-stripped volume, in what the network sees and nowhere else.

The networks were trained on whole heads, and take the bare edge of a brain for scalp: of the tumors of two such volumes
they mark a fifth. With a rim where scalp was they see what they know (docs/models.md has the figures). Its gap, width
and brightness hardly matter. Never imports torch.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ml.channels import brightest_channel
from ml.engines import Engine, Inference
from ml.ood.sequences import SEQUENCE_UNCHECKED

# Of 255: twice the median that the head is brought to (ml.scans.readers.head_window).
BRIGHTNESS = 120
# Shares of the slice's longer side: 4 and 6 pixels of 240.
_GAP, _WIDTH = 1 / 60, 1 / 40
_BLACK = 5
# Of the side of BraTS' slices (240) the length of a brain takes so much.
_BRAIN_SHARE = 0.7


def infer_stripped(engine: Engine, pixels: NDArray[np.uint8]) -> Inference:
    """The model's answer for slices of a brain without its skull, uint8 (N, H, W, 3).

    The sequence check, which was fitted on whole heads, is not asked: it took FLAIR and T1 alike for T1. Of a cascade
    all members are asked on every slice, as if none had neighbors: its limit was chosen on whole heads, too.
    """
    lacks_room = np.array([_lacks_room(plane) for plane in pixels])
    if not lacks_room.any():
        return replace(engine.infer(draw_rim(pixels)), sequences=None)
    # Each slice by itself, so that no result depends on which slices are asked for together.
    down, right = _margins(*pixels.shape[1:3])
    framed = np.pad(pixels[lacks_room], ((0, 0), (down, down), (right, right), (0, 0)))
    found = engine.infer(draw_rim(framed))
    own = np.s_[:, down : down + pixels.shape[1], right : right + pixels.shape[2]]
    probability = None if found.probability is None else found.probability[own]
    cut = replace(found, probability_u8=found.probability_u8[own], probability=probability, sequences=None)
    if lacks_room.all():
        return replace(cut, probability_u8=np.ascontiguousarray(cut.probability_u8))
    rest = replace(engine.infer(draw_rim(pixels[~lacks_room])), sequences=None)
    asked = np.concatenate([np.flatnonzero(lacks_room), np.flatnonzero(~lacks_room)])
    return Inference.join([cut, rest]).take(np.argsort(asked))


def _lacks_room(plane: NDArray[np.uint8]) -> bool:
    """Whether a rim does not fit around what a slice shows, uint8 (H, W, 3): the volume was cropped to the brain."""
    is_lit = brightest_channel(plane) > _BLACK
    rows, columns = np.flatnonzero(is_lit.any(axis=1)), np.flatnonzero(is_lit.any(axis=0))
    if not rows.size:
        return False
    height, width = is_lit.shape
    room = min(rows[0], columns[0], height - 1 - rows[-1], width - 1 - columns[-1])
    return bool(room < (_GAP + _WIDTH) * max(height, width))


def _margins(height: int, width: int) -> tuple[int, int]:
    """Black rows and columns to put on each side of slices that were cropped to the brain: the network sees it at the
    size that it has in a whole picture."""
    side = round(max(height, width) / _BRAIN_SHARE)
    return (side - height + 1) // 2, (side - width + 1) // 2


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
        is_lit = brightest_channel(plane) > _BLACK
        if not is_lit.any():
            continue
        distance = ndimage.distance_transform_edt(~ndimage.binary_fill_holes(is_lit))
        plane[(distance > _GAP * longer) & (distance <= (_GAP + _WIDTH) * longer)] = BRIGHTNESS
    return drawn

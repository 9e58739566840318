"""Does a picture show its subject on a dark ground, as a slice of MRI shows a head? By its margin; nothing is learned.

Never imports torch.
"""

import numpy as np
from numpy.typing import NDArray

from ml.channels import brightest_channel

# The warning's code in the API, in a segmentation's `warnings` and in predictions.csv. It is given only beside
# `unlike_training_data`, for air may be bright in a slice whose gray levels were stretched.
BRIGHT_BACKGROUND = "bright_background"
# The margin's width, of the shorter side; gray levels of 255 below which it is dark; the share of it that has to be.
# Set by hand; docs/models.md says what they give.
_WIDTH = 0.04
_DARK_BELOW = 48
_LEAST_DARK = 0.3
# A row or column shows something where a greater share of it is brighter than that; a picture is looked at from the
# first to the last of them, for a photograph in a black frame is one all the same. No less than so many are cut to.
_BLACK, _LEAST_SHOWN, _MIN_SIDE = 24, 0.02, 16


def has_bright_background(pixels: NDArray[np.uint8]) -> NDArray[np.bool]:
    """uint8 (N, H, W, 3) -> bool (N,): pictures whose margin is bright, or full of what they show; without a frame."""
    return np.array([_dark_share(_without_frame(plane)) < _LEAST_DARK for plane in pixels], dtype=np.bool)


def _without_frame(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What a picture shows, cut out of the black around it. plane: uint8 (H, W, 3)."""
    is_lit = brightest_channel(plane) > _BLACK
    rows, columns = (np.flatnonzero(is_lit.mean(axis=axis) > _LEAST_SHOWN) for axis in (1, 0))
    if len(rows) < _MIN_SIDE or len(columns) < _MIN_SIDE:
        return plane
    return plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _dark_share(plane: NDArray[np.uint8]) -> float:
    """The share of the margin that is dark. plane: uint8 (H, W, 3)."""
    height, width = plane.shape[:2]
    thick = max(1, round(_WIDTH * min(height, width)))
    sides = (plane[:thick], plane[-thick:], plane[thick:-thick, :thick], plane[thick:-thick, -thick:])
    dark = sum(int(np.count_nonzero(brightest_channel(side) < _DARK_BELOW)) for side in sides)
    return dark / sum(side[..., 0].size for side in sides)

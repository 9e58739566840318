"""Which pixels show the head: what a share "of the head" is a share of.

The rule, per slice of a stack:

1. a pixel's gray value is that of its brightest channel;
2. it is lit where that is above 12 % of the stack's 95th percentile of all values above 2, and above 2;
3. what lit pixels enclose is taken in: skull, fluid, whatever else is dark;
4. the largest 8-connected region is the head, unless it takes less than 1 % of the slice.

It is an estimate: eyes, neck and a bright background count where they are joined to the head. Never imports torch.
"""

import numpy as np
from numpy.typing import NDArray

from ml.masks import label_regions

_BLACK = 2
# As in ml.ood.head_contrast, which finds the head for the input check by the same level.
_LIT_SHARE, _PERCENTILE = 0.12, 95
_LEAST_SHARE = 0.01


def head_mask(pixels: NDArray[np.uint8]) -> NDArray[np.bool]:
    """Which pixels show the head: bool (N, H, W). pixels: uint8 (N, H, W, 3), a stack or a single slice."""
    level = _lit_level(pixels)
    return np.stack([_head_of(_brightest(plane) > level) for plane in pixels])


def _brightest(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The brightest channel of each pixel. plane: uint8 (H, W, 3)."""
    red, green, blue = np.moveaxis(np.asarray(plane), -1, 0)
    brightest: NDArray[np.uint8] = np.maximum(np.maximum(red, green), blue)
    return brightest


def _lit_level(pixels: NDArray[np.uint8]) -> float:
    """The gray value above which a pixel is lit, counted slice by slice: a stack may be larger than the memory."""
    counts = np.zeros(256, dtype=np.int64)
    for plane in pixels:
        counts += np.bincount(_brightest(plane).ravel(), minlength=256)
    counts[: _BLACK + 1] = 0
    if not counts.any():
        return 255.0
    percentile = int(np.searchsorted(counts.cumsum(), counts.sum() * _PERCENTILE / 100))
    return max(float(_BLACK), _LIT_SHARE * percentile)


def _head_of(is_lit: NDArray[np.bool]) -> NDArray[np.bool]:
    """The largest region, with what is enclosed. is_lit: bool (H, W)."""
    from scipy import ndimage  # costs 0.1 s and 20 MB: only a worker looks for heads

    # What is not connected to the frame around the slice is lit or enclosed.
    dark, _ = ndimage.label(np.pad(~is_lit, 1, constant_values=True))
    regions, count = label_regions((dark != dark[0, 0])[1:-1, 1:-1])
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    sizes[0] = 0
    if sizes.max() < _LEAST_SHARE * is_lit.size:
        return np.zeros_like(is_lit)
    is_head: NDArray[np.bool] = regions == sizes.argmax()
    return is_head

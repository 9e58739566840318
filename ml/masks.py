"""The mask rule, written once: what of a probability map is tumor, what is in doubt, and what is not counted.

The portal, the evaluation and (in JavaScript, by the same arithmetic) the browser's preview use this one rule:

1. pixels whose 8-bit probability, round(255 p), is at least `threshold_level(threshold)` are candidates;
2. per slice, 8-connected components of candidates with fewer than `min_tumor_pixels` pixels are dropped;
3. in a stack, where the card has a depth rule, 26-connected components that are small beside the largest are dropped;
4. what is left is the mask. Where the card has a doubt rule, a component at its lower threshold that has at least its
   number of pixels, and none of the mask, is a region in doubt;
5. candidates that are neither in the mask nor in doubt were seen and are not counted.

This module never imports torch; SciPy is imported when the first component is labeled.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.cards import Card, DepthRule, DoubtRule
from ml.preprocessing import letterbox

# 255 * (k / 255) is not always k in floating point, and a ceiling would then lift the level by one. Thresholds differ
# by far more than this, so what is this close to a whole level is that level.
_LEVEL_TOLERANCE = 1e-6


# Row and column.
Pixel = tuple[int, int]


@dataclass(frozen=True)
class MaskRule:
    """The rule for one grid: numbers of pixels are of this grid, not of the model's.

    threshold: 0 to 1. doubt, depth: None where the model has no such rule.
    """

    threshold: float
    min_tumor_pixels: int = 0
    doubt: DoubtRule | None = None
    depth: DepthRule | None = None

    @property
    def doubt_level(self) -> int:
        """The smallest 8-bit probability of a region in doubt: never above the mask's own. Without doubt rule: 256."""
        return 256 if self.doubt is None else threshold_level(min(self.doubt.threshold, self.threshold))


@dataclass(frozen=True)
class Masks:
    """What the rule makes of a map, bool (N, H, W) each.

    tumor: the mask; doubtful: the regions in doubt; uncounted: what reaches the threshold and is in neither.
    dropped: per slice one pixel, (row, column), of each component that the depth rule dropped from the mask; with these
    `slice_masks` makes the masks of a slice without its neighbors.
    """

    tumor: NDArray[np.bool]
    doubtful: NDArray[np.bool]
    uncounted: NDArray[np.bool]
    dropped: tuple[tuple[Pixel, ...], ...]

    def of_slice(self, index: int) -> "Masks":
        """The masks of one slice, (1, H, W) each."""
        one = slice(index, index + 1)
        return Masks(self.tumor[one], self.doubtful[one], self.uncounted[one], self.dropped[one])


def threshold_level(threshold: float) -> int:
    """The smallest 8-bit probability that counts as tumor: ceil(255 * threshold), clamped to 1..255.

    The clamp to 1 gives a threshold of 0 a meaning: every pixel with any probability at all, and never the whole image.
    A threshold of 1 asks for 255. Raises ValueError outside [0, 1] and for NaN.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}; it is a probability: give a number from 0 to 1.")
    return max(1, math.ceil(255 * threshold - _LEVEL_TOLERANCE))


def min_pixels_on_grid(min_tumor_pixels: int, model_size: tuple[int, int], height: int, width: int) -> int:
    """The card's smallest component, given in pixels of the model's grid, in pixels of a height x width scan.

    Scaled by area as the letterbox scales it, rounded, and at least 1 where the card has at least 1.
    """
    if min_tumor_pixels <= 0:
        return 0
    box = letterbox(height, width, model_size)
    return max(1, round(min_tumor_pixels * (height * width) / (box.height * box.width)))


def rule_on_grid(card: Card, threshold: float, height: int, width: int) -> MaskRule:
    """The card's rule, with a threshold that may be another, for slices of this size."""

    def scaled(pixels: int) -> int:
        return min_pixels_on_grid(pixels, card.input.size, height, width)

    doubt = None if card.doubt is None else DoubtRule(card.doubt.threshold, scaled(card.doubt.min_pixels))
    return MaskRule(threshold, scaled(card.min_tumor_pixels), doubt, card.depth)


def apply_rule(probability_u8: NDArray[np.uint8], rule: MaskRule, *, is_stack: bool) -> Masks:
    """The whole rule, for round(255 p), uint8 (N, H, W).

    is_stack: whether the slices lie on each other, in order; the depth rule is for stacks alone.
    """
    tumor = tumor_mask(probability_u8, rule.threshold, rule.min_tumor_pixels)
    dropped: tuple[tuple[Pixel, ...], ...] = ((),) * len(tumor)
    if is_stack and rule.depth is not None and len(tumor) > 1:
        dropped = _drop_minor_components(tumor, rule.depth.min_share)
    return _masks(probability_u8, tumor, rule, dropped)


def slice_masks(probability_u8: NDArray[np.uint8], rule: MaskRule, dropped: Sequence[Sequence[int]] = ()) -> Masks:
    """The masks of one slice of a stack, round(255 p), uint8 (1, H, W), as the whole stack's rule made them.

    dropped: a pixel of each component that the depth rule dropped there.
    """
    tumor = tumor_mask(probability_u8, rule.threshold, rule.min_tumor_pixels)
    if dropped:
        labels, _ = label_regions(tumor[0])
        rows, columns = np.array(dropped).T
        tumor[0] &= ~np.isin(labels, labels[rows, columns])
    pixels = tuple((row, column) for row, column in dropped)
    return _masks(probability_u8, tumor, rule, (pixels,))


def stored_rule(threshold: float, min_tumor_pixels: int | None, doubt_rule: Mapping[str, Any] | None) -> MaskRule:
    """The rule for single slices that a row tells: numbers of pixels are of the row's own grid."""
    return MaskRule(threshold, min_tumor_pixels or 0, None if doubt_rule is None else DoubtRule(**doubt_rule))


def tumor_mask(probability_u8: NDArray[np.uint8], threshold: float, min_tumor_pixels: int) -> NDArray[np.bool]:
    """Steps 1 and 2 for round(255 p), uint8 (N, H, W). `min_tumor_pixels`: of this grid. Returns bool (N, H, W)."""
    mask: NDArray[np.bool] = probability_u8 >= threshold_level(threshold)
    if min_tumor_pixels <= 1:
        return mask
    for index in range(len(mask)):
        candidates = int(np.count_nonzero(mask[index]))
        if candidates:
            _drop_small_components(mask[index], candidates, min_tumor_pixels)
    return mask


def verdict_level(probability_u8: NDArray[np.uint8], min_tumor_pixels: int) -> int:
    """The highest 8-bit level at which the slice, uint8 (H, W), still has a component of that many pixels; or 0.

    It is the score of the slice's verdict: the mask has a pixel exactly at the thresholds whose level is not above it.
    """
    if min_tumor_pixels <= 1:
        return int(probability_u8.max())
    # Fewer candidates at a higher level, so their components only shrink: a binary search finds the last one, and looks
    # no further than the window of the components that it saw last.
    lowest, highest = 0, _level_of_rank(probability_u8, min_tumor_pixels)
    window = probability_u8
    while lowest < highest:
        middle = (lowest + highest + 1) // 2
        candidates: NDArray[np.bool] = window >= middle
        _drop_small_components(candidates, int(np.count_nonzero(candidates)), min_tumor_pixels)
        if candidates.any():
            lowest, window = middle, window[window_of(candidates)]
        else:
            highest = middle - 1
    return lowest


def outline(mask: NDArray[np.bool]) -> NDArray[np.bool]:
    """The mask's pixels that have a 4-neighbor outside it; the image's edge counts as outside. bool (H, W), both."""
    core = np.zeros_like(mask)  # pixels whose four neighbors are in the mask
    core[1:-1, 1:-1] = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    edge: NDArray[np.bool] = mask & ~core
    return edge


def window_of(mask: NDArray[np.bool]) -> tuple[slice, ...]:
    """The smallest box, a slice for each axis, that holds all pixels of a mask of any shape with at least one."""
    axes = range(mask.ndim)
    places = (np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes)
    return tuple(slice(int(along[0]), int(along[-1]) + 1) for along in places)


def label_regions(mask: NDArray[np.bool]) -> tuple[NDArray[np.int32], int]:
    """Number the components, 8-connected in a slice (H, W) and 26-connected in a stack (N, H, W), from 1; 0 is none."""
    from scipy import ndimage  # costs 0.1 s and 20 MB: only a process that labels pays for it

    labels, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim, dtype=bool))
    return labels, count


def _level_of_rank(probability_u8: NDArray[np.uint8], rank: int) -> int:
    """The highest level that at least `rank` pixels reach; 0 where the slice has fewer pixels."""
    reached = np.bincount(probability_u8.ravel(), minlength=256)[::-1].cumsum()[::-1]  # (256,): pixels from a level on
    return int(np.flatnonzero(reached >= rank)[-1]) if reached[0] >= rank else 0


def _drop_small_components(mask: NDArray[np.bool], candidates: int, min_tumor_pixels: int) -> None:
    """Clear, in place, the 8-connected components of one slice, bool (H, W), with too few pixels."""
    if candidates < min_tumor_pixels:
        mask[:] = False
        return
    window = mask[window_of(mask)]
    labels, count = label_regions(window)
    is_kept = np.bincount(labels.ravel(), minlength=count + 1) >= min_tumor_pixels
    is_kept[0] = False  # label 0 is the background
    window[:] = is_kept[labels]


def _drop_minor_components(mask: NDArray[np.bool], min_share: float) -> tuple[tuple[Pixel, ...], ...]:
    """Clear, in place, the 26-connected components of a stack, bool (N, H, W), that are small beside the largest.

    Returns per slice a pixel of each 8-connected component that was cleared; all of its pixels were, since neighbors in
    a slice are neighbors in the stack.
    """
    if not mask.any():
        return ((),) * len(mask)
    window = window_of(mask)
    labels, count = label_regions(mask[window])
    voxels = np.bincount(labels.ravel(), minlength=count + 1)
    voxels[0] = 0  # label 0 is the background
    is_kept = voxels >= min_share * int(voxels.max())
    is_kept[0] = False
    minor = np.zeros_like(mask)
    minor[window] = mask[window] & ~is_kept[labels]
    mask &= ~minor
    return tuple(_pixel_of_each(part) for part in minor)


def _pixel_of_each(mask: NDArray[np.bool]) -> tuple[Pixel, ...]:
    """The first pixel of each component of a slice, bool (H, W)."""
    if not mask.any():
        return ()
    labels, _ = label_regions(mask)
    _, first = np.unique(labels, return_index=True)
    return tuple((int(place) // mask.shape[1], int(place) % mask.shape[1]) for place in first if mask.flat[place])


def _masks(
    probability_u8: NDArray[np.uint8], tumor: NDArray[np.bool], rule: MaskRule, dropped: tuple[tuple[Pixel, ...], ...]
) -> Masks:
    """What is beside a mask. probability_u8: uint8 (N, H, W); tumor: bool (N, H, W), as the result."""
    doubtful = _doubtful(probability_u8, tumor, rule)
    uncounted: NDArray[np.bool] = (probability_u8 >= threshold_level(rule.threshold)) & ~(tumor | doubtful)
    return Masks(tumor, doubtful, uncounted, dropped)


def _doubtful(probability_u8: NDArray[np.uint8], tumor: NDArray[np.bool], rule: MaskRule) -> NDArray[np.bool]:
    """The regions in doubt beside a mask. probability_u8: uint8 (N, H, W); tumor: bool (N, H, W), as the result."""
    doubtful = np.zeros_like(tumor)
    if rule.doubt is not None:
        for index, slice_u8 in enumerate(probability_u8):
            _mark_doubtful(doubtful[index], slice_u8 >= rule.doubt_level, tumor[index], rule.doubt.min_pixels)
    return doubtful


def _mark_doubtful(
    doubtful: NDArray[np.bool], candidates: NDArray[np.bool], tumor: NDArray[np.bool], min_pixels: int
) -> None:
    """Mark, in place, the components of candidates with enough pixels and none of the mask. bool (H, W) each."""
    if np.count_nonzero(candidates) < min_pixels or not candidates.any():
        return
    window = window_of(candidates)
    labels, count = label_regions(candidates[window])
    is_in_doubt = np.bincount(labels.ravel(), minlength=count + 1) >= min_pixels
    is_in_doubt[0] = False  # label 0 is the background
    is_in_doubt[labels[tumor[window]]] = False
    doubtful[window] = is_in_doubt[labels]

"""What the samples of a mask's file mean: labels, of which 0 is background. The rules stand in docs/datasets.md.

- Color: the largest channel. Of a palette its indices count, not its colors: tools that draw classes choose any.
- Alpha: blended with black, as an image's; where all that is visible is black, alpha itself is what was drawn.
- A lossy file is read where its values are near 0 and 255, but for the edges; gray in real numbers is no mask.
"""

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from ml.scans.readers.colors import Integer, blend_with_black, has_straight_alpha
from ml.scans.scan import ScanError

# Of a lossy file's 8-bit values: near 0 is below the first, near 255 from the second on, between them is gray.
NEAR_BLACK, NEAR_WHITE = 64, 192
# JPEG leaves gray along the edges of a mask; between pixels near 0 and 255 that are so near it is no finding.
_EDGE_PIXELS = 2
# Gray elsewhere, as a share of all that is not near 0. JPEG of quality 30 leaves 0.008 of the LGG masks at most.
_MOST_GRAY = 0.05
# Of color masks: what smoothing leaves along edges between two colors is less of what is drawn; JPEG leaves more, and
# faint colors elsewhere, which are no tumor there.
_RGB, _LEAST_OF_COLOR, _LEAST_OF_LOSSY_COLOR, _LEAST_LOSSY_TUMOR = 3, 0.02, 0.15, 128


def largest_channel(colors: NDArray[np.generic]) -> NDArray[np.generic]:
    """(H, W) or (H, W, C) to (H, W)."""
    largest: NDArray[np.generic] = colors if colors.ndim == 2 else colors.max(axis=2)
    return largest


def has_colors(samples: NDArray[np.generic], *, is_lossy: bool = False) -> bool:
    """Whether a mask (H, W) or (H, W, C) has several colors that are not black: each of one share or more of its
    pixels. A color is told by its channels from half of its largest on, so that shades of one are one."""
    if samples.ndim == 2 or samples.shape[2] != _RGB:
        return False
    is_drawn = samples.max(axis=2) >= _LEAST_LOSSY_TUMOR if is_lossy else samples.any(axis=2)
    drawn = samples[is_drawn]  # (H, W, 3) -> (N, 3)
    least = _LEAST_OF_LOSSY_COLOR if is_lossy else _LEAST_OF_COLOR
    hues = np.packbits(drawn >= drawn.max(axis=1, keepdims=True) / 2, axis=1)  # a bit for each channel
    counts = np.bincount(hues[:, 0])
    return int(np.count_nonzero(counts >= max(least * len(drawn), 1))) > 1


def check_dropped(kept: NDArray[np.generic], dropped: NDArray[np.generic]) -> None:
    """Raises ScanError `unreadable` where all that a mask has lies in the channel that is not used: it would count as
    one without tumor."""
    if not kept.any() and dropped.min() != dropped.max():
        raise ScanError(
            "unreadable",
            "The mask's first channel is empty, and a further one, which is not used, is not: store the mask alone.",
        )


def labels_of_alpha(colors: NDArray[Integer], alpha: NDArray[Integer]) -> NDArray[np.generic]:
    """Colors (H, W) or (H, W, C) and straight alpha (H, W), both uint8 or both uint16, to labels (H, W)."""
    if not has_straight_alpha(alpha):
        return largest_channel(colors)
    if not colors[alpha > 0].any():
        return alpha
    return largest_channel(blend_with_black(colors if colors.ndim == 3 else colors[..., None], alpha))


def labels_of_palette(indices: NDArray[np.uint8], transparency: bytes | int | None) -> NDArray[np.uint8]:
    """Indices (H, W) of a palette to labels (H, W).

    transparency: alpha of the palette's entries (those missing are opaque), or the one transparent entry. What is
    transparent is background; where all that is visible has index 0, that is the mask.
    """
    alpha = np.full(256, 255, np.uint8)
    if isinstance(transparency, int):
        alpha[transparency & 255] = 0
    elif transparency is not None:
        entries = np.frombuffer(transparency[:256], np.uint8)
        alpha[: entries.size] = entries
    visible = alpha[indices] > 0
    if visible.all() or not visible.any():
        return indices * visible
    return indices * visible if indices[visible].any() else visible * np.uint8(1)


def settle_lossy(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Values (H, W) of a lossy file to 0 and 255. Raises ScanError `unreadable` where they are not near these."""
    if values.dtype != np.uint8:
        raise ScanError("unreadable", "The mask was stored with loss and has not 8 bits; export it as PNG or TIFF.")
    found = values.astype(np.uint8, copy=False)
    highest = int(found.max())
    # JPEG makes a black picture 1 or 2 all over, depending on its quality; classes of 0 and 1 are never equal all over.
    if found.min() == highest < NEAR_BLACK:
        return np.zeros_like(found)
    if highest < NEAR_WHITE:
        raise ScanError(
            "unreadable",
            f"The mask was stored with loss (JPEG or WebP), where values must be near 0 and 255; its largest is"
            f" {highest}: export it again as PNG or TIFF.",
        )
    gray = (found >= NEAR_BLACK) & (found < NEAR_WHITE)
    if gray.any():
        is_edge = (_spread(found, np.minimum) < NEAR_BLACK) & (_spread(found, np.maximum) >= NEAR_WHITE)
        gray_share = np.count_nonzero(gray & ~is_edge) / np.count_nonzero(found >= NEAR_BLACK)
        if gray_share > _MOST_GRAY:
            raise ScanError(
                "unreadable",
                "The mask was stored with loss (JPEG or WebP), where values must be near 0 and 255;"
                f" {gray_share:.0%} of what is not black is gray: export it again as PNG or TIFF.",
            )
    return (found >= 128) * np.uint8(255)


def _spread(values: NDArray[np.uint8], keep: np.ufunc) -> NDArray[np.uint8]:
    """The least or largest value (`keep`) of each pixel's square of 2 `_EDGE_PIXELS` + 1 a side, (H, W)."""
    size = 2 * _EDGE_PIXELS + 1
    padded = np.pad(values, _EDGE_PIXELS, mode="edge")
    height, width = values.shape
    rows = reduce(keep, (padded[top : top + height] for top in range(size)))
    spread: NDArray[np.uint8] = reduce(keep, (rows[:, left : left + width] for left in range(size)))
    return spread

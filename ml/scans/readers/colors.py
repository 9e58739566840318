"""Color conversions: whatever samples a file has become gray or RGB of the same type. Documented, not guessed.

- Alpha is blended with black, the background of an MRI: integer samples become c * a / max; premultiplied (associated)
  alpha is that already and is dropped, and so are extra samples of unspecified meaning.
- CMYK becomes RGB without a profile: R = (max - C)(max - K) / max.
- A palette's 16-bit entries give their upper byte.
"""

from collections.abc import Iterator
from typing import TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from ml.scans.scan import ScanError

# 8 or 16 bits, unsigned.
Integer = TypeVar("Integer", bound=np.uint8 | np.uint16)
Integers = NDArray[np.uint8 | np.uint16]

_BLOCK_ROWS = 256


def are_8_or_16_bit(samples: NDArray[np.generic]) -> TypeGuard[Integers]:
    """Whether the samples are uint8 or uint16."""
    return samples.dtype in (np.uint8, np.uint16)


def blend_with_black(colors: NDArray[Integer], alpha: NDArray[Integer]) -> NDArray[Integer]:
    """Straight alpha (H, W) on colors (H, W, C), both uint8 or both uint16, to the same shape and type."""
    top = np.iinfo(colors.dtype).max
    blended = np.empty_like(colors)
    for rows in _row_blocks(len(colors)):
        blended[rows] = (colors[rows].astype(np.uint32) * alpha[rows, :, None] + top // 2) // top
    return blended


def convert_cmyk(inks: NDArray[np.generic]) -> Integers:
    """CMYK (H, W, 4), uint8 or uint16, 0 = no ink, to RGB (H, W, 3) of the same type."""
    if not are_8_or_16_bit(inks):
        raise ScanError("unreadable", f"CMYK samples of type {inks.dtype} are not read; export with 8 or 16 bits.")
    top = np.iinfo(inks.dtype).max
    converted = np.empty((*inks.shape[:2], 3), inks.dtype)
    for rows in _row_blocks(len(inks)):
        paper = top - inks[rows].astype(np.uint32)
        converted[rows] = (paper[..., :3] * paper[..., 3:] + top // 2) // top
    return converted


def _row_blocks(height: int) -> Iterator[slice]:
    """Rows in blocks, so that the wide intermediate numbers of a large page fit into a child's memory."""
    for first in range(0, height, _BLOCK_ROWS):
        yield slice(first, first + _BLOCK_ROWS)


def apply_palette(indices: NDArray[np.generic], palette: NDArray[np.uint16] | None) -> NDArray[np.uint8]:
    """Indices (H, W) into a TIFF palette (3, colors), uint16, to RGB (H, W, 3)."""
    if palette is None or palette.ndim != 2 or palette.shape[0] != 3 or int(indices.max()) >= palette.shape[1]:
        raise ScanError("unreadable", "The palette has fewer colors than the image uses; export the file again.")
    # Some writers store 8-bit entries; libtiff (tif_getimage.c, checkcmap) tells them apart the same way.
    table = palette if palette.max() < 256 else palette >> 8
    rgb: NDArray[np.uint8] = table.astype(np.uint8).T[indices]  # (colors, 3)[(H, W)] -> (H, W, 3)
    return rgb


def has_straight_alpha(alpha: Integers) -> bool:
    """Whether any pixel is not opaque. alpha: uint8 or uint16."""
    return bool((alpha != np.iinfo(alpha.dtype).max).any())

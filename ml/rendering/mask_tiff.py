"""A stack of masks as one multi-page TIFF, a page a slice."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DESCRIPTION = "Tumor mask, 0 or 255, a page a slice. Research use only. Not for diagnosis."


def write_mask_tiff(
    target: Path, masks: Iterable[NDArray[np.bool]], shape: tuple[int, int, int], note: str = ""
) -> None:
    """Write masks, each bool (H, W) and one in memory at a time, as 8-bit pages of 0 and 255, deflated.

    shape: (N, H, W). note: stands before the description; ASCII. Raises OSError.
    """
    pages = (np.where(mask, np.uint8(255), np.uint8(0)) for mask in masks)
    import tifffile  # a portal that starts need not wait for it

    with tifffile.TiffWriter(target) as file:
        file.write(
            pages,
            shape=shape,
            dtype=np.uint8,
            photometric="minisblack",
            compression="zlib",
            description=f"{note} {DESCRIPTION}" if note else DESCRIPTION,
            metadata=None,
        )

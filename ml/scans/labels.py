"""An expert's mask as its file stores it: a label for each pixel. No intensity is scaled, so no small tumor is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelMap:
    """The labels of one slice on the file's own grid, after its orientation tag is applied, as an image's pixels are.

    values: (H, W) of booleans, integers or floating point, 0 = background.
    is_lossy: whether the file's compression changes values, so that 0 and 255 had to be told apart by a threshold.
    orientation: the tag that was applied, 1 to 8; None of what was not read from an image file.
    is_whole: False where the file has a channel that was dropped.
    has_colors: whether what is not 0 has several colors in the file.
    is_on_another_grid: whether it was brought from other voxels onto those of its volume. is_cut_off: whether its file
    covers a part of the volume, and the tumor reaches an end of that part. is_resampled: whether its volume's axial
    slices were interpolated. said: of a mask that was cut from another file (`ml.scans.cut_slices`), the codes of what
    that one had shown.
    """

    values: NDArray[np.generic]
    is_lossy: bool = False
    orientation: int | None = None
    is_whole: bool = True
    is_on_another_grid: bool = False
    has_colors: bool = False
    is_cut_off: bool = False
    is_resampled: bool = False
    said: tuple[str, ...] = ()

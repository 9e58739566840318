"""Stacks as images of SimpleITK, which judges where voxels lie."""

import numpy as np
import SimpleITK
from numpy.typing import NDArray


def image(stack: NDArray, affine: NDArray[np.float64]) -> SimpleITK.Image:
    """A stack (slice, row, column) where it lies: its affine takes the three indices to RAS mm."""
    made = SimpleITK.GetImageFromArray(stack.astype(np.float32))
    lps = np.diag([-1, -1, 1, 1]) @ affine[:, [2, 1, 0, 3]]
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    made.SetOrigin(lps[:3, 3].tolist())
    made.SetSpacing(spacing.tolist())
    made.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    return made

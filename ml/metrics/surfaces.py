"""How far two outlines lie apart, in pixels: HD95 and surface Dice. SciPy; monai.metrics is the oracle in the tests.

A surface is the mask's pixels with a 4-neighbor outside it, the image's edge counting as outside, as in monai. SciPy is
imported when the first slice is compared: the web process reads the registry of metrics and need not carry it.
"""

from dataclasses import dataclass
from math import hypot

import numpy as np
from numpy.typing import NDArray

from ml.masks import outline

# About the distance at which two experts' outlines of this data set differ; stated beside every surface Dice.
TOLERANCE_PIXELS = 2.0
_PERCENTILE = 95


@dataclass(frozen=True)
class SurfaceMetrics:
    """hd95: pixels; surface_dice: 0 to 1 at `TOLERANCE_PIXELS` or the tolerance given. None where there is no truth."""

    hd95: float | None
    surface_dice: float | None


def compare_surfaces(
    truth: NDArray[np.bool], prediction: NDArray[np.bool], tolerance: float = TOLERANCE_PIXELS
) -> SurfaceMetrics:
    """Both metrics of one slice, bool (H, W) each.

    HD95: the larger of the two directed 95th percentiles of the distances between the outlines (Huttenlocher et al.,
    IEEE TPAMI 15, 1993; the percentile as in the BraTS challenge, Menze et al., IEEE TMI 34, 2015).
    Surface Dice: share of both outlines' pixels within `tolerance` of the other (Nikolov et al., JMIR 23, 2021), every
    pixel counting as one. Where the truth is empty both are None; where only the prediction is, HD95 is the image's
    diagonal and surface Dice 0.
    """
    if not truth.any():
        return SurfaceMetrics(None, None)
    if not prediction.any():
        return SurfaceMetrics(hypot(*truth.shape), 0.0)
    from scipy.spatial import KDTree

    edges = [np.argwhere(outline(mask)) for mask in (truth, prediction)]  # (points, 2) each
    trees = [KDTree(points) for points in edges]
    to_prediction, to_truth = trees[1].query(edges[0])[0], trees[0].query(edges[1])[0]
    hd95 = max(float(np.percentile(distances, _PERCENTILE)) for distances in (to_prediction, to_truth))
    near = np.count_nonzero(to_prediction <= tolerance) + np.count_nonzero(to_truth <= tolerance)
    return SurfaceMetrics(hd95, float(near / (len(to_prediction) + len(to_truth))))

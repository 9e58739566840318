"""How far a model and an expert agree on one volume, in millimeters and by lesions.

Surfaces: the voxels of a mask with one of 6 neighbors outside of it, the volume's edge counting as outside; distances
between their centers. HD95 and surface Dice as of slices (`ml.metrics.surfaces`), in mm.

Lesions: components of a mask, connected by any of 26 neighbors. A lesion of the expert's is found where one voxel at
least of a lesion of the model's lies in it; a lesion of the model's that touches none is false. Dice of a found lesion
is that with all the model's lesions that touch it, of a missed or a false one 0, and the lesion-wise Dice their mean:
the rule of BraTS 2023 (Moawad et al., arXiv:2306.00838), but that lesions are neither dilated nor left out for their
size. A patient without any lesion in both masks has none.
"""

from dataclasses import dataclass
from functools import cached_property
from math import hypot

import numpy as np
from numpy.typing import NDArray

from ml.masks import label_regions

# As two pixels of the slices, which are about 1 mm (`ml.metrics.surfaces.TOLERANCE_PIXELS`); to be told apart from what
# experts differ by, as Nikolov et al., JMIR 23, 2021, ask for.
TOLERANCE_MM = 2.0
_PERCENTILE = 95


@dataclass(frozen=True)
class Lesions:
    """truth, predicted: how many lesions; found: of the truth's; false: of the model's that touch none.

    dice: lesion-wise; None without any lesion.
    """

    truth: int
    predicted: int
    found: int
    false: int
    dice: float | None

    @property
    def missed(self) -> int:
        """Lesions of the truth's that are not found."""
        return self.truth - self.found


@dataclass(frozen=True)
class VolumeComparison:
    """A volume's masks, bool (N, H, W). spacing_mm: of slices, rows and columns."""

    truth: NDArray[np.bool]
    mask: NDArray[np.bool]
    spacing_mm: tuple[float, float, float]

    @property
    def voxel_ml(self) -> float:
        """Of one voxel."""
        slice_mm, row_mm, column_mm = self.spacing_mm
        return slice_mm * row_mm * column_mm / 1000

    @cached_property
    def surface(self) -> tuple[float | None, float | None]:
        """HD95 in mm, and surface Dice at `TOLERANCE_MM`.

        Where the truth is empty both are None; where only the mask is, the volume's diagonal and 0.
        """
        if not self.truth.any():
            return None, None
        if not self.mask.any():
            return hypot(*(size * mm for size, mm in zip(self.truth.shape, self.spacing_mm, strict=True))), 0.0
        from scipy.spatial import KDTree  # as in ml.metrics.surfaces

        edges = [np.argwhere(_surface(mask)) * np.array(self.spacing_mm) for mask in (self.truth, self.mask)]
        trees = [KDTree(points) for points in edges]
        to_mask, to_truth = trees[1].query(edges[0])[0], trees[0].query(edges[1])[0]
        hd95 = max(float(np.percentile(distances, _PERCENTILE)) for distances in (to_mask, to_truth))
        near = np.count_nonzero(to_mask <= TOLERANCE_MM) + np.count_nonzero(to_truth <= TOLERANCE_MM)
        return hd95, float(near / (len(to_mask) + len(to_truth)))

    @cached_property
    def lesions(self) -> Lesions:
        """Both masks' lesions beside each other."""
        truths, truth_count = label_regions(self.truth)
        masks, mask_count = label_regions(self.mask)
        marked = self.truth | self.mask
        # Voxels of each pair of lesions, 0 being none: (truth lesions + 1, mask lesions + 1).
        numbers = truths[marked].astype(np.int64) * (mask_count + 1) + masks[marked]
        pairs = np.bincount(numbers, minlength=(truth_count + 1) * (mask_count + 1))
        pairs = pairs.reshape(truth_count + 1, mask_count + 1)
        shared, sizes, mask_sizes = pairs[1:, 1:], pairs[1:].sum(axis=1), pairs[:, 1:].sum(axis=0)
        touching = shared > 0  # (truth lesions, mask lesions)
        found = touching.any(axis=1)
        false = int(mask_count - np.count_nonzero(touching.any(axis=0)))
        dice = 2 * shared.sum(axis=1) / (sizes + touching @ mask_sizes) if truth_count else np.zeros(0)
        counted = truth_count + false
        return Lesions(
            truth=truth_count,
            predicted=mask_count,
            found=int(np.count_nonzero(found)),
            false=false,
            dice=float(dice.sum() / counted) if counted else None,
        )


def _surface(mask: NDArray[np.bool]) -> NDArray[np.bool]:
    """The mask's voxels that have a 6-neighbor outside of it, (N, H, W)."""
    padded = np.pad(mask, 1)
    core = mask.copy()
    for axis in range(3):
        for step in (0, 2):
            moved = [slice(1, -1)] * 3
            moved[axis] = slice(step, step + mask.shape[axis])
            core &= padded[tuple(moved)]
    edge: NDArray[np.bool] = mask & ~core
    return edge

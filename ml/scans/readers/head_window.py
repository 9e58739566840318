"""Intensities of a volume to 8 bits, on the scale of the training data, by percentiles inside the head.

MRI has no unit, and a volume is mostly air, which would decide any percentile over all voxels; BraTS-like volumes are 0
outside of the brain, with negative values in it from interpolation. So the head is told from air first (above a tenth
of the way from percentile 0.5 to 99.5 of all voxels), and its median and percentile 99.5 are brought to where those of
the FLAIR that the models were trained on lie: 60 and 169 of 255, medians over the patients of the LGG data, measured
the same way. The smaller of the two factors is taken, so that neither is brighter than there. Percentile 0.5 becomes 0.

A number far below all others (-1024, -32768) is what programs write where they have cut or resampled nothing. It is
air, and counts as the lowest of the others.

A volume whose values lie there already (slices of the training data stored as a volume) is taken as it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.scans.readers.intensity import WindowFinder

# Of 255: where the training data's FLAIR has them, and between which values over its patients.
MEDIAN, HIGHEST = 60.0, 169.0
MEDIANS, HIGHESTS = (35.0, 85.0), (100.0, 200.0)
_AIR = 0.1


@dataclass(frozen=True)
class HeadWindow:
    """What becomes 0, and by what each unit above it is multiplied. is_as_stored: the values stay what they are."""

    low: float
    factor: float
    is_as_stored: bool = False
    is_constant: bool = False

    def apply(self, page: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Scale a slice (H, W) of any real type to uint8, clipped and rounded."""
        if self.is_constant:
            return np.zeros(page.shape, np.uint8)
        scaled = (page.astype(np.float64) - self.low) * self.factor
        rounded: NDArray[np.uint8] = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
        return rounded


class HeadWindowFinder(WindowFinder):
    """Collects what `head_window` needs while the slices pass by once."""

    def head_window(self) -> HeadWindow:
        """The window of all slices taken in."""
        sample = _without_padding(self.sample())
        if self.low == self.high:
            return HeadWindow(self.low, 0.0, is_constant=True)
        low, high = (float(edge) for edge in np.percentile(sample, (0.5, 99.5)))
        if high <= low:  # nearly all of it is air
            low, high = self.low, self.high
        head = sample[sample > low + _AIR * (high - low)]
        if not head.size:  # what is no air is so little that none of it was sampled
            head = np.array([high])
        median, highest = (float(edge) for edge in np.percentile(head, (50, 99.5)))
        is_as_stored = (
            self.low >= 0
            and self.high <= 255
            and MEDIANS[0] <= median <= MEDIANS[1]
            and HIGHESTS[0] <= highest <= HIGHESTS[1]
        )
        if is_as_stored:
            return HeadWindow(0.0, 1.0, is_as_stored=True)
        return HeadWindow(low, min(MEDIAN / (median - low), HIGHEST / (highest - low)))


def _without_padding(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sample (n,), a negative number below the others by more than these span raised to the lowest of them."""
    padding = sample.min()
    others = sample[sample > padding] if padding < 0 else sample[:0]
    if not others.size:
        return sample
    lowest = others.min()
    is_apart = lowest - padding > np.percentile(others, 99.5) - lowest
    return np.maximum(sample, lowest) if is_apart else sample

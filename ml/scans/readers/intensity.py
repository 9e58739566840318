"""Intensities of more than 8 bits to 8 bits, by one window for the whole scan.

The window runs from percentile 0.5 to 99.5 over all slices and channels together: outliers do not darken the image, and
slices and channels keep their relation. nnU-Net clips CT to the same percentiles (Isensee et al., Nature Methods 2021).
Where these are equal (nearly all pixels are background) the window is the whole range; a constant scan becomes black.
The percentiles are taken from at most `SAMPLE_SIZE` pixels at even steps, which is exact for a slice of 1024 x 1024.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.scans.scan import ScanError

PERCENTILES = (0.5, 99.5)
SAMPLE_SIZE = 2**22
_CHUNK_ROWS = 256  # bounds the float copy of a large page


@dataclass(frozen=True)
class Window:
    """The intensities that become 0 and 255, in the file's own unit. low = high: a constant scan."""

    low: float
    high: float

    @property
    def is_constant(self) -> bool:
        return self.high <= self.low

    def apply(self, page: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Scale a page (H, W) or (H, W, 3) of any real type to uint8, clipped and rounded."""
        scaled = np.zeros(page.shape, np.uint8)
        if self.is_constant:
            return scaled
        for top in range(0, len(page), _CHUNK_ROWS):
            # Double precision: a float32 could not tell neighboring 32-bit integers apart. The division comes first,
            # since high - low overflows where a scan spans the whole range of float64.
            rows = page[top : top + _CHUNK_ROWS].astype(np.float64)
            span = self.high / 255 - self.low / 255
            np.clip((rows / span) - (self.low / span), 0, 255, out=rows)
            scaled[top : top + _CHUNK_ROWS] = np.rint(rows)
        return scaled


class WindowFinder:
    """Collects what `window` needs while the pages pass by once."""

    def __init__(self, page_count: int) -> None:
        self._page_sample_size = max(SAMPLE_SIZE // page_count, 1)
        self._samples: list[NDArray[np.generic]] = []
        self._low = np.inf
        self._high = -np.inf

    def add(self, page: NDArray[np.generic]) -> None:
        """Take a page in. Raises ScanError `unreadable` where it has NaN or infinite pixels."""
        low, high = float(page.min()), float(page.max())
        # NaN and infinities survive min and max: no second pass over the page.
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ScanError(
                "unreadable",
                "The image has NaN or infinite pixels; replace them by the lowest of the others, as the background has"
                " it (of scaled images 0 may be in the middle of the brain), and try again.",
            )
        self._low, self._high = min(self._low, low), max(self._high, high)
        # Whole pixels: steps over a page's values may be a multiple of its channels, and then meet one channel alone.
        values = page.reshape(-1, *page.shape[2:])  # (H * W,) or (H * W, 3)
        self._samples.append(values[:: -(-page.size // self._page_sample_size)].reshape(-1).copy())

    @property
    def low(self) -> float:
        """The lowest intensity of all pages taken in."""
        return self._low

    @property
    def high(self) -> float:
        """The highest one."""
        return self._high

    def sample(self) -> NDArray[np.float64]:
        """Pixels at even steps of all pages taken in, (n,)."""
        return np.concatenate(self._samples).astype(np.float64)

    def window(self) -> Window:
        """The window of all pages taken in."""
        low, high = (float(edge) for edge in np.percentile(self.sample(), PERCENTILES))
        if high <= low:
            low, high = self.low, self.high
        return Window(low, high)

"""Whether a probability of 0.8 is right eight times in ten: reliability bins and the expected calibration error.

Both are taken from counts per 8-bit level, round(255 p), so they are exact and do not depend on any order.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 256
BINS = 15  # as in Guo et al., ICML 2017


@dataclass(frozen=True)
class ReliabilityBin:
    """Pixels whose probability lies in [low, high), the last one up to 1: their mean, and the share that is tumor."""

    low: float
    high: float
    pixels: int
    mean_probability: float | None
    tumor_share: float | None


@dataclass(frozen=True)
class Calibration:
    """`ece`: sum over bins of share of pixels x |mean probability - tumor share|. None without pixels."""

    bins: tuple[ReliabilityBin, ...]
    ece: float | None
    pixels: int


def probability_histogram(probability_u8: NDArray[np.uint8], truth: NDArray[np.bool]) -> NDArray[np.int64]:
    """Pixels, and pixels of the truth, at each 8-bit level of probability.

    probability_u8: uint8, truth: bool, one shape. Returns int64 (2, 256).
    """
    everything = np.bincount(probability_u8.ravel(), minlength=LEVELS)
    return np.stack([everything, np.bincount(probability_u8[truth], minlength=LEVELS)]).astype(np.int64)


def pack_histogram(histogram: NDArray[np.int64]) -> bytes:
    """A slice's histogram, int (2, 256), in some hundred bytes: most of its levels have no pixel."""
    return zlib.compress(histogram.astype("<u4").tobytes(), level=1)


def add_histograms(packed: Iterable[bytes]) -> NDArray[np.int64]:
    """The sum of packed histograms, int64 (2, 256); never more than two of them in memory unpacked."""
    total = np.zeros((2, LEVELS), dtype=np.int64)
    for data in packed:
        total += np.frombuffer(zlib.decompress(data), dtype="<u4").reshape(2, LEVELS)
    return total


def calibrate(histogram: NDArray[np.int64], lowest_level: int = 0, bins: int = BINS) -> Calibration:
    """Bins of equal width and their ECE (Naeini et al., AAAI 2015; Guo et al., ICML 2017).

    histogram: int (2, 256), of one slice or added over several. Levels below `lowest_level` are left out: nearly all
    pixels of a brain are certainly no tumor, and their number hides how wrong the other probabilities are.
    """
    probabilities = np.arange(LEVELS) / (LEVELS - 1)
    chosen = histogram.astype(np.float64) * (np.arange(LEVELS) >= lowest_level)  # (2, 256)
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    pixels, tumor = (np.bincount(index, weights=row, minlength=bins) for row in chosen)
    sums = np.bincount(index, weights=chosen[0] * probabilities, minlength=bins)
    found = tuple(
        ReliabilityBin(
            low=number / bins,
            high=(number + 1) / bins,
            pixels=int(pixels[number]),
            mean_probability=float(sums[number] / pixels[number]) if pixels[number] else None,
            tumor_share=float(tumor[number] / pixels[number]) if pixels[number] else None,
        )
        for number in range(bins)
    )
    total = pixels.sum()
    ece = float(np.abs(sums - tumor).sum() / total) if total else None
    return Calibration(found, ece, int(total))

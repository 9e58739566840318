"""What one channel of a slice looks like, whatever its brightness: the numbers beside the network's features by which
the sequence check tells MRI sequences apart.

The head is cropped, stretched to one size, and its gray levels are replaced by their ranks, which no window, gain or
gamma changes; T1 and FLAIR differ in the order of white matter, gray matter and fluid. Never imports torch.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Side in pixels of the square that a head is stretched to, and of the small map of its ranks.
_SIDE, _MAP = 64, 12
# A pixel darker than this share of the bright ones (95th percentile) is background.
_DARK = 0.12
# Gray level up to which a pixel counts as black.
_BLACK = 2
# Depths below the skin, as shares of the half side, between which ranks are counted.
_DEPTHS = (0.06, 0.12, 0.2, 0.3, 0.45, 0.6)
# By the squared distance from the skin in pixels of the square: the layer of depth.
_LAYERS = np.digitize(np.sqrt(np.arange(2 * _SIDE * _SIDE)) / (_SIDE / 2), _DEPTHS)
_BINS = 8
_PERCENTILES = (2, 5, 10, 25, 50, 75, 90, 95, 98, 99.5)
_FINE_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
# Widths in pixels of the Laplacians of Gaussians that see folds, vessels and ventricles.
_WIDTHS = (0.7, 1.4, 2.8)
COUNT = (len(_DEPTHS) + 1) * _BINS + len(_PERCENTILES) + len(_WIDTHS) * (len(_FINE_PERCENTILES) + 8) + _MAP * _MAP // 2


def describe(plane: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """plane: uint8 (H, W), one channel of a slice. Returns float32 (COUNT,); None where it shows nothing."""
    from scipy import ndimage  # costs 0.1 s and 20 MB: the web process never describes a slice

    plane = np.ascontiguousarray(plane)
    counts = np.array(Image.fromarray(plane).histogram())  # (256,)
    counts[: _BLACK + 1] = 0
    if counts.sum() < _SIDE:
        return None
    level = max(float(_BLACK), _DARK * _percentile_of_counts(counts, 95))
    is_lit = plane > level
    rows, columns = (np.flatnonzero(is_lit.any(axis=axis)) for axis in (1, 0))
    cut = plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # Averages where it shrinks, as ml.preprocessing does.
    head = np.asarray(Image.fromarray(cut).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))
    # Background that does not reach the edge is a hole of the head. In single precision, in which packages were fitted.
    is_around = np.ones((_SIDE + 2, _SIDE + 2), dtype=np.bool)
    is_around[1:-1, 1:-1] = head <= np.float32(level)
    regions, _ = ndimage.label(is_around)
    is_filled = regions != regions[0, 0]  # (66, 66)
    is_head = is_filled[1:-1, 1:-1]
    if not is_head.any():
        return None
    depth = _squared_distances(is_filled)[1:-1, 1:-1]
    places = np.flatnonzero(is_head)
    values = head.ravel()[places]
    order = np.argsort(values, kind="stable")
    ranks = np.zeros(head.shape, dtype=np.float32)
    ranks.ravel()[places[order]] = np.arange(len(places)) / max(len(places) - 1, 1)
    parts = (
        _ranks_by_depth(ranks.ravel()[places], depth.ravel()[places]),
        _levels(values[order].astype(np.float32)),
        _folds(ranks, is_head, depth),
        _map_of(ranks),
    )
    return np.concatenate(parts).astype(np.float32)


def _squared_distances(is_filled: NDArray[np.bool]) -> NDArray[np.int32]:
    """Of each pixel to the nearest one that is not filled; bool (66, 66), edges not. int32 (66, 66)."""
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(is_filled, return_distances=False, return_indices=True)  # (2, 66, 66)
    steps = nearest - _places(is_filled.shape)
    squared: NDArray[np.int32] = steps[0] * steps[0] + steps[1] * steps[1]
    return squared


@cache
def _places(shape: tuple[int, int]) -> NDArray[np.int32]:
    """Row and column of each pixel, int32 (2, H, W)."""
    return np.indices(shape, dtype=np.int32)


def _ranks_by_depth(ranks: NDArray[np.float32], depth: NDArray[np.int32]) -> NDArray[np.float64]:
    """For each layer of depth the shares of its pixels in each bin of ranks, (7 * 8,). depth: squared distances."""
    places = _LAYERS[depth] * _BINS + np.minimum((ranks * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(places, minlength=(len(_DEPTHS) + 1) * _BINS).reshape(-1, _BINS)  # (56,) -> (7, 8)
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares.ravel()


def _levels(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Percentiles of the sorted gray levels about their median, in units of the range of most, (10,)."""
    found = _percentiles(values, _PERCENTILES)
    centered: NDArray[np.float64] = (found - found[4]) / max(float(found[7] - found[1]), 1.0)
    return centered


def _percentiles(ordered: NDArray[np.float32], percents: Sequence[float]) -> NDArray[np.float64]:
    """`numpy.percentile` of values that are sorted along the last axis, (..., n), to the bit. Returns (..., K)."""
    last = ordered.shape[-1] - 1
    place = last * (np.array(percents) / 100)
    below = np.floor(place)
    share = place - below
    index = below.astype(np.intp)
    low, high = ordered[..., index], ordered[..., np.minimum(index + 1, last)]
    step = high - low
    # As NumPy interpolates: from the nearer end.
    found: NDArray[np.float64] = np.where(share < 0.5, low + step * share, high - step * (1 - share))
    return found


def _folds(ranks: NDArray[np.float32], is_head: NDArray[np.bool], depth: NDArray[np.int32]) -> NDArray[np.float64]:
    """How bright and dark structures of three widths stand out, overall and by quarter of the ranks, (3 * 15,)."""
    inside = np.flatnonzero(is_head & (_LAYERS[depth] > 0))
    inside = inside if inside.size else np.flatnonzero(is_head)
    quarter = np.minimum((ranks.ravel()[inside] * 4).astype(int), 3)
    filled = np.where(is_head, ranks, np.float32(0.5))
    responses = np.stack([_laplace(filled, width).ravel()[inside] * width**2 for width in _WIDTHS])  # (3, pixels)
    found = np.zeros((len(_WIDTHS), len(_FINE_PERCENTILES) + 8))
    found[:, : len(_FINE_PERCENTILES)] = _percentiles(np.sort(responses, axis=1), _FINE_PERCENTILES)
    for index in range(4):
        part = np.compress(quarter == index, responses, axis=1)
        if part.size:
            place = len(_FINE_PERCENTILES) + 2 * index
            found[:, place], found[:, place + 1] = part.mean(axis=1), part.std(axis=1)
    return found.ravel()


def _laplace(values: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """`scipy.ndimage.gaussian_laplace` of a picture, float32 (H, W), to the bit; its kernels are made once."""
    from scipy import ndimage

    smooth, second = _kernel(width, 0), _kernel(width, 2)
    along_rows = ndimage.correlate1d(ndimage.correlate1d(values, second, axis=0), smooth, axis=1)
    along_rows += ndimage.correlate1d(ndimage.correlate1d(values, smooth, axis=0), second, axis=1)
    answer: NDArray[np.float32] = along_rows
    return answer


@cache
def _kernel(width: float, order: int) -> NDArray[np.float64]:
    """The weights of SciPy's Gaussian of this width, or of its second derivative (order 2): symmetric."""
    from scipy import ndimage

    radius = int(4 * width + 0.5)  # where SciPy cuts it off
    impulse = np.zeros(2 * radius + 1)
    impulse[radius] = 1
    weights: NDArray[np.float64] = ndimage.gaussian_filter1d(impulse, width, order=order, mode="constant")
    return weights


def _percentile_of_counts(counts: NDArray[np.int64], percent: float) -> float:
    """`numpy.percentile` of uint8 values of which there are `counts`, int (256,): without sorting them."""
    place = (int(counts.sum()) - 1) * (percent / 100)
    reached = counts.cumsum()
    low, high = (int(np.searchsorted(reached, int(place) + more, side="right")) for more in (0, 1))
    share = place - int(place)
    high = low if not share else high
    # As NumPy interpolates: from the nearer end.
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)


def _map_of(ranks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where the ranks lie: 12 x 12, the mean of left and right, one half of it, (72,)."""
    small = np.asarray(Image.fromarray(ranks).resize((_MAP, _MAP), Image.Resampling.BOX))
    halves: NDArray[np.float32] = ((small + small[:, ::-1]) / 2)[:, : _MAP // 2]
    return halves.ravel()

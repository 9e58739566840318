"""The numbers of a channel's contrast are those with which packages were fitted, to the bit."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from ml.ood import head_contrast
from ml.ood.head_contrast import describe

SIDE = 64
DEPTHS = (0.06, 0.12, 0.2, 0.3, 0.45, 0.6)


def reference(plane):
    """The same by the functions of NumPy and SciPy that say what is meant; None where nothing is shown."""
    shown = plane[plane > 2]
    if shown.size < SIDE:
        return None
    level = max(2.0, 0.12 * float(np.percentile(shown, 95)))
    rows, columns = (np.flatnonzero((plane > level).any(axis=axis)) for axis in (1, 0))
    cut = plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    head = np.asarray(Image.fromarray(cut).resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
    is_head = ndimage.binary_fill_holes(head > level)
    if not is_head.any():
        return None
    depth = ndimage.distance_transform_edt(np.pad(is_head, 1))[1:-1, 1:-1] / (SIDE / 2)
    values = head[is_head]
    order = np.empty(len(values), dtype=np.intp)
    order[np.argsort(values, kind="stable")] = np.arange(len(values))
    ranks = np.zeros_like(head)
    ranks[is_head] = order / max(len(values) - 1, 1)
    bins = np.minimum((ranks[is_head] * 8).astype(int), 7)
    counts = np.bincount(np.digitize(depth[is_head], DEPTHS) * 8 + bins, minlength=56).reshape(-1, 8)
    levels = np.percentile(values, (2, 5, 10, 25, 50, 75, 90, 95, 98, 99.5))
    inside = is_head & (depth > DEPTHS[0])
    inside = inside if inside.any() else is_head
    quarter = np.minimum((ranks[inside] * 4).astype(int), 3)
    filled = np.where(is_head, ranks, np.float32(0.5))
    folds = np.zeros((3, 15))
    for row, width in zip(folds, (0.7, 1.4, 2.8), strict=True):
        response = ndimage.gaussian_laplace(filled, width)[inside] * width**2
        row[:7] = np.percentile(response, (1, 5, 25, 50, 75, 95, 99))
        for index in range(4):
            part = response[quarter == index]
            row[7 + 2 * index : 9 + 2 * index] = (part.mean(), part.std()) if part.size else (0, 0)
    small = np.asarray(Image.fromarray(ranks).resize((12, 12), Image.Resampling.BOX))
    parts = (
        (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).ravel(),
        (levels - levels[4]) / max(float(levels[7] - levels[1]), 1.0),
        folds.ravel(),
        ((small + small[:, ::-1]) / 2)[:, :6].ravel(),
    )
    return np.concatenate(parts).astype(np.float32)


def blob(random, height, width):
    """uint8: an ellipse of gray levels with a hole in it, somewhere on black."""
    rows, columns = np.mgrid[:height, :width]
    top, left = random.uniform(0.2, 0.8, 2) * (height, width)
    radius = np.hypot((rows - top) / (0.5 * height), (columns - left) / (0.4 * width))
    levels = random.integers(1, 256) * random.uniform(0.3, 1, (height, width)) * (radius < 1) * (radius > 0.2)
    return levels.astype(np.uint8)


@pytest.mark.parametrize("seed", range(60))
def test_it_is_what_numpy_and_scipy_say_to_the_bit(seed):
    random = np.random.default_rng(seed)
    plane = blob(random, *random.integers(8, 300, 2))
    found, expected = describe(plane), reference(plane)
    assert (found is None) is (expected is None)
    if found is not None:
        assert found.shape == (head_contrast.COUNT,) and found.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "plane",
    [
        np.zeros((40, 40), np.uint8),
        np.full((40, 40), 9, np.uint8),
        np.eye(80, dtype=np.uint8) * 200,
        np.full((8, 8), 255, np.uint8),
        np.pad(np.full((8, 8), 7, np.uint8), 30),
    ],
    ids=["black", "one level", "a line", "as few pixels as are looked at", "a square"],
)
def test_odd_planes_too(plane):
    found, expected = describe(plane), reference(plane)
    assert (found is None) is (expected is None)
    assert found is None or found.tobytes() == expected.tobytes()

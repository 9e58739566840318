"""Surface figures by hand, and beside monai.metrics on random masks."""

from math import hypot

import numpy as np
import pytest

from ml.masks import outline
from ml.metrics.surfaces import compare_surfaces


def rectangle(top, left, height, width, shape=(20, 30)):
    mask = np.zeros(shape, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def test_equal_masks_have_no_distance():
    figures = compare_surfaces(rectangle(3, 3, 5, 5), rectangle(3, 3, 5, 5))
    assert (figures.hd95, figures.surface_dice) == (0, 1)


def test_single_pixels_lie_three_and_four_apart():
    figures = compare_surfaces(rectangle(0, 0, 1, 1), rectangle(3, 4, 1, 1))
    assert (figures.hd95, figures.surface_dice) == (5, 0)
    assert compare_surfaces(rectangle(0, 0, 1, 1), rectangle(3, 4, 1, 1), tolerance=5).surface_dice == 1


def test_a_shifted_line_within_the_tolerance_is_right():
    truth, prediction = rectangle(5, 5, 1, 10), rectangle(7, 5, 1, 10)
    assert compare_surfaces(truth, prediction, tolerance=2).surface_dice == 1
    assert compare_surfaces(truth, prediction, tolerance=1).surface_dice == 0
    assert compare_surfaces(truth, prediction).hd95 == 2


def test_missed_tumor_is_as_far_as_the_image_allows():
    figures = compare_surfaces(rectangle(1, 1, 2, 2), rectangle(0, 0, 0, 0))
    assert (figures.hd95, figures.surface_dice) == (hypot(20, 30), 0)


def test_outlines_are_those_of_the_whole_image_where_masks_touch_its_edge():
    truth, prediction = rectangle(0, 0, 6, 30), rectangle(14, 3, 6, 20)
    edges = [np.argwhere(outline(mask)) for mask in (truth, prediction)]
    distances = np.hypot(*(edges[0][:, None] - edges[1][None]).transpose(2, 0, 1))  # (points, points)
    expected = max(np.percentile(distances.min(axis=axis), 95) for axis in (0, 1))
    assert compare_surfaces(truth, prediction).hd95 == expected


def test_without_truth_there_is_no_distance():
    for prediction in (rectangle(1, 1, 2, 2), rectangle(0, 0, 0, 0)):
        figures = compare_surfaces(rectangle(0, 0, 0, 0), prediction)
        assert (figures.hd95, figures.surface_dice) == (None, None)


# monai 1.6 calls its own function with an argument that it has deprecated.
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
def test_random_masks_have_the_figures_of_monai():
    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(11)
    for case in range(30):
        # Blobs of all sizes, several components, some at the image's edge.
        noise = gaussian_filter(random.normal(size=(2, 48, 64)), (0, 3, 3), mode="nearest")
        truth, prediction = noise > np.quantile(noise, random.uniform(0.6, 0.97))
        if case % 2:
            prediction = truth ^ (prediction & (random.uniform(size=truth.shape) < 0.2))
        if not truth.any() or not prediction.any():
            continue
        tensors = [torch.from_numpy(mask)[None, None].float() for mask in (prediction, truth)]
        hd95 = compute_hausdorff_distance(*tensors, include_background=True, percentile=95).item()
        surface_dice = compute_surface_dice(*tensors, [2.0], include_background=True).item()
        figures = compare_surfaces(truth, prediction, tolerance=2.0)
        assert figures.hd95 == pytest.approx(hd95, rel=1e-5)
        assert figures.surface_dice == pytest.approx(surface_dice, rel=1e-5)

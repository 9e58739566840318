"""Figures of volumes by hand, beside monai's surfaces and panoptica's lesions."""

from math import hypot

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.metrics.volumes import TOLERANCE_MM, Lesions, VolumeComparison

Corner = tuple[int, int, int]
SPACING_MM = (3.0, 1.0, 1.0)


def boxes(*corners: tuple[Corner, Corner]) -> NDArray[np.bool]:
    volume = np.zeros((20, 40, 40), np.bool)
    for low, high in corners:
        volume[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = True
    return volume


def compare(truth: NDArray[np.bool], mask: NDArray[np.bool]) -> VolumeComparison:
    return VolumeComparison(truth, mask, SPACING_MM)


def test_single_voxels_lie_apart_by_their_millimeters() -> None:
    one = boxes(((1, 1, 1), (2, 2, 2)))
    assert compare(one, boxes(((2, 1, 1), (3, 2, 2)))).surface == (3, 0)
    assert compare(one, boxes(((1, 1, 3), (2, 2, 4)))).surface == (2, 1)  # as far as the tolerance
    assert compare(one, boxes(((2, 5, 1), (3, 6, 2)))).surface == (5, 0)


def test_empty_masks() -> None:
    one, nothing = boxes(((1, 1, 1), (4, 4, 4))), boxes()
    assert compare(one, nothing).surface == (hypot(60, 40, 40), 0)
    assert compare(nothing, one).surface == (None, None)
    assert compare(nothing, nothing).lesions == Lesions(0, 0, 0, 0, None)
    assert compare(nothing, one).lesions == Lesions(0, 1, 0, 1, 0)
    assert compare(one, nothing).lesions == Lesions(1, 0, 0, 0, 0)


def test_two_lesions_of_the_model_in_one_of_the_experts_count_together() -> None:
    truth = boxes(((2, 2, 2), (4, 10, 4)))  # 32 voxels
    mask = boxes(((2, 2, 2), (4, 5, 4)), ((2, 7, 2), (4, 10, 4)))  # 12 and 12
    assert compare(truth, mask).lesions == Lesions(1, 2, 1, 0, pytest.approx(2 * 24 / (32 + 24)))


def test_a_corner_connects_voxels() -> None:
    mask = boxes(((1, 1, 1), (2, 2, 2)), ((2, 2, 2), (3, 3, 3)))
    assert compare(mask, mask).lesions == Lesions(1, 1, 1, 0, 1)


def test_lesions_have_the_figures_of_panoptica() -> None:
    truth = boxes(((2, 4, 4), (10, 14, 14)), ((12, 25, 25), (16, 31, 33)), ((3, 30, 5), (6, 34, 9)))
    mask = boxes(
        ((3, 5, 4), (10, 14, 16)), ((13, 26, 25), (17, 31, 32)), ((15, 5, 30), (18, 9, 34)), ((2, 20, 30), (5, 24, 34))
    )
    found = compare(truth, mask).lesions
    # panoptica 2.1.7 on these arrays (instances by connected components, NaiveThresholdMatching at 0.1: tp 2, fp 2,
    # fn 1): it pins a NumPy of before, so its figures stand here.
    f1, mean_dice = 0.5714285714285714, 0.7211493790070307
    assert (found.found, found.false, found.missed) == (2, 2, 1)
    assert 2 * found.found / (found.truth + found.found + found.false) == pytest.approx(f1)
    assert found.dice == pytest.approx(mean_dice * 2 / (2 + 2 + 1))


# monai 1.6 calls its own function with an argument that it has deprecated.
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
def test_random_masks_have_the_figures_of_monai() -> None:
    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(5)
    for _ in range(6):
        noise = gaussian_filter(random.normal(size=(2, 12, 24, 20)), (0, 1, 2, 2), mode="nearest")
        truth, mask = noise > np.quantile(noise, random.uniform(0.7, 0.97))
        pair = [torch.from_numpy(one[None, None]) for one in (mask, truth)]
        hd95 = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=SPACING_MM)
        dice = compute_surface_dice(*pair, [TOLERANCE_MM], include_background=True, spacing=SPACING_MM)
        assert compare(truth, mask).surface == (pytest.approx(hd95.item()), pytest.approx(dice.item()))

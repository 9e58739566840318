"""Outlines of masks: filled by whoever has nothing of ours, they are the masks again."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.exports.outlines import is_hole, outlines


def filled(polygons: list[NDArray], shape: tuple[int, int]) -> NDArray[np.bool]:
    """Pixels whose centers lie inside an odd number of polygons, by rays along the rows."""
    inside = np.zeros(shape, bool)
    for polygon in polygons:
        for (row, column), (next_row, _) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            low, high = sorted((row, next_row))  # edges run along rows or columns
            for crossed in range(int(np.ceil(low)), int(np.floor(high)) + 1):
                inside[crossed] ^= np.arange(shape[1]) > column
    return inside


@pytest.mark.parametrize("seed", range(8))
def test_outlines_filled_are_the_mask(seed: int) -> None:
    mask = np.random.default_rng(seed).random((17, 23)) < (seed + 1) / 10
    assert (filled(outlines(mask), mask.shape) == mask).all()


def test_a_square_has_four_corners_half_a_pixel_outside() -> None:
    mask = np.zeros((6, 8), bool)
    mask[1:3, 2:6] = True
    [square] = outlines(mask)
    assert sorted(map(tuple, square.tolist())) == [(0.5, 1.5), (0.5, 5.5), (2.5, 1.5), (2.5, 5.5)]
    assert not is_hole(square)


def test_a_hole_is_an_outline_of_its_own_and_known_as_one() -> None:
    mask = np.ones((5, 5), bool)
    mask[2, 2] = False
    assert sorted(map(is_hole, outlines(mask))) == [False, True]


def test_nothing_has_no_outline() -> None:
    assert outlines(np.zeros((4, 4), bool)) == []

"""Lesions of a stack: how many, how large, where and on which side, against figures computed by hand."""

import math
import time

import numpy as np
import pytest

from ml.lesions.lesions import LISTED, Patient, Side, find_lesions, find_middle

# Columns run to the patient's left, rows to the back, slices to the head, 1 mm each; x is 20 mm in the first column.
AFFINE = ((0.0, 0.0, -1.0, 20.0), (0.0, -1.0, 0.0, 20.0), (1.0, 0.0, 0.0, 5.0), (0.0, 0.0, 0.0, 1.0))


def test_an_ellipsoid_of_thick_slices() -> None:
    spacing_mm = (5.0, 0.5, 1.0)
    slices, rows, columns = np.mgrid[:30, :200, :100]
    half = (30.0, 20.0, 35.0)
    place = [
        (index - size / 2 + 0.5) * mm
        for index, size, mm in zip((slices, rows, columns), (30, 200, 100), spacing_mm, strict=True)
    ]
    mask = sum((at / semi) ** 2 for at, semi in zip(place, half, strict=True)) <= 1

    found = find_lesions(mask, spacing_mm[1], spacing_mm[2])

    (lesion,) = found.listed
    assert found.count == 1
    assert lesion.voxels * math.prod(spacing_mm) == pytest.approx(4 / 3 * math.pi * math.prod(half), rel=0.01)
    assert (lesion.first_slice, lesion.last_slice, lesion.largest_slice) == (9, 20, 14)
    assert lesion.area_pixels * 0.5 == pytest.approx(math.pi * 20 * 35, rel=0.02)
    assert lesion.diameters.longest.length == pytest.approx(70, abs=1.2)
    assert lesion.diameters.perpendicular.length == pytest.approx(40, abs=1.2)
    assert lesion.center == pytest.approx((14.5, 99.5, 49.5))
    assert (lesion.center_mm, lesion.side) == (None, None)


def test_what_touches_by_a_corner_is_one_lesion_and_the_largest_comes_first() -> None:
    mask = np.zeros((6, 8, 8), bool)
    mask[0, 0, 0] = True  # one voxel
    mask[2, 2:4, 2:4] = mask[3, 4, 4] = True  # by a corner, through a slice: five voxels
    mask[5, 6, 6:] = True  # two

    found = find_lesions(mask)

    assert [lesion.voxels for lesion in found.listed] == [5, 2, 1]
    first, second, third = found.listed
    assert (first.first_slice, first.last_slice, first.largest_slice, first.area_pixels) == (2, 3, 2, 4)
    assert first.diameters.longest.length == pytest.approx(math.sqrt(8))
    assert first.diameters.longest.start in ((2, 2), (2, 4), (4, 2), (4, 4))
    assert second.center == (5, 6, 6.5)
    assert third.diameters.product == pytest.approx(2, abs=1e-5)
    assert find_lesions(np.zeros((2, 3, 3), bool)).listed == ()


@pytest.mark.parametrize(
    ("columns", "side"), [(slice(2, 10), Side.RIGHT), (slice(30, 38), Side.LEFT), (slice(10, 32), Side.BOTH)]
)
def test_sides_are_the_patients(columns: slice, side: Side) -> None:
    mask = np.zeros((3, 40, 40), bool)
    mask[1, 18:22, columns] = True
    (lesion,) = find_lesions(mask, patient=Patient(AFFINE, middle_mm=0.5)).listed
    middle_column = (columns.start + columns.stop - 1) / 2
    assert lesion.center_mm == pytest.approx((20 - middle_column, 20 - 19.5, 6))
    assert lesion.side is side


def test_the_middle_is_the_heads_and_not_the_pictures() -> None:
    pixels = np.zeros((4, 40, 60, 3), np.uint8)
    pixels[:, 5:35, 30:51] = 120  # columns 30 to 50: x from -10 to -30
    assert find_middle(pixels, np.array([1, 2]), AFFINE) == pytest.approx(-20)
    assert find_middle(np.zeros_like(pixels), np.array([1]), AFFINE) is None
    assert find_middle(pixels, np.array([], int), AFFINE) is None


def test_a_million_specks_are_counted_and_few_of_them_measured() -> None:
    mask = np.zeros((128, 256, 256), bool)
    mask[::2, ::2, ::2] = True
    began = time.monotonic()
    found = find_lesions(mask)
    assert (found.count, len(found.listed)) == (64 * 128 * 128, LISTED)
    assert {lesion.voxels for lesion in found.listed} == {1}
    assert time.monotonic() - began < 10

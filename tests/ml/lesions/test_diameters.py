"""Diameters of lesions against figures computed by hand: `measure_diameters` says how pixels count."""

import math
import time

import numpy as np
import pytest

from ml.lesions.diameters import Diameters, measure_diameters


def drawn(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def lengths(found: Diameters) -> tuple[float, float]:
    return found.longest.length, found.perpendicular.length


@pytest.mark.parametrize(
    ("mask", "row_mm", "column_mm", "longest", "perpendicular"),
    [
        # One square pixel: its two diagonals.
        (drawn("...", ".#.", "..."), 1, 1, math.sqrt(2), math.sqrt(2)),
        # One of 3 x 4 mm: the diagonal of 5 mm; across it the other sides are 3 / cos = 3 * 5 / 4 mm apart.
        (drawn("#"), 3, 4, 5, 3.75),
        # 3 rows of 2 mm and 4 columns of 1 mm: 6 x 4 mm, the diagonal, and 4 * sqrt(52) / 6 across.
        (drawn("####", "####", "####"), 2, 1, math.sqrt(52), 4 * math.sqrt(52) / 6),
        # A row of five: sqrt(26) corner to corner, and the height of 1 divided by the cosine 5 / sqrt(26).
        (drawn("#####"), 1, 1, math.sqrt(26), math.sqrt(26) / 5),
        # Two that touch by a corner alone are one part: along both diagonals, across one of them.
        (drawn("#.", ".#"), 1, 1, math.sqrt(8), math.sqrt(2)),
        # Two parts: the larger one is measured.
        (drawn("###.#"), 1, 1, math.sqrt(10), math.sqrt(10) / 3),
        # A rim is measured across what it encloses, as the square that it would be.
        (drawn("###", "#.#", "###"), 1, 1, math.sqrt(18), math.sqrt(18)),
        # A cross of arms of 1 x 1: corner to corner of two opposite arms, sqrt(10). Across it, lines have slope 3: from
        # (0, 1 + 1/6) to (3, 2 - 1/6), for instance, which is as long: 3 * sqrt(10) / 3.
        (drawn(".#.", "###", ".#."), 1, 1, math.sqrt(10), math.sqrt(10)),
    ],
)  # fmt: skip
def test_diameters_of_few_pixels(
    mask: np.ndarray, row_mm: float, column_mm: float, longest: float, perpendicular: float
) -> None:
    found = measure_diameters(mask, row_mm, column_mm)
    assert found.longest.length == pytest.approx(longest, abs=1e-5)
    assert found.perpendicular.length == pytest.approx(perpendicular, abs=1e-5)
    assert found.product == pytest.approx(longest * perpendicular, abs=1e-4)


def test_a_perpendicular_does_not_leave_the_lesion() -> None:
    # Two bars of 20 x 2 joined at their left end: 20 x 10 with a notch of 18 x 6.
    mask = np.zeros((10, 20), bool)
    mask[:2] = mask[-2:] = mask[:, :2] = True
    found = measure_diameters(mask)
    assert found.longest.length == pytest.approx(math.hypot(10, 20))
    # A line across the diagonal runs two rows for a column: the longest one inside, from (6, 0) to (0, 3), passes the
    # inner corner at (2, 2).
    assert found.perpendicular.length == pytest.approx(math.hypot(6, 3), abs=1e-5)
    (top, left), (bottom, right) = found.perpendicular.start, found.perpendicular.end
    for share in np.linspace(0.001, 0.999, 500):
        assert mask[int(top + share * (bottom - top)), int(left + share * (right - left))]


@pytest.mark.parametrize("degrees", [0, 17, 30, 45, 77, 120])
@pytest.mark.parametrize(("row_mm", "column_mm"), [(1.0, 1.0), (0.5, 1.25)])
def test_tilted_boxes_and_ellipses(degrees: float, row_mm: float, column_mm: float) -> None:
    rows, columns = np.mgrid[: int(200 / row_mm), : int(200 / column_mm)]
    x, y = (columns + 0.5) * column_mm - 100, (rows + 0.5) * row_mm - 100
    angle = math.radians(degrees)
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    pixel = math.hypot(row_mm, column_mm)

    longest, perpendicular = lengths(measure_diameters((along / 70) ** 2 + (across / 40) ** 2 <= 1, row_mm, column_mm))
    assert 140 - pixel <= longest <= 140 + pixel
    assert 80 - pixel <= perpendicular <= 80 + pixel

    # A box of 120 x 50: its diagonal of 130, and across it 50 / (120 / 130).
    longest, perpendicular = lengths(measure_diameters((abs(along) <= 60) & (abs(across) <= 25), row_mm, column_mm))
    assert 130 - pixel <= longest <= 130 + pixel
    assert 50 / (120 / 130) - pixel <= perpendicular <= 50 / (120 / 130) + 1.5 * pixel


def test_lines_are_given_where_they_lie_and_at_right_angles() -> None:
    mask = np.zeros((40, 60), bool)
    mask[11:14, 20:30] = True  # 3 x 10
    found = measure_diameters(mask, 2.0, 1.0)
    start, end = (np.array(point) for point in (found.longest.start, found.longest.end))
    assert {tuple(start), tuple(end)} in ({(11, 20), (14, 30)}, {(11, 30), (14, 20)})
    across = np.array(found.perpendicular.end) - np.array(found.perpendicular.start)
    unit = np.array([2.0, 1.0])
    assert np.dot(across * unit, (end - start) * unit) == pytest.approx(0, abs=1e-9)
    assert float(np.linalg.norm(across * unit)) == pytest.approx(found.perpendicular.length)


def test_noise_and_combs_take_no_long_time() -> None:
    noise = np.random.default_rng(0).random((512, 512)) < 0.5
    comb = np.zeros((512, 512), bool)
    comb[::2] = comb[:, :1] = True
    began = time.monotonic()
    for mask in (noise, comb, np.ones((512, 512), bool)):
        measure_diameters(mask)
    assert time.monotonic() - began < 5


def test_an_empty_mask_has_no_diameter() -> None:
    with pytest.raises(ValueError, match="empty"):
        measure_diameters(np.zeros((4, 4), bool))

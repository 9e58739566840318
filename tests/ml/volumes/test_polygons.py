"""Filling polygons: even-odd by the centers of pixels, and their path belongs to them."""

import numpy as np
import pytest

from ml.exports.outlines import outlines
from ml.volumes import polygons
from ml.volumes.polygons import count_crossings, fill


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("at_once", [7, 2**20], ids=["in parts", "at once"])
def test_outlines_along_pixel_edges_filled_together_are_the_mask(
    seed: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polygons, "_AT_ONCE", at_once)
    mask = np.random.default_rng(seed).random((17, 23)) < (seed + 1) / 7
    found = np.zeros_like(mask)
    for polygon in outlines(mask):
        inside, on_path = fill(polygon, mask.shape)
        assert not on_path.any()
        found ^= inside
    np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize("places", [[(2, 2), (2, 6), (5, 6), (5, 2)], [(1, 4), (4, 7), (7, 4), (4, 1)]])
@pytest.mark.parametrize("rounding", [0.0, 0.01, -0.01])
def test_a_path_through_centers_is_in_the_polygon(places: list[tuple[int, int]], rounding: float) -> None:
    inside, on_path = fill(np.array(places, np.float64) + rounding, (9, 9))
    rows, columns = np.indices((9, 9))
    if places[0] == (2, 2):
        wanted = (rows >= 2) & (rows <= 5) & (columns >= 2) & (columns <= 6)
    else:
        wanted = np.abs(rows - 4) + np.abs(columns - 4) <= 3
    np.testing.assert_array_equal(inside | on_path, wanted)


def test_what_lies_outside_of_the_picture_is_cut_off() -> None:
    inside, on_path = fill(np.array([(-3.4, -2.4), (-3.4, 20.0), (2.4, 20.0), (2.4, -2.4)]), (5, 6))
    np.testing.assert_array_equal(inside | on_path, np.indices((5, 6))[0] <= 2)


@pytest.mark.parametrize("places", [[(1, 1)], [(1, 1), (1, 3)], [(0.4, 0.4), (0.5, 0.4), (0.4, 0.5)]])
def test_a_point_and_a_line_mark_the_centers_on_them(places: list[tuple[float, float]]) -> None:
    inside, on_path = fill(np.array(places, np.float64), (4, 5))
    wanted = {(row, column) for row, column in [(1, 1), (1, 2), (1, 3)][: 3 if len(places) == 2 else 1]}
    assert set(map(tuple, np.argwhere(inside | on_path).tolist())) == (wanted if len(places) < 3 else set())


def test_the_cost_of_a_polygon_is_that_of_its_edges_within_the_picture() -> None:
    spikes = np.array([(0.0, 0.0), (1e9, 0.0)] * 50)
    assert count_crossings(spikes, 100) <= 100 * 100 + 100

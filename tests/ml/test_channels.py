"""Extremes over channels, and what is found without looking at every pixel: the same as by the plain expressions."""

import hypothesis.extra.numpy
import numpy as np
from hypothesis import given
from numpy.typing import NDArray

from ml.channels import brightest_channel, channel_ranges
from ml.volumes.silhouettes import enclosed


@given(hypothesis.extra.numpy.arrays(np.uint8, (2, 5, 6, 3)))
def test_extremes_over_channels_are_those_of_numpy(pixels: NDArray[np.uint8]) -> None:
    for taken in (pixels, pixels[:, ::2, 1:]):  # whole, and a view with gaps
        assert (brightest_channel(taken) == taken.max(axis=-1)).all()
        expected = taken.max(axis=(1, 2)).astype(np.int16) - taken.min(axis=(1, 2))
        assert (channel_ranges(taken) == expected).all()


@given(hypothesis.extra.numpy.arrays(np.bool, (6, 9)))
def test_what_is_enclosed_has_a_lit_pixel_on_all_four_sides(is_lit: NDArray[np.bool]) -> None:
    spread = np.logical_or.accumulate
    expected = spread(is_lit, axis=0) & spread(is_lit[::-1], axis=0)[::-1]
    expected &= spread(is_lit, axis=1) & spread(is_lit[:, ::-1], axis=1)[:, ::-1]
    assert (enclosed(is_lit) == expected).all()

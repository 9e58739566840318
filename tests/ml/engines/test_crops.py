"""Crops to the brain: nothing bright is left out, sizes are those that are compiled, and maps come back in place."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.cards import Architecture, Card, InputConvention
from ml.engines import EngineError
from ml.engines.crops import DARK, STRIDE, Crop, find_crop, sizes_of_crops
from ml.engines.inference import NetworkEngine

SIDE = 128
SIZES = sizes_of_crops((SIDE, SIDE))
CARD = Card(
    name="fake",
    version=None,
    architecture=Architecture("unet", "vgg16", 3, 1),
    input=InputConvention((SIDE, SIDE), ("a", "b", "c"), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    threshold=0.5,
    min_tumor_pixels=4,
    files={},
    crops=SIZES,
)


class FakeEngine(NetworkEngine):
    """A network that is a function of crops with their pixels."""

    name = "fake"

    def __init__(self, network, crops=SIZES, training=None):
        super().__init__(CARD, crops, training=training)
        self._run_network = network

    def _run(self, inputs, _count):
        return self._run_network(inputs)


def brightness(inputs):
    """A network whose probability is the first channel, and whose features are each channel's mean."""
    for _, pixels in inputs:
        yield pixels[0].copy(), pixels.mean(axis=(1, 2))


def slice_with(top, left, height, width, value=200):
    pixels = np.full((SIDE, SIDE, 3), 3, dtype=np.uint8)
    pixels[top : top + height, left : left + width] = value
    return pixels


def test_sizes_are_made_of_squares_and_smaller_than_the_grid():
    assert sizes_of_crops((256, 256)) == ((160, 128), (192, 160), (240, 192), (256, 224))
    for grid in ((64, 64), (224, 224), (512, 512), (256, 320)):
        for height, width in sizes_of_crops(grid):
            assert height % STRIDE == width % STRIDE == 0
            assert height <= grid[0] and width <= grid[1] and height * width < grid[0] * grid[1]
    assert sizes_of_crops((16, 16)) == ()


@settings(max_examples=200)
@given(st.integers(0, 127), st.integers(0, 127), st.integers(1, 128), st.integers(1, 128))
def test_nothing_bright_is_left_out_and_there_is_a_margin_where_there_is_room(top, left, height, width):
    height, width = min(height, SIDE - top), min(width, SIDE - left)
    grid = slice_with(top, left, height, width, DARK + 1)
    crop = find_crop(grid, SIZES)
    assert crop.size in {*SIZES, (SIDE, SIDE)}
    assert crop.top % STRIDE == crop.left % STRIDE == 0
    assert crop.top >= 0 and crop.top + crop.height <= SIDE and crop.left >= 0 and crop.left + crop.width <= SIDE
    outside = grid.copy()
    crop.of(outside)[...] = 0
    assert outside.max() <= DARK
    assert crop.top <= max(0, top - 8) and crop.top + crop.height >= min(SIDE, top + height + 8)
    assert crop.left <= max(0, left - 8) and crop.left + crop.width >= min(SIDE, left + width + 8)


def test_one_bright_pixel_in_a_corner_or_any_channel_widens_the_crop():
    grid = slice_with(50, 50, 20, 20)
    assert find_crop(grid, SIZES).size == min(SIZES)
    grid[0, 0, 2] = DARK + 1
    assert find_crop(grid, SIZES).size != min(SIZES)


def test_dark_slices_and_cards_without_crops_are_taken_whole():
    assert find_crop(slice_with(0, 0, 0, 0), SIZES) == Crop(0, 0, SIDE, SIDE)
    assert find_crop(slice_with(50, 50, 20, 20), ()) == Crop(0, 0, SIDE, SIDE)


def test_maps_and_features_of_cropped_slices_are_those_of_whole_ones():
    stack = np.stack(
        [slice_with(60, 70, 20, 30), slice_with(0, 0, SIDE, SIDE), slice_with(5, 90, 30, 30), slice_with(60, 60, 9, 9)]
    )
    stack[stack == 3] = 0  # features take the dark for black
    stack[1, 64, 64] = 0  # of one color it would be blank
    cropped = FakeEngine(brightness).infer(stack)
    whole = FakeEngine(brightness, crops=()).infer(stack)
    assert np.array_equal(cropped.probability_u8, whole.probability_u8) and np.array_equal(
        cropped.probability_u8, stack[..., 0]
    )
    np.testing.assert_allclose(cropped.features, whole.features, atol=1e-6)


def test_the_network_sees_one_size_after_the_other_and_nothing_of_blank_slices():
    seen = []

    def watch(inputs):
        for crop, pixels in inputs:
            assert pixels.shape[1:] == crop.size
            seen.append(crop.size)
            yield pixels[0], None

    small, large, blank = slice_with(60, 60, 9, 9), slice_with(0, 0, SIDE, SIDE), slice_with(0, 0, 0, 0)
    large[5, 5] = 0
    engine = FakeEngine(watch)
    engine.warm_up()
    assert sorted(seen) == sorted([*SIZES, (SIDE, SIDE)])
    seen.clear()
    found = engine.infer(np.stack([large, small, blank, large, small]))
    assert seen == sorted(seen) and len(seen) == 4
    assert not found.probability_u8[2].any()


def test_answer_of_nan_is_an_error_not_an_empty_mask():
    def answer(probability, feature):
        return lambda inputs: (
            (np.full(crop.size, probability, np.float32), np.full(5, feature, np.float32)) for crop, _ in inputs
        )

    for probability, feature in ((np.nan, 0.0), (0.5, np.nan)):
        with pytest.raises(EngineError, match="NaN"):
            FakeEngine(answer(probability, feature)).infer(slice_with(60, 60, 9, 9)[None])


def test_slices_are_looked_at_once_and_while_the_network_works():
    under_way, looked = deque(), []

    class Known:
        def is_known(self, plane):
            looked.append((int(plane.max()), len(under_way)))
            return plane.max() == 103

    def network(inputs):  # as OpenVINO's engine takes them: one slice at a time, and one that waits
        for _, pixels in inputs:
            if len(under_way) == 2:
                yield under_way.popleft()
            under_way.append((pixels[0].copy(), None))
        while under_way:
            yield under_way.popleft()

    pixels = np.stack([slice_with(10, 10, 60, 40, 100 + index) for index in range(5)] + [slice_with(0, 0, 1, 1, 3)])
    found = FakeEngine(network, training=Known()).infer(pixels)
    assert found.is_of_training.tolist() == [False, False, False, True, False, False]
    assert sorted(level for level, _ in looked) == [3, *range(100, 105)]
    assert all(count for level, count in looked if level != 3)  # of one color: it needs no network

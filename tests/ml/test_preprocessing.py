"""The one resize: identity on the model's own grid, aspect kept elsewhere, and back."""

from dataclasses import replace

import numpy as np
import pytest

from ml.cards import InputConvention
from ml.preprocessing import (
    Letterbox,
    letterbox,
    place_labels_on_grid,
    place_on_grid,
    quantize,
    resize_to_scan,
    to_model_grid,
)

IMAGENET = InputConvention((256, 256), ("a", "b", "c"), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
PLAIN = InputConvention((64, 64), ("a", "b", "c"), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def test_scan_on_the_models_grid_is_only_normalized():
    pixels = np.random.default_rng(1).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    inputs = to_model_grid(pixels, IMAGENET)
    expected = (pixels / 255 - np.array(IMAGENET.mean)) / np.array(IMAGENET.std)
    assert inputs.shape == (2, 3, 256, 256)
    assert inputs.dtype == np.float32
    assert inputs.flags.c_contiguous
    np.testing.assert_allclose(inputs, expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_map_on_the_models_grid_comes_back_pixel_for_pixel():
    q = np.random.default_rng(2).integers(0, 256, (2, 256, 256), dtype=np.uint8)
    assert np.array_equal(quantize(resize_to_scan(q.astype(np.float32) / 255, 256, 256)), q)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((64, 64), Letterbox(0, 0, 64, 64)),
        ((512, 256), Letterbox(0, 16, 64, 32)),
        ((32, 64), Letterbox(16, 0, 32, 64)),
        ((16, 4096), Letterbox(31, 0, 1, 64)),
    ],
)
def test_letterbox_keeps_the_aspect_and_centres(shape, expected):
    assert letterbox(*shape, (64, 64)) == expected


def test_what_lies_outside_the_scan_is_black():
    inputs = to_model_grid(np.full((1, 128, 64, 3), 255, dtype=np.uint8), PLAIN)
    assert (inputs[0, :, :, 16:48] == 1).all()
    assert (inputs[0, :, :, :16] == 0).all()
    assert (inputs[0, :, :, 48:] == 0).all()


@pytest.mark.parametrize("shape", [(200, 120), (40, 64), (31, 17), (1024, 16)])
def test_a_square_comes_back_where_it_was_whatever_the_scans_shape(shape):
    height, width = shape
    pixels = np.zeros((1, height, width, 3), dtype=np.uint8)
    pixels[0, height // 2 :, :, :] = 255
    q = quantize(resize_to_scan(to_model_grid(pixels, PLAIN)[:, 0], height, width))
    assert q.shape == (1, height, width)
    assert (q[0, : int(height * 0.4)] < 30).all()
    assert (q[0, int(height * 0.6) + 1 :] > 225).all()


def test_quantize_rounds_and_clips():
    values = np.array([-0.1, 0, 0.5 / 255 + 1e-6, 0.998, 1, 1.2], dtype=np.float32)
    assert quantize(values).tolist() == [0, 0, 1, 254, 255, 255]


@pytest.mark.parametrize("shape", [(64, 64), (256, 256), (200, 120), (40, 64), (100, 300)])
def test_labels_lie_where_their_slice_lies(shape):
    height, width = shape
    labels = np.zeros(shape, dtype=np.uint8)
    labels[height // 4 : height // 2, width // 4 : width // 2] = 3
    pixels = np.repeat((labels > 0)[None, ..., None] * np.uint8(255), 3, axis=3)
    placed = place_labels_on_grid(labels, PLAIN.size)
    image = place_on_grid(pixels, PLAIN)[0, ..., 0]
    assert (placed.shape, placed.dtype) == (PLAIN.size, np.uint8)
    assert set(np.unique(placed)) == {0, 3}
    assert (image[placed == 3] >= 100).all()
    assert (image[placed == 0] <= 155).all()


def test_labels_on_the_models_grid_stay_as_they_are():
    labels = np.random.default_rng(3).integers(0, 4, (64, 64), dtype=np.uint8)
    assert np.array_equal(place_labels_on_grid(labels, (64, 64)), labels)


def test_planes_choose_channels_before_they_are_normalized():
    pixels = np.random.default_rng(4).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    flair = InputConvention((64, 64), ("FLAIR",), mean=(0.25,), std=(0.5,), planes=(1,))
    inputs = to_model_grid(pixels, flair)
    assert inputs.shape == (2, 1, 64, 64)
    np.testing.assert_allclose(inputs[:, 0], (pixels[..., 1] / 255 - 0.25) / 0.5, atol=1e-6)
    swapped = InputConvention((64, 64), ("a", "b"), mean=(0.0,) * 2, std=(1.0,) * 2, planes=(2, 0))
    np.testing.assert_allclose(to_model_grid(pixels, swapped), pixels[..., [2, 0]].transpose(0, 3, 1, 2) / 255)


def test_equalized_slices_use_all_gray_levels_and_keep_their_order():
    dark = np.linspace(10, 60, 64 * 64).astype(np.uint8).reshape(1, 64, 64, 1).repeat(3, axis=3)
    equalized = place_on_grid(dark, replace(PLAIN, is_equalized=True))
    assert (equalized.min(), equalized.max()) == (0, 255)
    for channel in range(3):
        values = equalized[0, ..., channel].ravel()
        assert (np.diff(values.astype(int)) >= 0).all()
    assert equalized.shape == (1, 64, 64, 3)


def test_equalized_black_slice_stays_black():
    black = np.zeros((1, 64, 64, 3), dtype=np.uint8)
    assert not place_on_grid(black, replace(PLAIN, is_equalized=True)).any()

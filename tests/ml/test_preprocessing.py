"""The one resize: identity on the model's own grid, aspect kept elsewhere, and back."""

import numpy as np
import pytest

from ml.cards import InputConvention
from ml.preprocessing import Letterbox, letterbox, quantize, to_model_grid, to_scan_grid

IMAGENET = InputConvention((256, 256), ("a", "b", "c"), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
PLAIN = InputConvention((64, 64), ("a", "b", "c"), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def test_scan_on_the_models_grid_is_only_normalised():
    pixels = np.random.default_rng(1).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    inputs = to_model_grid(pixels, IMAGENET)
    expected = (pixels / 255 - np.array(IMAGENET.mean)) / np.array(IMAGENET.std)
    assert inputs.shape == (2, 3, 256, 256)
    assert inputs.dtype == np.float32
    assert inputs.flags.c_contiguous
    np.testing.assert_allclose(inputs, expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_map_on_the_models_grid_comes_back_pixel_for_pixel():
    q = np.random.default_rng(2).integers(0, 256, (2, 256, 256), dtype=np.uint8)
    assert np.array_equal(to_scan_grid(q.astype(np.float32) / 255, 256, 256), q)


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
    q = to_scan_grid(to_model_grid(pixels, PLAIN)[:, 0], height, width)
    assert q.shape == (1, height, width)
    assert (q[0, : int(height * 0.4)] < 30).all()
    assert (q[0, int(height * 0.6) + 1 :] > 225).all()


def test_quantize_rounds_and_clips():
    values = np.array([-0.1, 0, 0.5 / 255 + 1e-6, 0.998, 1, 1.2], dtype=np.float32)
    assert quantize(values).tolist() == [0, 0, 1, 254, 255, 255]

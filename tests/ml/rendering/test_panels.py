"""Pictures: sizes, colors, and pixels that survive the PNG."""

import io

import numpy as np
import pytest
from PIL import Image

from ml.rendering.colormap import INFERNO
from ml.rendering.panels import (
    TUMOR,
    encode_png,
    heatmap_image,
    mask_image,
    outline,
    overlay_image,
    panels_image,
    probability_image,
    scan_image,
    thumbnail_image,
)


@pytest.fixture
def pixels():
    return np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8)


@pytest.fixture
def mask():
    mask = np.zeros((90, 120), dtype=bool)
    mask[30:60, 40:80] = True
    return mask


def test_png_gives_the_pixels_back(pixels, mask):
    for image, expected in ((scan_image(pixels), pixels), (mask_image(mask), mask * np.uint8(255))):
        decoded = Image.open(io.BytesIO(encode_png(image)))
        decoded.verify()  # checks every chunk's CRC
        decoded = Image.open(io.BytesIO(encode_png(image)))
        assert decoded.mode == image.mode
        assert np.array_equal(np.asarray(decoded), expected)


def test_probability_image_holds_q_itself():
    q = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(probability_image(q))))), q)


def test_png_of_one_pixel_and_of_another_mode():
    one = Image.open(io.BytesIO(encode_png(Image.new("L", (1, 1), 7))))
    assert one.getpixel((0, 0)) == 7
    with pytest.raises(ValueError, match="RGBA"):
        encode_png(Image.new("RGBA", (1, 1)))


def test_overlay_leaves_pixels_outside_the_mask_and_outlines_in_full_red(pixels, mask):
    overlay = np.asarray(overlay_image(pixels, mask, opacity=0.5))
    assert np.array_equal(overlay[~mask], pixels[~mask])
    assert (overlay[outline(mask)] == TUMOR).all()
    inside = mask & ~outline(mask)
    np.testing.assert_allclose(overlay[inside], pixels[inside] * 0.5 + np.array(TUMOR) * 0.5, atol=0.5)


def test_outline_is_one_pixel_wide_and_closed_at_the_images_edge():
    full = np.ones((4, 5), dtype=bool)
    assert outline(full).sum() == 4 * 5 - 2 * 3
    assert outline(np.ones((1, 3), dtype=bool)).all()


def test_heatmap_rises_in_lightness_with_the_probability():
    lightness = INFERNO @ np.array([0.2126, 0.7152, 0.0722])  # Rec. 709 luma
    assert (np.diff(lightness) >= -0.5).all()
    assert lightness[-1] - lightness[0] > 200
    assert np.asarray(heatmap_image(np.array([[0, 255]], dtype=np.uint8))).tolist() == [INFERNO[[0, 255]].tolist()]


@pytest.mark.parametrize("shape", [(256, 256), (90, 120), (20, 300), (300, 20), (1400, 900)])
def test_panels_and_thumbnail_of_any_shape(shape):
    pixels, q = np.zeros((*shape, 3), dtype=np.uint8), np.full(shape, 255, dtype=np.uint8)
    panels = panels_image(pixels, q, q > 0, caption="Tumor detected " * 100)
    assert panels.mode == "RGB"
    assert max(thumbnail_image(pixels, q > 0, side=96).size) == 96
    assert panels.width < 4 * 512 + 150


def test_small_finding_is_still_seen_in_the_thumbnail(pixels):
    mask = np.zeros((512, 512), dtype=bool)
    mask[100:106, 200:206] = True
    thumbnail = np.asarray(thumbnail_image(np.zeros((512, 512, 3), dtype=np.uint8), mask))
    assert (thumbnail == TUMOR).all(axis=-1).any()

"""PNG, JPEG and WebP: what pixels become."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from ml.scans import Limits, Scan, read_scan
from tests.support import scan_files


@pytest.fixture
def read(tmp_path: Path):
    def read(data: bytes) -> Scan:
        path = tmp_path / "scan"
        path.write_bytes(data)
        return read_scan(path, Limits())

    return read


@pytest.mark.parametrize("name", list(scan_files.every_format()))
def test_every_format_becomes_a_stack_of_three_channels(read, name):
    scan = read(scan_files.every_format()[name])
    assert scan.format == name.split()[0]
    assert scan.pixels.dtype == np.uint8
    assert scan.pixels.shape == (5 if name == "tiff stack" else 1, scan_files.HEIGHT, scan_files.WIDTH, 3)
    assert scan.pixels.flags.c_contiguous
    assert scan.pixels.max() > 200
    assert scan.geometry is None


@pytest.mark.parametrize("name", ["png", "webp"])
def test_lossless_8_bit_color_is_taken_as_it_is(read, name):
    pixels = scan_files.noise(3)
    options = {"lossless": True, "exact": True} if name == "webp" else {}
    assert np.array_equal(read(scan_files.picture(pixels, name, **options)).pixels[0], pixels)


def test_gray_is_repeated_in_three_channels(read):
    gray = scan_files.noise()
    assert np.array_equal(read(scan_files.picture(gray, "png")).pixels[0], np.repeat(gray[..., None], 3, axis=2))


def test_jpeg_is_near(read):
    pixels = scan_files.noise(3)
    difference = read(scan_files.picture(pixels, "jpeg", quality=98, subsampling=0)).pixels[0].astype(int) - pixels
    assert np.abs(difference).mean() < 4


def test_a_16_bit_png_is_scaled_by_percentiles_and_keeps_its_order(read):
    pixels = scan_files.noise(dtype="uint16") // 16 + 1000
    scan = read(scan_files.deep_png(pixels))
    assert scan.warnings == ("intensity_scaled",)
    low, high = np.percentile(pixels, (0.5, 99.5))
    expected = np.rint(np.clip((pixels - low) / (high - low), 0, 1) * 255)
    assert np.abs(scan.pixels[0, ..., 0] - expected).max() <= 1


def test_16_bit_color_keeps_more_than_its_upper_byte(read):
    pixels = scan_files.noise(3, dtype="uint16") // 256  # all upper bytes are 0
    assert len(np.unique(read(scan_files.deep_png(pixels)).pixels)) > 100


def test_transparency_is_blended_with_black(read):
    pixels = np.full((20, 20, 4), 200, np.uint8)
    pixels[:10, :, 3], pixels[10:, :, 3] = 0, 255
    scan = read(scan_files.picture(pixels, "png"))
    assert scan.warnings == ("alpha_removed",)
    assert (scan.pixels[0, :10] == 0).all()
    assert (scan.pixels[0, 10:] == 200).all()


def test_opaque_alpha_is_no_warning(read):
    pixels = np.dstack([scan_files.noise(3), np.full((scan_files.HEIGHT, scan_files.WIDTH), 255, np.uint8)])
    scan = read(scan_files.picture(pixels, "png"))
    assert scan.warnings == ()
    assert np.array_equal(scan.pixels[0], pixels[..., :3])


def test_a_palette_becomes_its_colors(read):
    image = Image.fromarray(scan_files.noise(3)).quantize(16)
    expected = np.asarray(image.convert("RGB"))
    indices = np.asarray(image)
    file_image = Image.fromarray(indices, "L").convert("P")
    file_image.putpalette(image.getpalette())
    file = io.BytesIO()
    file_image.save(file, "png")
    assert np.array_equal(read(file.getvalue()).pixels[0], expected)


def test_a_cmyk_jpeg_becomes_rgb(read):
    image = Image.fromarray(scan_files.noise(3)).convert("CMYK")
    file = io.BytesIO()
    image.save(file, "jpeg", quality=95)
    scan = read(file.getvalue())
    assert scan.warnings == ("cmyk_converted",)
    assert np.abs(scan.pixels[0].astype(int) - scan_files.noise(3)).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_exif_rotation_is_applied_as_pillow_does(read, name, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    data = scan_files.picture(scan_files.noise(3), name, exif=exif.tobytes())
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert np.array_equal(read(data).pixels[0], expected)


def test_dots_per_inch_are_no_spacing(read):
    assert read(scan_files.picture(scan_files.noise(), "png", dpi=(72, 72))).geometry is None
    assert read(scan_files.picture(scan_files.noise(), "jpeg", dpi=(72, 72))).geometry is None


def test_of_an_animation_the_first_picture_is_read(read):
    frames = [Image.fromarray(np.roll(scan_files.noise(3), 5 * k, axis=0)) for k in range(3)]
    file = io.BytesIO()
    frames[0].save(file, "webp", save_all=True, append_images=frames[1:], lossless=True)
    scan = read(file.getvalue())
    assert scan.pixels.shape[0] == 1
    assert scan.warnings == ("first_frame_only",)


def test_a_constant_image_is_read_with_a_warning(read):
    assert read(scan_files.picture(np.full((20, 20), 9, np.uint8), "png")).warnings == ("constant",)
    scan = read(scan_files.deep_png(np.full((20, 20), 900, np.uint16)))
    assert set(scan.warnings) == {"constant", "intensity_scaled"}
    assert (scan.pixels == 0).all()


@pytest.mark.data
def test_a_real_slice_keeps_every_pixel(read, real_data):
    path = next(path for path in sorted((real_data / "lgg").glob("*/*.webp")))
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    scan = read(path.read_bytes())
    assert scan.warnings == ()
    assert np.array_equal(scan.pixels[0], expected)
    assert np.array_equal(read(scan_files.tiff(expected, photometric="rgb")).pixels[0], expected)

"""Bad images, one test for each promise: the code of the answer, through the sandbox, and nothing left behind."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
import tifffile

from tests.support import scan_files
from tests.support.deflate_bombs import zlib_stream


@pytest.mark.parametrize("name", list(scan_files.every_format()))
def test_a_cut_file_is_unreadable(refuse, name):
    data = scan_files.every_format()[name]
    for part in (0.3, 0.6, 0.9):
        assert refuse(data[: int(len(data) * part)]).code == "unreadable"


@pytest.mark.parametrize("name", ["png rgb", "png 16 bit", "tiff tiled deflate"])
def test_a_flipped_bit_is_unreadable_where_the_format_has_a_checksum(refuse, name):
    data = bytearray(scan_files.every_format()[name])
    offset = data.find(b"IDAT") + 30 if name.startswith("png") else len(data) - 40
    data[offset] ^= 4
    assert refuse(bytes(data)).code == "unreadable"


def test_an_empty_file_is_empty(refuse):
    assert refuse(b"").code == "empty"


def test_three_bytes_are_unreadable(refuse):
    assert refuse(b"\xff\xd8\xff").code == "unreadable"
    assert refuse(b"abc").code == "unreadable"


@pytest.mark.parametrize(
    "data",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n",
        b"<!doctype html><script>alert(1)</script>",
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
        b"GIF89a" + bytes(100),
        b"MZ\x90\0" + bytes(100),
        b"PK\x03\x04" + bytes(100),
        b"RIFF\x24\0\0\0WAVEfmt " + bytes(100),
        bytes(1000),
    ],
    ids=["eps", "html", "pdf", "gif", "exe", "zip", "wave", "zeros"],
)
def test_another_kind_of_file_is_unsupported(refuse, data):
    assert refuse(data).code == "unsupported"


@pytest.mark.parametrize("tail", [b"<script>alert(1)</script>", b"PK\x03\x04" + bytes(64)], ids=["script", "zip"])
def test_a_jpeg_with_something_behind_it_is_accepted(decode, tail):
    assert decode(scan_files.picture(scan_files.noise(3), "jpeg") + tail).format == "jpeg"


@pytest.mark.parametrize("side", [50_000, 2**31 - 1])
def test_an_enormous_header_is_a_limit(refuse, side):
    assert refuse(scan_files.png(side, side)).code == "limit"
    assert refuse(scan_files.tiff_with({256: (4, 1, side), 257: (4, 1, side)})).code == "limit"


def test_an_enormous_jpeg_or_webp_header_is_a_limit(refuse):
    jpeg = bytearray(scan_files.picture(scan_files.noise(3), "jpeg"))
    frame = jpeg.find(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 50_000, 50_000)
    assert refuse(bytes(jpeg)).code == "limit"
    webp = bytearray(scan_files.picture(scan_files.noise(3), "webp"))
    frame = webp.find(b"\x9d\x01\x2a")
    webp[frame + 3 : frame + 7] = struct.pack("<HH", 16_383, 16_383)
    assert refuse(bytes(webp)).code == "limit"


def test_an_honest_image_of_zeros_beyond_the_limit_is_a_limit(refuse):
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(13_001)) for _ in range(13_000)) + packer.flush()
    assert refuse(scan_files.png(13_000, 13_000, rows=rows)).code == "limit"
    assert refuse(scan_files.tiff(np.zeros((13_000, 13_000), np.uint8), compression="zlib")).code == "limit"


@pytest.mark.parametrize(("width", "height"), [(0, 16), (16, 0), (0, 0)])
def test_zero_width_is_unreadable(refuse, width, height):
    assert refuse(scan_files.png(width, height)).code == "unreadable"
    assert refuse(scan_files.tiff_with({256: (3, 1, width), 257: (3, 1, height)})).code == "unreadable"


@pytest.mark.parametrize("side", [1, 15])
def test_a_tiny_image_is_too_small(refuse, side):
    pixels = np.full((side, 20), 7, np.uint8)
    for data in (scan_files.picture(pixels, "png"), scan_files.picture(pixels, "webp"), scan_files.tiff(pixels)):
        assert refuse(data).code == "too_small"


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_text_chunk_that_inflates_to_80_mb_is_unreadable(refuse, kind, place):
    packed = zlib.compress(bytes(80 * 2**20), 9)
    head = b"Comment\0\0" if kind == b"zTXt" else b"Comment\0\x01\0\0\0"
    bomb = scan_files.png_chunk(kind, head + packed)
    data = scan_files.png(16, 16, extra=bomb if place == "before" else b"")
    if place == "after":
        data = data[:-12] + bomb + data[-12:]
    assert refuse(data).code == "unreadable"


@pytest.mark.parametrize("back_to", [8 + 256, 8 + 256 + 2 + 9 * 12 + 4])
def test_a_tiff_directory_loop_ends_within_a_second(refuse, back_to):
    data = scan_files.tiff_with({}, next_offset=back_to)
    if back_to >= len(data):  # a loop that does not come back to the first page
        second = scan_files.tiff_with({})[8 + 256 : -4]
        data += second + struct.pack("<I", back_to)
    started = time.monotonic()
    assert refuse(data).code == "unreadable"
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "tags",
    [
        {277: (3, 1, 60_000)},
        {277: (3, 1, 0)},
        {258: (3, 1, 65_535)},
        {258: (3, 1, 0)},
        {273: (4, 1, 2**32 - 1)},
        {273: (4, 1, 0)},
        {279: (4, 1, 2**31)},
        {279: (4, 1, 3)},
        {279: (4, 1, 0)},
        {273: (4, 2**31, 8)},
        {256: (4, 2**30, 8)},
        {278: (3, 1, 0)},
        {322: (4, 1, 2**31 - 1), 323: (4, 1, 2**31 - 1), 324: (4, 1, 8), 325: (4, 1, 256)},
        {322: (4, 1, 0), 323: (4, 1, 0), 324: (4, 1, 8), 325: (4, 1, 256)},
        {259: (3, 1, 60_000)},
        {262: (3, 1, 60_000)},
        {339: (3, 1, 77)},
        {32997: (4, 1, 2**31 - 1)},
        {262: (3, 1, 3)},
        {262: (3, 1, 3), 320: (3, 2**30, 8)},
    ],
    ids=str,
)
def test_absurd_samples_or_offsets_are_refused(refuse, tags):
    assert refuse(scan_files.tiff_with(tags)).code in ("unreadable", "limit")


def test_three_thousand_pages_are_a_limit(refuse):
    assert refuse(scan_files.tiff(np.zeros((3000, 16, 16), np.uint8), photometric="minisblack")).code == "limit"


def test_more_voxels_than_the_limit_are_a_limit(refuse):
    stack = np.zeros((70, 1024, 1024), np.uint8)
    assert refuse(scan_files.tiff(stack, photometric="minisblack", compression="zlib")).code == "limit"


def test_pages_of_different_sizes_are_unreadable(refuse):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(np.zeros((20, 20), np.uint8))
        writer.write(np.zeros((24, 20), np.uint8))
    assert refuse(file.getvalue()).code == "unreadable"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_nan_or_infinite_pixels_are_unreadable(refuse, value, dtype):
    stack = np.ones((3, 20, 20), dtype)
    stack[1, 5, 5] = value
    error = refuse(scan_files.tiff(stack, photometric="minisblack"))
    assert error.code == "unreadable"
    assert "NaN" in error.message


def test_a_deflated_strip_that_inflates_to_a_gigabyte_is_refused(refuse):
    bomb = zlib_stream(1024)
    data = scan_files.tiff_with({259: (3, 1, 8), 279: (4, 1, len(bomb)), 273: (4, 1, 8)}, pixels=bomb)
    assert refuse(data).code in ("unreadable", "limit")


@pytest.mark.parametrize("name", ["png 16 bit", "tiff cmyk", "png rgba", "tiff 16 bit rgb"])
def test_unusual_but_honest_images_are_accepted(decode, name):
    decoded = decode(scan_files.every_format()[name])
    assert (decoded.width, decoded.height, decoded.slice_count) == (scan_files.WIDTH, scan_files.HEIGHT, 1)

"""Hostile and odd files over HTTP: the status and code of the answer, and no row or file left behind."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from tests.support import scan_files
from tests.webapp.clients import NOTHING, SCANS, send, traces


def _zeros_png(side: int) -> bytes:
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    return scan_files.png(side, side, rows=rows)


def _pages_of_two_sizes() -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(np.zeros((20, 20), np.uint8))
        writer.write(np.zeros((24, 20), np.uint8))
    return file.getvalue()


def _with_value(value: float) -> bytes:
    pixels = np.ones((20, 20), np.float32)
    pixels[3, 3] = value
    return scan_files.tiff(pixels)


def _text_bomb() -> bytes:
    packed = zlib.compress(bytes(80 * 2**20), 9)
    return scan_files.png(16, 16, extra=scan_files.png_chunk(b"zTXt", b"Comment\0\0" + packed))


def _flipped(data: bytes) -> bytes:
    offset = data.find(b"IDAT") + 30
    return data[:offset] + bytes([data[offset] ^ 4]) + data[offset + 1 :]


GOOD = scan_files.every_format()
LOOP = scan_files.tiff_with({}, next_offset=8 + 256)

# name of the file: its bytes, the status, the code
REFUSED = {
    "eps.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "unsupported"),
    "html.png": (b"<!doctype html><script>alert(1)</script>", 415, "unsupported"),
    "pdf.png": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", 415, "unsupported"),
    "x.png.exe": (b"MZ\x90\0" + bytes(100), 415, "unsupported"),
    "svg.png": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', 415, "unsupported"),
    "zip.tif": (b"PK\x03\x04" + bytes(100), 422, "unreadable"),
    "empty.png": (b"", 422, "empty"),
    "three_bytes.png": (b"\x89PN", 422, "unreadable"),
    "cut.png": (GOOD["png rgb"][:150], 422, "unreadable"),
    "cut.jpg": (GOOD["jpeg rgb"][:400], 422, "unreadable"),
    "cut.tif": (GOOD["tiff rgb"][:-200], 422, "unreadable"),
    "cut.webp": (GOOD["webp"][:100], 422, "unreadable"),
    "flipped.png": (_flipped(GOOD["png rgb"]), 422, "unreadable"),
    "header_50000.png": (scan_files.png(50_000, 50_000), 422, "limit"),
    "header_2_31.png": (scan_files.png(2**31 - 1, 2**31 - 1), 422, "limit"),
    "honest_13000.png": (_zeros_png(13_000), 422, "limit"),
    "zero_width.png": (scan_files.png(0, 16), 422, "unreadable"),
    "zero_width.tif": (scan_files.tiff_with({256: (3, 1, 0)}), 422, "unreadable"),
    "text_of_80_mb.png": (_text_bomb(), 422, "unreadable"),
    "one_pixel.png": (scan_files.picture(np.zeros((1, 1), np.uint8), "png"), 422, "too_small"),
    "loop.tif": (LOOP, 422, "unreadable"),
    "samples_60000.tif": (scan_files.tiff_with({277: (3, 1, 60_000)}), 422, ("unreadable", "limit")),
    "offset_4g.tif": (scan_files.tiff_with({273: (4, 1, 2**32 - 1)}), 422, "unreadable"),
    "pages_3000.tif": (scan_files.tiff(np.zeros((3000, 16, 16), np.uint8), photometric="minisblack"), 422, "limit"),
    "two_sizes.tif": (_pages_of_two_sizes(), 422, "unreadable"),
    "nan.tif": (_with_value(np.nan), 422, "unreadable"),
    "infinite.tif": (_with_value(np.inf), 422, "unreadable"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_file_is_refused_and_leaves_nothing(app: Flask, client: FlaskClient, name: str) -> None:
    data, status, codes = REFUSED[name]
    response = send(client, (name, data))
    assert (response.status_code, response.json["code"]) == (status, response.json["code"])
    assert response.json["code"] in ((codes,) if isinstance(codes, str) else codes)
    assert response.json["message"].endswith(".")
    assert set(response.json) == {"code", "message", "request_id", "rejected"}
    assert traces(app) == NOTHING


def _rotated_jpeg() -> bytes:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scan_files.noise(3)).save(file, "JPEG", exif=exif)
    return file.getvalue()


# name of the file: its bytes, format, width and height as accepted
ACCEPTED = {
    "deep.png": (GOOD["png 16 bit"], "png", 48, 40),
    "alpha.png": (GOOD["png rgba"], "png", 48, 40),
    "cmyk.tif": (GOOD["tiff cmyk"], "tiff", 48, 40),
    "stack.tif": (GOOD["tiff stack"], "tiff", 48, 40),
    "lossy.webp": (GOOD["webp lossy"], "webp", 48, 40),
    "rotated.jpg": (_rotated_jpeg(), "jpeg", 40, 48),
    "script_behind.jpg": (GOOD["jpeg rgb"] + b"<script>alert(1)</script>", "jpeg", 48, 40),
    "zip_behind.jpg": (GOOD["jpeg rgb"] + b"PK\x03\x04" + bytes(64), "jpeg", 48, 40),
    "a_tiff_called.png": (GOOD["tiff rgb"], "tiff", 48, 40),
    "without_an_ending": (GOOD["png rgb"], "png", 48, 40),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_odd_but_honest_file_is_accepted(client: FlaskClient, name: str) -> None:
    data, kind, width, height = ACCEPTED[name]
    response = send(client, (name, data))
    assert response.status_code == 202, response.json
    scan = response.json["scans"][0]
    assert (scan["format"], scan["width"], scan["height"]) == (kind, width, height)


def test_only_re_encoded_pixels_are_shown_inline(client: FlaskClient) -> None:
    scan = send(client, ("x.jpg", GOOD["jpeg rgb"] + b"<script>alert(1)</script>")).json["scans"][0]
    picture = client.get(f"{SCANS}/{scan['id']}/scan.png")
    assert picture.mimetype == "image/png" and b"script" not in picture.data
    assert struct.unpack(">II", picture.data[16:24]) == (48, 40)
    original = client.get(f"{SCANS}/{scan['id']}/original", buffered=True)
    assert original.data.endswith(b"</script>")
    assert original.mimetype == "application/octet-stream"
    assert original.headers["Content-Disposition"].startswith("attachment")

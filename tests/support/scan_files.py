"""Small images of every format, made from a fixed seed, and the pieces that hostile ones are made of."""

import io
import struct
import zlib

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 40, 48


def noise(*channels: int, dtype: str = "uint8") -> NDArray:
    """(HEIGHT, WIDTH, *channels): smooth enough that lossy formats stay near, over the type's whole range."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    base = (rows * 3 + columns * 2) / (3 * (HEIGHT - 1) + 2 * (WIDTH - 1))
    planes = np.stack([np.roll(base, 7 * k, axis=1) for k in range(channels[0])], axis=-1) if channels else base
    return np.rint(planes * np.iinfo(dtype).max).astype(dtype)


def tiff(pixels: NDArray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def picture(pixels: NDArray, name: str, **options: object) -> bytes:
    """Through Pillow. name: "png", "jpeg" or "webp"."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, name, **options)
    return file.getvalue()


def deep_png(pixels: NDArray) -> bytes:
    return bytes(imagecodecs.png_encode(pixels))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, extra: bytes = b"", rows: bytes | None = None) -> bytes:
    """A gray 8-bit PNG with any header; rows: the compressed pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    if rows is None:
        rows = zlib.compress(bytes(17 * 16), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    )


def tiff_with(tags: dict[int, tuple[int, int, int]], next_offset: int = 0, pixels: bytes = bytes(256)) -> bytes:
    """A little-endian TIFF of 16 x 16 gray pixels, with tags (code: type, count, value) added or replaced."""
    entries = {
        256: (3, 1, 16),
        257: (3, 1, 16),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
        273: (4, 1, 8),
        277: (3, 1, 1),
        278: (3, 1, 16),
        279: (4, 1, 256),
        **tags,
    }
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", code, *entry) for code, entry in sorted(entries.items()))
    return struct.pack("<2sHI", b"II", 42, 8 + len(pixels)) + pixels + directory + struct.pack("<I", next_offset)


def every_format() -> dict[str, bytes]:
    """One file of each kind that the portal takes."""
    colors, gray = noise(3), noise()
    return {
        "png gray": picture(gray, "png"),
        "png rgb": picture(colors, "png"),
        "png rgba": picture(noise(4), "png"),
        "png gray alpha": picture(noise(2), "png"),
        "png 16 bit": deep_png(noise(dtype="uint16")),
        "png 16 bit rgb": deep_png(noise(3, dtype="uint16")),
        "jpeg gray": picture(gray, "jpeg", quality=95),
        "jpeg rgb": picture(colors, "jpeg", quality=95),
        "webp": picture(colors, "webp", lossless=True),
        "webp lossy": picture(colors, "webp"),
        "tiff gray": tiff(gray),
        "tiff rgb": tiff(colors, photometric="rgb"),
        "tiff rgba": tiff(noise(4), photometric="rgb", extrasamples=["unassalpha"]),
        "tiff cmyk": tiff(noise(4), photometric="separated"),
        "tiff palette": tiff(gray, photometric="palette", colormap=np.tile(np.arange(256, dtype="u2") * 257, (3, 1))),
        "tiff 16 bit": tiff(noise(dtype="uint16")),
        "tiff 16 bit rgb": tiff(noise(3, dtype="uint16"), photometric="rgb"),
        "tiff float": tiff(noise().astype(np.float32) / 255),
        "tiff stack": tiff(np.stack([gray] * 5), photometric="minisblack"),
        "tiff planar": tiff(np.moveaxis(colors, -1, 0).copy(), photometric="rgb", planarconfig="separate"),
        "tiff tiled deflate": tiff(gray, tile=(16, 16), compression="zlib"),
        "tiff lzw": tiff(gray, compression="lzw", predictor=True),
        "tiff jpeg": tiff(colors, compression="jpeg", photometric="ycbcr"),
        "tiff packbits": tiff(gray, compression="packbits"),
        "tiff big": tiff(gray, bigtiff=True),
        "tiff big-endian": tiff(noise(dtype="uint16"), byteorder=">"),
    }

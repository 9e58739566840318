"""The largest images that the limits admit are decoded inside the memory and time of a child, not refused by it."""

import time

import numpy as np
import pytest

from ml.scans import Limits
from tests.ml.scans import samples

SIDE = int(Limits().max_pixels_per_slice ** 0.5)


def _ramp(dtype: str, *channels: int) -> np.ndarray:
    plane = (np.add.outer(np.arange(SIDE), np.arange(SIDE)) % 251).astype(dtype)
    return np.repeat(plane[..., None], channels[0], axis=2) if channels else plane


def _make(name: str) -> bytes:
    match name:
        case "png rgba":
            return samples.picture(_ramp("uint8", 4), "png", compress_level=1)
        case "tiff cmyk":
            return samples.tiff(_ramp("uint8", 4), photometric="separated")
        case "tiff 16 bit rgb":
            return samples.tiff(_ramp("uint16", 3), photometric="rgb")
        case _:
            stack = np.repeat(_ramp("float32")[None, :512, :512], 256, axis=0)
            return samples.tiff(stack, photometric="minisblack", compression="zlib")


@pytest.mark.long
@pytest.mark.parametrize("name", ["png rgba", "tiff cmyk", "tiff 16 bit rgb", "tiff float stack"])
def test_the_largest_admitted_image_is_decoded(decode, name, figure):
    data = _make(name)
    started = time.monotonic()
    decoded = decode(data)
    seconds = time.monotonic() - started
    figure(f"{name}: {decoded.slice_count} x {decoded.width} x {decoded.height} in {seconds:.1f} s")
    assert decoded.width in (SIDE, 512)

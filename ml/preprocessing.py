"""From a scan's grid to the model's and back: the only resize in the project.

Training, evaluation and the portal call these functions, so a model sees the same pixels everywhere and every
result is in the scan's own grid. A 256 x 256 scan and a 256 x 256 model need no resize: both functions then leave every
pixel where it is. This module never imports torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ml.cards import InputConvention


@dataclass(frozen=True)
class Letterbox:
    """Where a scan lies on the model's grid, in pixels of that grid; all around it is black."""

    top: int
    left: int
    height: int
    width: int


def letterbox(height: int, width: int, size: tuple[int, int]) -> Letterbox:
    """The largest centered box of the scan's shape that fits `size` (height, width); each side has at least one pixel.

    The scan's aspect is kept: stretching would change the shape of what the model looks for.
    """
    scale = min(size[0] / height, size[1] / width)
    box_height = min(size[0], max(1, round(height * scale)))
    box_width = min(size[1], max(1, round(width * scale)))
    return Letterbox((size[0] - box_height) // 2, (size[1] - box_width) // 2, box_height, box_width)


def to_model_grid(pixels: NDArray[np.uint8], convention: InputConvention) -> NDArray[np.float32]:
    """Slices as the network takes them, each without neighbors: it stands in for them.

    pixels: uint8 (N, H, W, 3). Returns float32 (N, slices * C, h, w), contiguous, x = (v / 255 - mean) / std.
    """
    inputs = normalize(place_on_grid(pixels, convention), convention)
    return inputs if convention.slices == 1 else np.tile(inputs, (1, convention.slices, 1, 1))


def place_on_grid(pixels: NDArray[np.uint8], convention: InputConvention) -> NDArray[np.uint8]:
    """The convention's planes on the model's grid, before they are normalized (training augments in between).

    pixels: uint8 (N, H, W, 3). Returns uint8 (N, h, w, C); what lies outside the scan is black (v = 0), as a scan's
    background is. Pillow's bilinear filter, which averages where it shrinks.
    """
    if convention.planes is not None and convention.planes != tuple(range(pixels.shape[3])):
        pixels = pixels[..., list(convention.planes)]
    count, height, width, channels = pixels.shape
    if (height, width) == convention.size:
        grid = pixels
    else:
        box = letterbox(height, width, convention.size)
        grid = np.zeros((count, *convention.size, channels), dtype=np.uint8)
        for index in range(count):
            small = _resize(pixels[index], box, Image.Resampling.BILINEAR)
            grid[index, box.top : box.top + box.height, box.left : box.left + box.width] = small
    return _equalize(grid) if convention.is_equalized else grid


def place_labels_on_grid(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """An expert's labels where `place_on_grid` puts their slice. labels: uint8 (H, W). Returns uint8 (h, w).

    Nearest neighbor: no label is invented between two others.
    """
    if labels.shape == size:
        return labels
    height, width = labels.shape
    box = letterbox(height, width, size)
    grid = np.zeros(size, dtype=np.uint8)
    small = _resize(labels[..., None], box, Image.Resampling.NEAREST)[..., 0]
    grid[box.top : box.top + box.height, box.left : box.left + box.width] = small
    return grid


def normalize(grid: NDArray[np.uint8], convention: InputConvention) -> NDArray[np.float32]:
    """uint8 (N, h, w, C) of any size -> float32 (N, C, h, w), contiguous, x = (v / 255 - mean) / std."""
    count, height, width, channels = grid.shape
    mean = np.asarray(convention.mean, dtype=np.float32)
    std = np.asarray(convention.std, dtype=np.float32)
    # A table of 256 values a channel: the same arithmetic once per gray level, not once per pixel.
    levels = (np.arange(256, dtype=np.float32)[:, None] / np.float32(255) - mean) / std  # (256, C)
    inputs = np.empty((count, channels, height, width), dtype=np.float32)
    for channel in range(channels):
        np.take(levels[:, channel], grid[..., channel], out=inputs[:, channel], mode="clip")  # no copy of `out`
    return inputs


def normalize_together(slices: Sequence[NDArray[np.uint8]], convention: InputConvention) -> NDArray[np.float32]:
    """A slice between its neighbors as the network takes them, from the lowest on.

    slices: `convention.slices` of uint8 (h, w, C). Returns float32 (slices * C, h, w), each slice as by `normalize`.
    """
    parts = [normalize(one[None], convention)[0] for one in slices]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def black_input(convention: InputConvention, size: tuple[int, int]) -> NDArray[np.float32]:
    """What the network takes for black slices of `size`, float32 (slices * C, h, w)."""
    black = np.zeros((*size, len(convention.channels)), dtype=np.uint8)
    return normalize_together([black] * convention.slices, convention)


def resize_to_scan(probabilities: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Probability maps on the scan's grid.

    probabilities: float32 (N, h, w) in [0, 1], on the model's grid. Returns float32 (N, height, width): p after the
    letterbox is cut away and the rest brought to the scan's grid (bilinear).
    """
    count, *size = probabilities.shape
    box = letterbox(height, width, (size[0], size[1]))
    inside = probabilities[:, box.top : box.top + box.height, box.left : box.left + box.width]
    if (box.height, box.width) == (height, width):
        return inside
    resized = np.empty((count, height, width), dtype=np.float32)
    for index in range(count):
        small = Image.fromarray(np.ascontiguousarray(inside[index], dtype=np.float32))
        resized[index] = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))
    return resized


def quantize(probabilities: NDArray[np.floating]) -> NDArray[np.uint8]:
    """round(255 p) as uint8, p clipped to [0, 1]; any shape. Halves round to even, as NumPy does."""
    rounded: NDArray[np.uint8] = np.rint(np.clip(probabilities, 0, 1) * 255).astype(np.uint8)
    return rounded


def _resize(pixels: NDArray[np.uint8], box: Letterbox, method: Image.Resampling) -> NDArray[np.uint8]:
    """uint8 (H, W, C), C of 1 or 3 -> uint8 (box.height, box.width, C)."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
    small = np.asarray(image.resize((box.width, box.height), method))
    return small.reshape(box.height, box.width, pixels.shape[2])


def _equalize(grid: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each channel of each slice with a flat histogram (Pillow's global equalization). uint8 (N, h, w, C), a copy."""
    equal = np.empty_like(grid)
    for index in range(len(grid)):
        for channel in range(grid.shape[3]):
            plane = Image.fromarray(np.ascontiguousarray(grid[index, ..., channel]))
            equal[index, ..., channel] = np.asarray(ImageOps.equalize(plane))
    return equal

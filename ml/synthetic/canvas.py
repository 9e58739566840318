"""What every drawn image is made with: coordinates, soft shapes, smooth noise, and planes joined to pixels."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]  # height, width
Plane = NDArray[np.float64]  # (H, W)


def coordinates(size: Size) -> tuple[Plane, Plane]:
    """x to the right and y downwards, from -1 to 1 over each side."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    return 2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1


def ellipse(
    grid: tuple[Plane, Plane], center: tuple[float, float], half_axes: tuple[float, float], turn: float = 0.0
) -> Plane:
    """Distance from the center in half axes: 1 on the edge. turn: radians."""
    x, y = grid[0] - center[0], grid[1] - center[1]
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    distance: Plane = np.hypot(along / half_axes[0], across / half_axes[1])
    return distance


def inside(radius: Plane, edge: float = 1.0, softness: float = 0.04) -> Plane:
    """1 well inside the edge, 0 well outside."""
    amount: Plane = 0.5 - 0.5 * np.tanh((radius - edge) / softness)
    return amount


def smooth_noise(random: np.random.Generator, size: Size, knots: int) -> Plane:
    """Noise of mean 0 and deviation 1 with about `knots` bumps along each side (bicubic between them)."""
    coarse = Image.fromarray(random.standard_normal((knots + 2, knots + 2)).astype(np.float32))
    plane = np.asarray(coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC), np.float64)
    standard: Plane = (plane - plane.mean()) / max(float(plane.std()), 1e-9)
    return standard


def fractal_noise(random: np.random.Generator, size: Size, octaves: int = 5, persistence: float = 0.55) -> Plane:
    """Layers of smooth noise, each twice as fine and `persistence` times as strong (Perlin, SIGGRAPH 1985); 0 to 1."""
    plane = np.zeros(size)
    for octave in range(octaves):
        plane += persistence**octave * smooth_noise(random, size, 2 ** (octave + 1))
    low, high = plane.min(), plane.max()
    spread: Plane = (plane - low) / max(high - low, 1e-9)
    return spread


def to_pixels(planes: Plane | list[Plane]) -> NDArray[np.uint8]:
    """One plane (gray) or three, values 0 to 255 (cut there) -> uint8 (H, W, 3)."""
    stacked = np.stack(planes if isinstance(planes, list) else [planes] * 3, axis=-1)
    return np.clip(np.rint(stacked), 0, 255).astype(np.uint8)

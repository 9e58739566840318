"""Textures without any object: noise of several spectra, stripes and boards, clouds."""

import numpy as np
from numpy.typing import NDArray

from ml.synthetic.canvas import Plane, Size, coordinates, fractal_noise, smooth_noise, to_pixels


def draw_noise(random: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """Noise whose amplitude falls as frequency^-a, a from 0 (white) to 2; gray, color, or salt and pepper."""
    if random.random() < 0.2:
        share = random.uniform(0.05, 0.5)
        return to_pixels(np.where(random.random(size) < share, 255.0, 0.0))
    exponent = random.choice([0.0, 0.5, 1.0, 1.5, 2.0])
    middle, contrast = random.uniform(40, 200), random.uniform(10, 60)
    planes = [middle + contrast * _draw_spectrum(random, size, exponent) for _ in range(random.choice([1, 3]))]
    return to_pixels(planes[0] if len(planes) == 1 else planes)


def draw_pattern(random: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """Stripes, waves, boards, rings or dots of one period, turned by any angle."""
    x, y = coordinates(size)
    x, y = x * size[1] / max(size), y * size[0] / max(size)
    turn, periods = random.uniform(0, np.pi), random.uniform(3, 40)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    waves = (np.sin(np.pi * periods * along), np.sin(np.pi * periods * across))
    kind = random.integers(5)
    if kind == 0:
        amount = (waves[0] > random.uniform(-0.6, 0.6)).astype(float)
    elif kind == 1:
        amount = 0.5 + 0.5 * waves[0]
    elif kind == 2:
        amount = (waves[0] * waves[1] > 0).astype(float)
    elif kind == 3:
        amount = 0.5 + 0.5 * np.sin(np.pi * periods * np.hypot(x, y))
    else:
        amount = (waves[0] + waves[1] > 1.1).astype(float)
    low, high = random.uniform(0, 90, 3), random.uniform(110, 255, 3)
    if random.random() < 0.6:
        low, high = low[:1].repeat(3), high[:1].repeat(3)
    return to_pixels([low[i] + (high[i] - low[i]) * amount for i in range(3)])


def draw_clouds(random: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """Fractal noise, plain, folded like marble, or ringed like wood; gray or between two colors."""
    plane = fractal_noise(random, size, persistence=random.uniform(0.4, 0.75))
    kind = random.integers(3)
    if kind == 1:
        plane = np.abs(np.sin(6 * np.pi * plane))
    elif kind == 2:
        plane = (plane * random.uniform(5, 12)) % 1
    low, high = random.uniform(0, 120, 3), random.uniform(100, 255, 3)
    if random.random() < 0.5:
        return to_pixels(low[0] + (high[0] - low[0]) * plane)
    return to_pixels([low[i] + (high[i] - low[i]) * plane for i in range(3)])


def _draw_spectrum(random: np.random.Generator, size: Size, exponent: float) -> Plane:
    """Mean 0, deviation 1; amplitude ~ frequency^-exponent."""
    if exponent == 0:
        return random.standard_normal(size)
    rows, columns = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf  # no constant part
    plane = np.fft.irfft2(np.fft.rfft2(random.standard_normal(size)) * frequency**-exponent, s=size)
    return plane / max(float(plane.std()), 1e-9) + 0.1 * smooth_noise(random, size, 2)

"""One drawn slice of a head: tissues as soft masks, then their intensities in each channel.

A head is skin and fat, dark skull, brain with folded cortex, ventricles and falx. A lesion is bright on FLAIR and dark
on the other two, with a soft, uneven edge. Levels follow the LGG data set by eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.synthetic.canvas import Plane, inside, smooth_noise, to_pixels

SIZE = 256
_ASPECT = (0.68, 0.83)  # half width and half height of the head, as parts of half the slice
_SOFTNESS = 0.012  # of the edges of tissues, in radii


@dataclass(frozen=True)
class Lesion:
    """An ellipsoid: center and half axes as parts of half the slice's side; `middle` and `depth` in slices."""

    x: float
    y: float
    width: float
    height: float
    middle: float = 0.0
    depth: float = 1.0

    def scale_at(self, index: int) -> float:
        """How large it is in slice `index`, 0 to 1."""
        return float(np.sqrt(max(1 - ((index - self.middle) / self.depth) ** 2, 0)))


@dataclass(frozen=True)
class _Levels:
    """Intensities of one channel, 0 to 255."""

    scalp: float
    skull: float
    gray: float
    white: float
    fluid: float
    falx: float
    lesion: float


# In the order of the channels: pre-contrast, FLAIR, post-contrast.
_CHANNELS = (
    _Levels(scalp=170, skull=14, gray=56, white=74, fluid=18, falx=34, lesion=46),
    _Levels(scalp=135, skull=16, gray=78, white=62, fluid=14, falx=40, lesion=150),
    _Levels(scalp=160, skull=16, gray=62, white=76, fluid=20, falx=135, lesion=50),
)


def draw_slice(
    seed: int, index: int, level: float, lesion: Lesion | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool]]:
    """Pixels uint8 (256, 256, 3) and the lesion bool (256, 256).

    level: -1 (base of the skull) to 1 (crown). The same seed is the same head; index is the slice of the stack.
    """
    anatomy = np.random.default_rng(seed)
    grain = np.random.default_rng((seed, index))
    y, x = np.mgrid[0:SIZE, 0:SIZE] / (SIZE / 2) - 1.0
    size = np.sqrt(1 - 0.75 * level**2)
    radius = np.hypot(x / (_ASPECT[0] * size), (y + 0.03) / (_ASPECT[1] * size)) + 0.012 * _noise(anatomy, 40)
    folds = _noise(anatomy, 11) + 0.5 * _noise(anatomy, 6)

    brain = inside(radius, 0.87, _SOFTNESS)
    near_surface = _band(radius, 0.60, 0.90, 0.06)
    gray = np.clip(np.exp(-((folds / 0.55) ** 2)) * near_surface + _band(radius, 0.82, 0.9), 0, 1)
    ventricles = _draw_ventricles(x, y, level, 0.006 * _noise(anatomy, 14)) * brain
    sulci = 0.8 * np.exp(-((folds / 0.16) ** 2)) * _band(radius, 0.70, 0.90, 0.04)
    fluid = np.clip(ventricles + sulci, 0, 1)
    falx = (
        np.exp(-(((x + 0.004 * _noise(anatomy, 50)) / 0.008) ** 2)) * np.clip((np.abs(y) - 0.26) / 0.08, 0, 1) * brain
    )
    shading = 1 + 0.04 * _noise(anatomy, 28)
    mask, amount = _draw_lesion(x, y, index, lesion, anatomy)
    amount = amount * brain * (1 - ventricles)

    channels: list[Plane] = []
    for levels in _CHANNELS:
        head = _band(radius, 0.94, 1.0) * levels.scalp * (1 + 0.12 * _noise(anatomy, 8))
        head += _band(radius, 0.87, 0.94) * levels.skull
        head += brain * _mix(levels.white, levels.gray, gray) * shading * (1 + 0.03 * _noise(grain, 2))
        head = _mix(head, levels.fluid, fluid * brain)
        head = _mix(head, levels.falx, falx)
        head = _mix(head, levels.lesion * (1 + 0.09 * _noise(anatomy, 9)), amount)
        channels.append(head + 1.8 * grain.standard_normal(head.shape) * (0.35 + brain))
    return to_pixels(channels), mask & (brain > 0.5) & (ventricles < 0.5)


def _draw_ventricles(x: Plane, y: Plane, level: float, wobble: Plane) -> Plane:
    """The lateral ventricles: two bent horns, widest in the middle of the head; 0 to 1."""
    width = 0.06 * max(1 - (level / 0.5) ** 2, 0)
    if width < 0.01:
        return np.zeros_like(x)
    middle = 0.055 + 0.45 * (y - 0.02) ** 2
    taper = np.sqrt(np.clip(1 - ((y + 0.02) / 0.34) ** 2, 0, 1))
    return np.clip(((width + wobble) * taper - np.abs(np.abs(x) - middle)) / 0.015, 0, 1)


def _draw_lesion(
    x: Plane, y: Plane, index: int, lesion: Lesion | None, anatomy: np.random.Generator
) -> tuple[NDArray[np.bool], Plane]:
    """Truth, and the soft amount (0 to 1) of lesion in each pixel."""
    wobble = 0.13 * _noise(anatomy, 16)  # drawn in any case: a head is the same with and without
    scale = lesion.scale_at(index) if lesion is not None else 0.0
    if lesion is None or scale < 0.25:
        return np.zeros(x.shape, bool), np.zeros_like(x)
    radius = np.hypot((x - lesion.x) / (lesion.width * scale), (y - lesion.y) / (lesion.height * scale)) + wobble
    return radius < 1, inside(radius, 1.0, 0.09)


def _mix(below: Plane | float, above: Plane | float, amount: Plane) -> Plane:
    return below * (1 - amount) + above * amount


def _band(radius: Plane, inner: float, outer: float, softness: float = _SOFTNESS) -> Plane:
    """1 between two radii, 0 elsewhere."""
    return inside(radius, outer, softness) - inside(radius, inner, softness)


def _noise(generator: np.random.Generator, step: int) -> Plane:
    """Smooth noise of mean 0 and deviation 1; step: pixels between its bumps."""
    return smooth_noise(generator, (SIZE, SIZE), SIZE // step + 1)

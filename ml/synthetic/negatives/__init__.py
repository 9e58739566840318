"""Images that are no brain slices, drawn by seeded code: what the input check is fitted to and, drawn with another
seed, measured on.

Organs and joints as MRI would show them, textures, pages, charts, pictures, plain fields; any size and aspect, gray or
color. Everything is drawn here, so nobody's photograph or scan is in it. Never imports torch.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.synthetic.canvas import Size
from ml.synthetic.negatives.organs import draw_abdomen, draw_chest, draw_limb
from ml.synthetic.negatives.pages import draw_chart, draw_text
from ml.synthetic.negatives.pictures import draw_gradient, draw_landscape, draw_shapes, draw_uniform
from ml.synthetic.negatives.textures import draw_clouds, draw_noise, draw_pattern

COUNT = 500
# Of the images that the check is measured on, and of those that it is fitted to.
SEED, FIT_SEED = 2026, 77
_SIDES = (64, 640)  # pixels

KINDS: Mapping[str, Callable[[np.random.Generator, Size], NDArray[np.uint8]]] = {
    "abdomen": draw_abdomen,
    "chest": draw_chest,
    "limb": draw_limb,
    "noise": draw_noise,
    "pattern": draw_pattern,
    "clouds": draw_clouds,
    "text": draw_text,
    "chart": draw_chart,
    "gradient": draw_gradient,
    "landscape": draw_landscape,
    "shapes": draw_shapes,
    "uniform": draw_uniform,
}


@dataclass(frozen=True)
class Negative:
    """One drawn image. kind: a key of KINDS. pixels: uint8 (H, W, 3)."""

    kind: str
    pixels: NDArray[np.uint8]


def draw_negatives(count: int = COUNT, seed: int = SEED) -> Iterator[Negative]:
    """`count` images, the kinds in turn; the same image for the same seed and place."""
    kinds = tuple(KINDS)
    for index in range(count):
        random = np.random.default_rng((seed, index))
        kind = kinds[index % len(kinds)]
        yield Negative(kind, KINDS[kind](random, _draw_size(random)))


def _draw_size(random: np.random.Generator) -> Size:
    """Height and width; a third of all is as large as the slices of the LGG data set, 256 x 256."""
    if random.random() < 1 / 3:
        return 256, 256
    longer = int(random.integers(2 * _SIDES[0], _SIDES[1] + 1))
    shorter = max(_SIDES[0], round(longer * random.uniform(0.5, 1)))
    return (shorter, longer) if random.random() < 0.5 else (longer, shorter)

"""Other parts of the body as an MRI slice shows them: black around, fat, muscle, organs, bones, grain.

Half of them are gray, half have another contrast in each plane, as three sequences would. They are no anatomy; they
have what makes a check of the input hard: a bright outline on black, smooth tissues, the noise of a scanner.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml.synthetic.canvas import Plane, Size, coordinates, ellipse, inside, smooth_noise, to_pixels

# A soft mask and the tissue that fills it, painted one over the other.
_Layer = tuple[Plane, str]
_TISSUES = ("fat", "muscle", "organ", "vessel", "bone", "fluid", "air", "gut")


def draw_abdomen(random: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """Liver, spleen, kidneys, spine, vessels and gut in a wide body."""
    grid, body = _draw_body(random, size, (0.93, 0.72))
    side = random.choice([-1, 1])
    layers = [(inside(body), "fat"), (inside(body, 0.86), "muscle"), (inside(body, 0.77), "fat")]
    layers.append((inside(ellipse(grid, (-0.42 * side, -0.1), (0.36, 0.38), 0.3 * side)), "organ"))
    layers.append((inside(ellipse(grid, (0.55 * side, 0.02), (0.14, 0.3), 0.2)), "organ"))
    layers += [(inside(ellipse(grid, (place, 0.24), (0.13, 0.17), place)), "vessel") for place in (-0.34, 0.34)]
    layers += _draw_spine(grid, 0.42)
    for _ in range(random.integers(4, 9)):
        center = (random.uniform(-0.1, 0.45) * side, random.uniform(-0.42, 0.1))
        loop = ellipse(grid, center, (random.uniform(0.06, 0.14), random.uniform(0.06, 0.12)), random.uniform(0, 3))
        layers += [(inside(loop), "gut"), (inside(loop, 0.6), random.choice(["air", "fluid"]))]
    return _paint(random, size, layers)


def draw_chest(random: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """Two dark lungs with vessels, a heart with its chambers, ribs and spine."""
    grid, body = _draw_body(random, size, (0.92, 0.68))
    side = random.choice([-1, 1])
    layers = [(inside(body), "fat"), (inside(body, 0.9), "muscle")]
    lungs = [ellipse(grid, (place, -0.03), (0.31, 0.44), 0.15 * np.sign(place)) for place in (-0.42, 0.42)]
    layers += [(inside(lung), "air") for lung in lungs]
    for _ in range(random.integers(8, 20)):
        center = (random.choice([-0.42, 0.42]) + random.normal(0, 0.11), random.normal(-0.03, 0.16))
        layers.append((inside(ellipse(grid, center, (0.018, 0.05), random.uniform(0, 3)), softness=0.3), "vessel"))
    heart = ellipse(grid, (0.12 * side, -0.12), (0.27, 0.24), 0.5 * side)
    layers += [(inside(heart), "muscle"), (inside(ellipse(grid, (0.2 * side, -0.1), (0.1, 0.13))), "fluid")]
    layers.append((inside(ellipse(grid, (0.02 * side, -0.2), (0.09, 0.1))), "fluid"))
    for angle in np.linspace(0.25, 2.9, random.integers(6, 11)):
        for half in (-1, 1):
            center = (0.82 * half * np.sin(angle), -0.58 * np.cos(angle))
            layers.append((inside(ellipse(grid, center, (0.06, 0.03), -half * angle)), "bone"))
    return _paint(random, size, layers + _draw_spine(grid, 0.38))


def draw_limb(random: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """A knee or a thigh across: fat, muscles with their septa, one or two bones with marrow."""
    grid, body = _draw_body(random, size, (random.uniform(0.6, 0.85), random.uniform(0.6, 0.85)))
    layers = [(inside(body), "fat"), (inside(body, random.uniform(0.75, 0.93)), "muscle")]
    for angle in np.arange(random.integers(3, 7)) * 1.1 + random.uniform(0, 1):
        septum = ellipse(grid, (0.4 * np.cos(angle), 0.4 * np.sin(angle)), (0.3, 0.012), angle)
        layers.append((inside(septum, softness=0.4) * inside(body, 0.8), "fat"))
    for place in (-0.12, 0.2) if random.random() < 0.5 else (0.0,):
        bone = ellipse(grid, (place, random.uniform(-0.15, 0.15)), (0.2, 0.19), random.uniform(0, 3))
        layers += [(inside(bone), "bone"), (inside(bone, 0.82), "fat")]
    layers.append((inside(ellipse(grid, (0.3, 0.3), (0.06, 0.05))), "vessel"))
    return _paint(random, size, layers)


def _draw_body(
    random: np.random.Generator, size: Size, half_axes: tuple[float, float]
) -> tuple[tuple[Plane, Plane], Plane]:
    """Coordinates, and the distance from the body's middle: 1 on the skin, which is uneven."""
    grid = coordinates(size)
    scale = random.uniform(0.85, 1.03)
    center = (random.normal(0, 0.02), random.normal(0, 0.03))
    body = ellipse(grid, center, (half_axes[0] * scale, half_axes[1] * scale), random.normal(0, 0.05))
    return grid, body + 0.02 * smooth_noise(random, size, 5)


def _draw_spine(grid: tuple[Plane, Plane], y: float) -> list[_Layer]:
    vertebra, canal = ellipse(grid, (0, y), (0.14, 0.12)), ellipse(grid, (0, y + 0.17), (0.06, 0.045))
    return [
        (inside(ellipse(grid, (0, y + 0.17), (0.1, 0.08))), "bone"),
        (inside(vertebra), "bone"),
        (inside(vertebra, 0.85), "organ"),
        (inside(canal), "fluid"),
    ]


def _paint(random: np.random.Generator, size: Size, layers: Sequence[_Layer]) -> NDArray[np.uint8]:
    """Each tissue with its own level and texture in every plane; a shading over all, and the scanner's noise."""
    uneven = {tissue: smooth_noise(random, size, int(random.integers(10, 40))) for tissue in _TISSUES}
    shading = 1 + 0.12 * smooth_noise(random, size, 2)
    is_gray = random.random() < 0.5
    planes = []
    for _ in range(1 if is_gray else 3):
        levels = {
            "fat": random.uniform(90, 230), "muscle": random.uniform(35, 100), "organ": random.uniform(50, 150),
            "vessel": random.uniform(60, 210), "bone": random.uniform(5, 35), "fluid": random.uniform(10, 230),
            "air": random.uniform(0, 12), "gut": random.uniform(40, 130),
        }  # fmt: skip
        plane = np.zeros(size)
        for amount, tissue in layers:
            plane = plane * (1 - amount) + amount * levels[tissue] * (1 + 0.08 * uneven[tissue])
        planes.append(plane * shading + random.uniform(0.5, 4) * np.abs(random.standard_normal(size)))
    return to_pixels(planes[0] if is_gray else planes)

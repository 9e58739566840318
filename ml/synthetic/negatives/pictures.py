"""Pictures in color: landscapes, shapes, gradients, and fields of one color."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ml.synthetic.canvas import Size, coordinates, fractal_noise, smooth_noise, to_pixels


def draw_landscape(random: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """A sky with clouds and sometimes a sun, two or more ranges of hills, a field with texture."""
    x, y = coordinates(size)
    zenith, horizon = random.uniform(0, 180, 3), random.uniform(120, 255, 3)
    depth = (y + 1) / 2
    picture = zenith + (horizon - zenith) * depth[..., None]  # (H, W, 3)
    clouds = np.clip(2 * fractal_noise(random, size) - 1, 0, 1)[..., None] * (depth < 0.6)[..., None]
    picture = picture * (1 - clouds) + 245 * clouds
    if random.random() < 0.6:
        center = random.uniform(-0.8, 0.8), random.uniform(-0.9, -0.2)
        is_sun = np.hypot(x - center[0], (y - center[1]) * size[0] / size[1]) < random.uniform(0.05, 0.2)
        picture[is_sun] = random.uniform(200, 255, 3)
    for edge in np.sort(random.uniform(-0.2, 0.7, random.integers(2, 5))):
        ridge = edge + 0.12 * smooth_noise(random, (1, size[1]), int(random.integers(3, 12)))[0]
        grain = 1 + 0.25 * (fractal_noise(random, size, 7, 0.8) - 0.5)
        is_ground = y > ridge[None]
        picture[is_ground] = (random.uniform(10, 170, 3) * grain[..., None])[is_ground]
    return to_pixels(list(np.moveaxis(picture, 2, 0)))


def draw_shapes(random: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """Discs, boxes, triangles and lines of any color over one another; one in three is gray."""
    height, width = size
    image = Image.new("RGB", (width, height), tuple(int(value) for value in random.integers(0, 256, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(random.integers(3, 30)):
        color = tuple(int(value) for value in random.integers(0, 256, 3))
        (x, y), reach = random.uniform((0, 0), (width, height)), random.uniform(0.03, 0.3) * max(size)
        corners = [(x + reach * np.cos(a), y + reach * np.sin(a)) for a in random.uniform(0, 2 * np.pi, 3)]
        kind = random.integers(4)
        if kind == 0:
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=color)
        elif kind == 1:
            draw.rectangle((x - reach, y - reach * random.uniform(0.2, 1), x + reach, y + reach), fill=color)
        elif kind == 2:
            draw.polygon(corners, fill=color)
        else:
            draw.line([(x, y), corners[0]], fill=color, width=int(random.integers(1, 12)))
    if random.random() < 1 / 3:
        image = image.convert("L").convert("RGB")
    return np.asarray(image)


def draw_gradient(random: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """From one color (or gray) to another: along a line, outwards from a point, or around it."""
    x, y = coordinates(size)
    turn = random.uniform(0, 2 * np.pi)
    kind = random.integers(3)
    if kind == 0:
        amount = x * np.cos(turn) + y * np.sin(turn)
    elif kind == 1:
        amount = np.hypot(x - random.uniform(-0.6, 0.6), y - random.uniform(-0.6, 0.6))
    else:
        amount = np.cos(np.arctan2(y, x) - turn)
    amount = (amount - amount.min()) / max(amount.max() - amount.min(), 1e-9)
    low, high = random.uniform(0, 255, 3), random.uniform(0, 255, 3)
    if random.random() < 0.5:
        low, high = low[:1].repeat(3), high[:1].repeat(3)
    return to_pixels([low[i] + (high[i] - low[i]) * amount for i in range(3)])


def draw_uniform(random: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """One color, gray, black or white all over; sometimes with the faint noise of a camera in the dark."""
    kind = random.integers(4)
    if kind == 0:
        color = np.zeros(3)
    elif kind == 1:
        color = random.uniform(0, 256, 1).repeat(3)
    else:
        color = random.uniform(0, 256, 3)
    planes = [np.full(size, value) for value in color]
    if kind == 3:
        planes = [plane + 2 * random.standard_normal(size) for plane in planes]
    return to_pixels(planes)

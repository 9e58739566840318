"""Pages of text and charts, as screenshots and scans of paper show them."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ml.synthetic.canvas import Size

_Color = tuple[int, int, int]
_CONSONANTS, _VOWELS = tuple("bcdfglmnprstvw"), tuple("aeiou")


def draw_text(random: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """Lines of made-up words in one or two columns, dark on light or light on dark, sometimes with a heading."""
    image, ink = _draw_paper(random, size)
    draw = ImageDraw.Draw(image)
    height, width = size
    font_size = int(random.integers(9, 26))
    font = ImageFont.load_default(size=font_size)
    margin = max(4, int(0.06 * width))
    columns = 2 if width > 320 and random.random() < 0.4 else 1
    column_width = (width - (columns + 1) * margin) / columns
    top = margin
    if random.random() < 0.6:
        heading = ImageFont.load_default(size=int(1.8 * font_size))
        draw.text((margin, top), _draw_words(random, 3), fill=ink, font=heading)
        top += int(2.6 * font_size)
    for column in range(columns):
        left = margin + column * (column_width + margin)
        for y in range(top, height - margin - font_size, int(1.4 * font_size)):
            if random.random() < 0.08:
                continue  # the end of a paragraph
            line = _draw_words(random, max(1, int(column_width / (3.5 * font_size))))
            draw.text((left, y), line, fill=ink, font=font)
    return np.asarray(image)


def draw_chart(random: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """Bars, lines, points or a pie, with axes, a grid, ticks and a title."""
    image, ink = _draw_paper(random, size)
    draw = ImageDraw.Draw(image)
    height, width = size
    left, top, right, bottom = 0.12 * width, 0.12 * height, 0.95 * width, 0.88 * height
    font = ImageFont.load_default(size=max(9, height // 24))
    draw.text((left, 0.02 * height), _draw_words(random, 3), fill=ink, font=font)
    kind = random.integers(4)
    if kind == 3:
        radius = 0.36 * min(height, width)
        box = (width / 2 - radius, height / 2 - radius, width / 2 + radius, height / 2 + radius)
        ends = np.concatenate([[0], np.sort(random.uniform(20, 340, random.integers(2, 7))), [360]])
        for start, end in pairwise(ends):
            draw.pieslice(box, start, end, fill=_draw_color(random), outline=ink)
        return np.asarray(image)
    for step in np.linspace(0, 1, 6):
        y = bottom + (top - bottom) * step
        draw.line((left, y, right, y), fill=(170, 170, 170))
        draw.text((2, y - 6), f"{100 * step:.0f}", fill=ink, font=font)
    count = int(random.integers(5, 16))
    x = np.linspace(left, right, count + 2)[1:-1]
    for _ in range(random.integers(1, 4) if kind != 0 else 1):
        color = _draw_color(random)
        y = bottom + (top - bottom) * np.clip(0.5 + 0.2 * np.cumsum(random.standard_normal(count)), 0.02, 1)
        if kind == 0:
            half = 0.35 * (x[1] - x[0])
            for center, level in zip(x, y, strict=True):
                draw.rectangle((center - half, level, center + half, bottom), fill=color)
        elif kind == 1:
            draw.line([*zip(x.tolist(), y.tolist(), strict=True)], fill=color, width=max(1, width // 150))
        else:
            for center, level in zip(x, y, strict=True):
                draw.ellipse((center - 4, level - 4, center + 4, level + 4), fill=color)
    draw.line([(left, top), (left, bottom), (right, bottom)], fill=ink, width=2)
    return np.asarray(image)


def _draw_paper(random: np.random.Generator, size: Size) -> tuple[Image.Image, _Color]:
    """An empty page, and the color of its ink; one in four is dark, as a screen may be."""
    light = int(random.integers(215, 256))
    dark = int(random.integers(0, 60))
    paper, ink = (dark, light) if random.random() < 0.25 else (light, dark)
    return Image.new("RGB", (size[1], size[0]), (paper, paper, paper)), (ink, ink, ink)


def _draw_words(random: np.random.Generator, count: int) -> str:
    def word() -> str:
        syllables = random.integers(1, 5)
        return "".join(random.choice(_CONSONANTS) + random.choice(_VOWELS) for _ in range(syllables))

    return " ".join(word() for _ in range(count))


def _draw_color(random: np.random.Generator) -> _Color:
    red, green, blue = (int(value) for value in random.integers(20, 236, 3))
    return red, green, blue

import io

import numpy as np
from PIL import Image

from ml.rendering.jpeg import encode_jpeg
from ml.rendering.panels import TUMOR, encode_png


def test_an_outline_of_one_pixel_keeps_its_color_and_the_file_is_small() -> None:
    pixels = np.repeat(np.random.default_rng(3).integers(40, 90, (96, 96, 1), dtype=np.uint8), 3, axis=-1)
    pixels[20:40, 30] = TUMOR
    image = Image.fromarray(pixels)
    data = encode_jpeg(image)
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)[20:40, 30]
    assert np.abs(shown - np.array(TUMOR)).mean() < 25
    assert len(data) < len(encode_png(image)) / 2

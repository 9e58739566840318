"""A data set of a few slices, and an engine that needs no model: its probability is the slice's first channel."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.cards import Architecture, Card, InputConvention
from ml.engines import Inference

SIDE = 32
CARD = Card(
    name="fake",
    version="0.0.1",
    architecture=Architecture("unet", "vgg16", 3, 1),
    input=InputConvention((SIDE, SIDE), ("a", "b", "c"), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    threshold=0.5,
    min_tumor_pixels=4,
    files={},
)


class FakeEngine:
    """q is the first channel, so a test draws what the model finds."""

    name = "fake"
    card = CARD

    def __init__(self):
        self.chunks = []

    def warm_up(self):
        pass

    def probability_map(self, pixels):
        return self.infer(pixels).probability_u8

    def infer(self, pixels, context=None):
        self.chunks.append(len(pixels))
        return Inference(pixels[..., 0].copy())


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def square(top, left, side, value=255):
    q = np.zeros((SIDE, SIDE), dtype=np.uint8)
    q[top : top + side, left : left + side] = value
    return q


def write_case(folder: Path, patient: str, name: str, q, truth) -> None:
    """One slice whose prediction is `q`, uint8 (H, W), with the mask `truth` (> 0), or none."""
    directory = folder / patient
    directory.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.dstack([q, q, q])).save(directory / f"{name}.png")
    if truth is not None:
        Image.fromarray((truth > 0).astype(np.uint8) * 255).save(directory / f"{name}_mask.png")


@pytest.fixture
def data(tmp_path) -> Path:
    """Two patients: `one` is found, once well and once badly, with a false alarm; `two` is missed, and has a blank."""
    folder = tmp_path / "data"
    nothing = square(0, 0, 0)
    write_case(folder, "one", "a", square(4, 4, 8), square(4, 4, 8))
    write_case(folder, "one", "b", square(4, 4, 8, value=200), square(4, 8, 8))
    write_case(folder, "one", "c", square(20, 20, 4, value=180), nothing)
    write_case(folder, "two", "a", square(4, 4, 4, value=100), square(4, 4, 4))
    write_case(folder, "two", "b", nothing, nothing)
    return folder

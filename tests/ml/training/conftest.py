"""Drawn brains in small, a recipe that is trained on them in seconds, and one finished run."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.synthetic.phantom_anatomy import Lesion, draw_slice

SIDE = 64
PATIENTS = 6
RECIPE = """
name: tiny
follows: no published work; a network for tests
network: {name: scratch, width: 4}
shares: [67, 33, 0]
augmentation: {horizontal_flip: 0.5, affine: 0.5, rotate_degrees: 20, intensity: 0.5, flair_only: 0.2}
loss: {bce: 1.0, dice: 1.0}
optimizer: {encoder_lr: 0.01, decoder_lr: 0.01}
stages: [{epochs: 2, size: 32, batch_size: 4}]
loop: {precision: 32-true, workers: 0}
"""


@contextmanager
def one_thread() -> Iterator[None]:
    """Layers of four channels are done sooner by one thread, and always in the same order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """Lightning ignores Ctrl-C for good once it has met one; the next test must not."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


def draw_patient(folder: Path, seed: int, values: tuple[int, ...] = (255,)) -> None:
    """Three slices of one head: two with a lesion, one without. `values`: of the mask, from left to right."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    lesion = Lesion(random.uniform(-0.3, 0.3), random.uniform(-0.2, 0.2), 0.25, 0.3, depth=1.6)
    for index, level in enumerate((-0.1, 0.0, 0.1)):
        pixels, mask = draw_slice(seed, index, level, lesion)
        small = (SIDE, SIDE)
        Image.fromarray(pixels).resize(small, Image.Resampling.BILINEAR).save(folder / f"{folder.name}_{index}.png")
        levels = np.zeros(mask.shape, dtype=np.uint8)
        rows, columns = np.nonzero(mask)
        if len(columns):
            place = (columns - columns.min()) * len(values) // (columns.max() - columns.min() + 1)
            levels[rows, columns] = np.array(values)[place]
        truth = Image.fromarray(levels).resize(small, Image.Resampling.NEAREST)
        truth.save(folder / f"{folder.name}_{index}_mask.png")


@pytest.fixture(scope="session")
def brains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn patients."""
    folder = tmp_path_factory.mktemp("brains")
    for patient in range(PATIENTS):
        draw_patient(folder / f"patient_{patient}", seed=patient)
    return folder


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RECIPE as a file."""
    path = tmp_path_factory.mktemp("recipes") / "tiny.yaml"
    path.write_text(RECIPE)
    return path


# train(out, *words, data=...): `python -m ml train`, its exit status.
Train = Callable[..., int]


@pytest.fixture(scope="session")
def train(brains: Path, recipe: Path) -> Train:
    """Run the command with the tiny recipe on the drawn brains. A word `key=value` becomes `--set key=value`."""
    from ml.__main__ import main

    def run(out: Path, *words: str, data: Path = brains) -> int:
        changes = [part for word in words for part in (("--set", word) if "=" in word else (word,))]
        with one_thread():
            return main(["train", str(recipe), "--data", str(data), "--out", str(out), *changes])

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, train: Train) -> Path:
    """The folder of a finished run. Copy it before changing anything."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert train(folder) == 0
    return folder

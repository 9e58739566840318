"""A small model package made by the real command, once for all tests: random weights, 64 x 64, seconds."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from PIL import Image

from ml.cards import Card, load_card

# No test fails by the clock.
hypothesis.settings.register_profile("glioscope", deadline=None)
hypothesis.settings.load_profile("glioscope")

# Small enough to be quantized in a test, large enough for VGG16's five halvings.
SIDE = 64
FACTS = f"""
version: 0.0.1
min_tumor_pixels: 4
input:
  size: [{SIDE}, {SIDE}]
  channels: [pre-contrast, FLAIR, post-contrast]
  mean: [0.485, 0.456, 0.406]
  std: [0.229, 0.224, 0.225]
training:
  validation_patients: [patient_3]
"""


@dataclass(frozen=True)
class SmallModel:
    """The made package, and what it was made of."""

    folder: Path
    card: Card
    checkpoint: Path
    data: Path
    facts: Path


@pytest.fixture(scope="session")
def small_data(tmp_path_factory) -> Path:
    """Four patients with two slices with a bright disc, marked in the mask, and two without."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(4)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for patient in range(4):
        directory = folder / f"patient_{patient}"
        directory.mkdir()
        for index in range(4):
            row, column = random.integers(16, 48, 2)
            disc = ((rows - row) ** 2 + (columns - column) ** 2 < 64) & (index < 2)
            pixels = random.integers(0, 80, (SIDE, SIDE, 3), dtype=np.uint8)
            pixels[disc] += 150
            Image.fromarray(pixels).save(directory / f"{directory.name}_{index}.png")
            Image.fromarray(disc).save(directory / f"{directory.name}_{index}_mask.png")
    return folder


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory) -> Path:
    """A published checkpoint with random weights, in half precision."""
    import torch

    from ml.networks import UNET_VGG16, build_network

    torch.manual_seed(5)
    network = build_network(UNET_VGG16)
    path = tmp_path_factory.mktemp("checkpoint") / "small.pth"
    weights = {key: value.half() if value.is_floating_point() else value for key, value in network.state_dict().items()}
    torch.save({"model_state_dict": weights, "epoch": 3, "val_iou": 0.5, "val_dice": 0.6}, path)
    return path


@pytest.fixture(scope="session")
def small_model(tmp_path_factory, small_data, small_checkpoint) -> SmallModel:
    """The package with all its files. Copy it before changing anything."""
    from ml.packaging.packages import make_package
    from ml.packaging.quantization import Calibration

    # Quantizing takes longest: the first of pytest-xdist's processes does it for all, from the same seeds.
    is_one_of_many = "PYTEST_XDIST_WORKER" in os.environ
    directory = tmp_path_factory.getbasetemp().parent if is_one_of_many else tmp_path_factory.mktemp("models")
    folder, facts = directory / "small", directory / "facts.yaml"
    with (directory / "small.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            facts.write_text(FACTS)
            calibration = Calibration(slices=6, other_images=24)
            make_package(small_checkpoint, folder, calibrate=small_data, facts=facts, calibration=calibration)
    return SmallModel(folder, load_card(folder), small_checkpoint, small_data, facts)

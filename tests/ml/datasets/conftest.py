"""Small data sets of each layout, drawn with a seed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIDE = 32


def draw_slice(random: np.random.Generator, side: int = SIDE) -> Image.Image:
    return Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8))


def draw_mask(tumor_pixels: int, side: int = SIDE, first: int = 0) -> Image.Image:
    """A mask with 0 and 255 whose pixels from `first` on are tumor."""
    values = np.zeros(side * side, dtype=np.uint8)
    values[first : first + tumor_pixels] = 255
    return Image.fromarray(values.reshape(side, side))


@pytest.fixture
def patient_folders(tmp_path: Path) -> Path:
    """Three patients with four slices each; of each, two have tumor."""
    folder = tmp_path / "patients"
    random = np.random.default_rng(1)
    for place, patient in enumerate(("anna", "ben", "cleo")):
        (folder / patient).mkdir(parents=True)
        for index in range(4):
            draw_slice(random).save(folder / patient / f"{patient}_{index}.tif")
            mask = draw_mask(100 if index < 2 else 0, first=200 * place + 50 * index)
            mask.save(folder / patient / f"{patient}_{index}_mask.tif")
    return folder


@pytest.fixture
def image_and_mask_folders(tmp_path: Path) -> Path:
    """Two slices of one named patient, and two images that name none."""
    folder = tmp_path / "pairs"
    random = np.random.default_rng(2)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for place, stem in enumerate(("TCGA_DU_6404_19850629_1", "TCGA_DU_6404_19850629_2", "x1", "x2")):
        draw_slice(random).save(folder / "images" / f"{stem}.png")
        draw_mask(50, first=100 * place).save(folder / "masks" / f"{stem}.png")
    return folder


@pytest.fixture
def coco_folder(tmp_path: Path) -> Path:
    """`train` with two images, of which one has a square of 10 pixels a side."""
    folder = tmp_path / "coco"
    (folder / "train").mkdir(parents=True)
    random = np.random.default_rng(3)
    for name in ("a.jpg", "b.jpg"):
        draw_slice(random).save(folder / "train" / name)
    square = [4, 4, 13, 4, 13, 13, 4, 13]
    document = {
        "images": [
            {"id": i, "file_name": name, "height": SIDE, "width": SIDE} for i, name in enumerate(["a.jpg", "b.jpg"])
        ],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 1, "segmentation": [square]}],
        "categories": [{"id": 1, "name": "Tumor"}],
    }
    (folder / "train" / "_annotations.coco.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def annotations(coco_folder: Path) -> Callable[[Callable[[dict], object]], None]:
    """Change the COCO file: `annotations(lambda document: ...)`."""
    path = coco_folder / "train" / "_annotations.coco.json"

    def change(edit: Callable[[dict], object]) -> None:
        document = json.loads(path.read_text())
        edit(document)
        path.write_text(json.dumps(document))

    return change

"""One small data set in each layout, each with files that no evaluation takes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 48
_SQUARE = [8, 8, 19, 8, 19, 19, 8, 19]
_seeds = iter(range(10**6))


def image(path: Path) -> None:
    """A slice unlike every other: noise, with a bright square."""
    pixels = np.random.default_rng(next(_seeds)).integers(0, 100, (SIDE, SIDE, 3), dtype=np.uint8)
    pixels[8:20, 8:20] = 230
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "TIFF" if path.suffix.lower().startswith(".tif") else None)


def mask(path: Path) -> None:
    values = np.zeros((SIDE, SIDE), np.uint8)
    values[8:20, 8:20] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, "TIFF" if path.suffix.lower().startswith(".tif") else None)


def coco(path: Path, names: list[str], segmentations: list[object] | None = None) -> None:
    """Annotations of images by name, each with a square or what is given; None: no annotation."""
    shapes = [[_SQUARE]] * len(names) if segmentations is None else segmentations
    document = {
        "images": [{"id": i, "file_name": name, "height": SIDE, "width": SIDE} for i, name in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "segmentation": shape}
            for i, shape in enumerate(shapes)
            if shape is not None
        ],
        "categories": [{"id": 1, "name": "Tumor"}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def _strays(folder: Path) -> None:
    """An image where no layout has one, and a file of a kind that is not read."""
    image(folder / "extra" / "deep" / "thumbnail.png")
    (folder / "extra" / "volume.nii.gz").write_bytes(b"\x1f\x8b not read")


def patient_folders(folder: Path) -> None:
    for patient in ("anna", "ben"):
        image(folder / patient / f"{patient}_1.TIF")
        mask(folder / patient / f"{patient}_1_Mask.tif")
        image(folder / patient / f"{patient}_2.jfif")
    mask(folder / "ben" / "lonely_MASK.png")
    _strays(folder)


def pairs(images: str, masks: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name in ("Scan_1", "scan_2"):
            image(folder / images / f"{name}.png")
            mask(folder / masks / f"{name.upper()}.png")
        image(folder / images / "bare.jpe")
        mask(folder / masks / "lonely.png")
        _strays(folder)

    return make


def pairs_of_patients(folder: Path) -> None:
    for patient in ("anna", "ben"):
        image(folder / "images" / patient / "1.png")
        mask(folder / "masks" / patient.upper() / "1_mask.png")
    image(folder / "images" / "ben" / "bare.png")
    mask(folder / "masks" / "cleo" / "1.png")
    _strays(folder)


def roboflow(folder: Path) -> None:
    for side, count in (("train", 3), ("valid", 2), ("test", 1)):
        names = [f"{side}_{index}.png" for index in range(count)]
        for name in names:
            image(folder / side / name)
        coco(folder / side / "_annotations.coco.json", [*names, "absent.png"])
    image(folder / "valid" / "unlisted.png")
    _strays(folder)


def cvat(folder: Path) -> None:
    names = ["a.png", "sub/b.png", "C.png", "d.png"]
    for name in names:
        image(folder / "images" / name)
    shapes: list[object] = [[_SQUARE], {"counts": [9, 4, SIDE * SIDE - 13], "size": [SIDE, SIDE]}, None, []]
    coco(folder / "annotations" / "instances_default.json", ["a.png", "sub/b.png", "c.PNG", "d.png"], shapes)
    image(folder / "images" / "unlisted.png")
    _strays(folder)


def doubled(folder: Path) -> None:
    """As the LGG data are published: the folder, and the folder again in another one."""
    patient_folders(folder / "kaggle_3m")
    shutil.copytree(folder / "kaggle_3m", folder / "lgg-mri-segmentation" / "kaggle_3m")


def wrapped(folder: Path) -> None:
    pairs("images", "masks")(folder / "download" / "set")
    image(folder / "preview.png")


def without_masks(folder: Path) -> None:
    image(folder / "anna" / "a.png")
    image(folder / "b.png")
    (folder / "anna" / "series.dcm").write_bytes(b"DICM")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "patient folders": patient_folders,
    "Images and Masks": pairs("Images", "Masks"),
    "image and label": pairs("image", "label"),
    "imgs and labels": pairs("imgs", "labels"),
    "images and masks by patient": pairs_of_patients,
    "Roboflow": roboflow,
    "CVAT": cvat,
    "held twice": doubled,
    "wrapped": wrapped,
}

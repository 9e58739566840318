"""One small data set in each layout, each with files that no evaluation takes."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ml.datasets import check

SIDE = 40
SQUARE = [8, 8, 19, 8, 19, 19, 10, 19, 8, 17]  # without a corner: a whole one is a box that nobody drew
OUTLINED = 144 - 3
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
    shapes = [[SQUARE]] * len(names) if segmentations is None else segmentations
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


def labelme(path: Path, *shapes: dict[str, object], **fields: object) -> None:
    """LabelMe's file of one image. shapes: each a polygon of `points` unless it says another `shape_type`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": f"{path.stem}.png"}
    size = {"imageData": None, "imageHeight": SIDE, "imageWidth": SIDE}
    path.write_text(json.dumps({**document, **size, **fields}))


def pairs_of(outline: list[int]) -> list[list[int]]:
    return [list(pair) for pair in zip(outline[::2], outline[1::2], strict=True)]


def cvat_xml(path: Path, images: dict[str, str], subsets: Sequence[str] = ("",)) -> None:
    """CVAT for images 1.1. images: by name, the shapes of each as XML. subsets: of a project, with these in each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = "".join(
        f'<image id="{number}" name="{name}"{subset} width="{SIDE}" height="{SIDE}">{shapes}</image>'
        for subset in (one and f' subset="{one}"' for one in subsets)
        for number, (name, shapes) in enumerate(images.items())
    )
    labels = "<labels><label><name>Tumor</name></label><label><name>brain</name></label></labels>"
    meta = f"<meta><task><name>t</name>{labels}</task></meta>"
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{entries}</annotations>'
    path.write_text(text)


def cvat_polygon(outline: list[int], label: str = "Tumor") -> str:
    return f'<polygon label="{label}" points="{";".join(f"{x}.0,{y}.0" for x, y in pairs_of(outline))}" z_order="0"/>'


def yolo(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def yolo_line(outline: list[int], number: int = 0) -> str:
    return " ".join([str(number), *(f"{value / SIDE:.6f}" for value in outline)])


def labelme_set(folder: Path) -> None:
    for name in ("anna/1", "anna/2", "ben/3", "ben/bare"):
        image(folder / f"{name}.png")
    labelme(folder / "anna" / "1.json", {"label": "Tumor", "points": pairs_of(SQUARE)})
    labelme(folder / "anna" / "2.json")
    labelme(folder / "ben" / "3.json", {"label": "Tumor", "points": [[8, 8], [19, 19]], "shape_type": "rectangle"})
    _strays(folder)


def cvat_xml_set(folder: Path) -> None:
    for name in ("a", "sub/b", "c", "d", "unlisted"):
        image(folder / "images" / f"{name}.png")
    square, line = cvat_polygon(SQUARE), '<polyline label="Tumor" points="1,1;9,9"/>'
    cvat_xml(folder / "annotations.xml", {"a.png": square, "sub/b.png": square, "c.png": line, "d.png": ""})
    _strays(folder)


def yolo_set(folder: Path) -> None:
    for name in ("train/a", "train/c", "val/b", "val/d", "val/bare"):
        image(folder / "images" / f"{name}.png")
    (folder / "data.yaml").write_text("path: .\ntrain: images/train\nval: images/val\nnames:\n  0: tumor\n")
    yolo(folder / "labels" / "train" / "a.txt", yolo_line(SQUARE))
    yolo(folder / "labels" / "train" / "c.txt")
    yolo(folder / "labels" / "val" / "b.txt", yolo_line(SQUARE))
    yolo(folder / "labels" / "val" / "d.txt", "0 0.5 0.5 0.2 0.2")
    _strays(folder)


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
    shapes: list[object] = [[SQUARE], {"counts": [9, 4, SIDE * SIDE - 13], "size": [SIDE, SIDE]}, None, []]
    coco(folder / "annotations" / "instances_default.json", ["a.png", "sub/b.png", "c.PNG", "d.png"], shapes)
    image(folder / "images" / "unlisted.png")
    _strays(folder)


def cvat_masks(folder: Path) -> None:
    """CVAT's export "Segmentation mask 1.1", with images that someone laid beside it."""
    for name in ("a", "b"):
        image(folder / "JPEGImages" / f"{name}.jpg")
        for place in ("SegmentationClass", "SegmentationObject"):
            mask(folder / place / f"{name}.png")
    (folder / "labelmap.txt").write_text("background:0,0,0::\ntumor:255,255,255::\n")
    _strays(folder)


def nested(folder: Path) -> None:
    """Patients with a folder of images and one of masks each, and a copy of one of them."""
    for patient in ("anna", "ben"):
        image(folder / patient / "images" / "1.png")
        mask(folder / patient / "masks" / "1.png")
    image(folder / "ben" / "images" / "bare.png")
    shutil.copytree(folder / "anna", folder / "anna (copy)")
    _strays(folder)


def doubled(folder: Path) -> None:
    """As the LGG data are published: the folder, and the folder again in another one."""
    patient_folders(folder / "kaggle_3m")
    shutil.copytree(folder / "kaggle_3m", folder / "lgg-mri-segmentation" / "kaggle_3m")


def wrapped(folder: Path) -> None:
    pairs("images", "masks")(folder / "download" / "set")
    image(folder / "preview.png")


def loose_pair(folder: Path) -> None:
    """A folder around a data set that has an example's files loose beside its patients."""
    pairs_beside(folder / "set", "example")
    for patient in ("anna", "ben"):
        pairs_beside(folder / "set" / patient, "1", "2")
    _strays(folder / "set")


def pairs_beside(folder: Path, *stems: str) -> None:
    for stem in stems:
        image(folder / f"{stem}.png")
        mask(folder / f"{stem}_mask.png")


def other_mask_names(folder: Path) -> None:
    """Masks that are no `NAME_mask`: none of them is a scan, and none a truth."""
    pairs_beside(folder / "anna", "1")
    for stem, ending in (("a", "_seg"), ("b", "-label"), ("c", ".mask"), ("d", "Mask"), ("e", "_mask_1")):
        image(folder / "ben" / f"{stem}.png")
        mask(folder / "ben" / f"{stem}{ending}.png")
    mask(folder / "masks" / "1.png")
    _strays(folder)


def ambiguous(folder: Path) -> None:
    """Which mask, which image, which patient? Nobody can say."""
    pairs_beside(folder / "anna", "1")
    image(folder / "ben" / "S_0.TIF")
    image(folder / "ben" / "S_0.TIFF")
    mask(folder / "ben" / "S_0_mask.png")
    pairs_beside(folder / "ben", "two", "three")
    mask(folder / "ben" / "two_mask.tif")
    mask(folder / "ben" / "three_mask_1.png")
    pairs_beside(folder / "Cleo", "upper")
    pairs_beside(folder / "cleo", "lower")
    _strays(folder)


def no_files(folder: Path) -> None:
    """Links of git-annex and DVC whose files were not fetched, a link to itself, a pipe; annotations of other names."""
    pairs_beside(folder / "anna", "1")
    (folder / "anna" / "2.png").symlink_to("../.git/annex/objects/2.png")
    mask(folder / "anna" / "2_mask.png")
    image(folder / "anna" / "3.png")
    (folder / "anna" / "3_mask.png").symlink_to("/gone/3_mask.png")
    (folder / "anna" / "4.png").symlink_to("4.png")
    (folder / "ben").symlink_to("/gone/ben")
    (folder / "anna" / "6.png.dvc").write_text("outs:\n- path: 6.png\n")
    (folder / "anna" / "1.png.dvc").write_text("outs:\n- path: 1.png\n")  # which is there
    (folder / "anna.dvc").write_text("outs:\n- path: anna\n")
    os.mkfifo(folder / "anna" / "5.png")
    image(folder.parent / "elsewhere" / "1.png")
    (folder / "anna" / "more").symlink_to("../../elsewhere")
    with_annotations(folder)


def with_annotations(folder: Path) -> None:
    """Annotations of a name and of a kind that are not read, and a file that is none."""
    pairs_beside(folder / "anna", "1")
    (folder / "annotations.json").write_text("{}")
    (folder / "anna" / "1.xml").write_text("<annotation/>")
    (folder / "readme.txt").write_text("no annotations of an image")


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
    "CVAT's masks": cvat_masks,
    "LabelMe": labelme_set,
    "CVAT's XML": cvat_xml_set,
    "YOLO": yolo_set,
    "nested": nested,
    "held twice": doubled,
    "wrapped": wrapped,
    "loose pair": loose_pair,
    "other names of masks": other_mask_names,
    "ambiguous": ambiguous,
    "no files": no_files,
}


def codes(folder: Path) -> list[str]:
    """The codes of all that is found wrong with a folder."""
    report = check(folder)
    return [problem.code for problem in (*report.problems, *report.warnings)]

"""Folders of DICOM series with masks that refer to them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support import dicom_files, volume_files
from tests.support.segmentations import segmentation
from tests.support.structure_sets import Outline, structure_set

SHAPE = (32, 36, 6)
AFFINE = volume_files.affine_of("LPS", (4.0, 4.0, 12.0), SHAPE)
TUMOR = np.zeros(SHAPE, np.bool)
TUMOR[10:15, 12:20, 2] = TUMOR[10:14, 12:20, 3] = True
# Along the edges of the tumor's pixels.
OUTLINES = [
    Outline([(11.5, 9.5), (11.5, 9.5 + columns), (19.5, 9.5 + columns), (19.5, 9.5)], k)
    for k, columns in ((2, 5), (3, 4))
]


def write_series(folder: Path, uid: str, *, seed: int = 0, affine: NDArray = AFFINE, **elements: object) -> list[Path]:
    """The files of a series; elements: of each."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 20, SHAPE)
    head = np.minimum(volume_files.head(affine, SHAPE, "uint16"), volume_files.HEAD)
    voxels = (np.where(TUMOR, volume_files.TUMOR, head) + noise).astype(np.uint16)
    paths = []
    for number, data in enumerate(dicom_files.series(voxels, affine, uid=uid, **elements)):
        paths.append(folder / f"{uid}-{number:02}.dcm")
        paths[-1].write_bytes(data)
    return paths


def write_seg(path: Path, series: str, mask: NDArray[np.bool] = TUMOR, **elements: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(segmentation(mask, AFFINE, series=series, **elements))


def write_outlines(path: Path, series: str, outlines: list[Outline] = OUTLINES, **elements: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(structure_set(AFFINE, [("Brain", OUTLINES[:1]), ("GTV", outlines)], series=series, **elements))

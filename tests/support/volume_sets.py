"""Small data sets of NIfTI volumes: a head with a tumor in each, as BraTS and as nnU-Net lay them out."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.datasets import check
from tests.support.volume_files import affine_of, head, nifti, tumor

SHAPE, SPACING_MM = (40, 48, 12), (4.0, 4.0, 12.0)
TUMOR_SLICES = 4


def affine(orientation: str = "LPS") -> NDArray:
    return affine_of(orientation, SPACING_MM, SHAPE)


def labels(orientation: str = "LPS", value: int = 2) -> NDArray:
    """The drawn tumor as labels, uint8 (i, j, k)."""
    return tumor(affine(orientation), SHAPE).astype(np.uint8) * np.uint8(value)


def write_volume(path: Path, voxels: NDArray, orientation: str = "LPS", matrix: NDArray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = nifti(voxels, affine(orientation) if matrix is None else matrix, is_packed=path.suffix == ".gz")
    path.write_bytes(data)


def flair(orientation: str = "LPS", seed: int = 0) -> NDArray:
    """The head, with noise that makes each patient another."""
    found = head(affine(orientation), SHAPE)
    noise = np.random.default_rng(seed).integers(0, 9, SHAPE, dtype=np.int16)
    return (found + noise * (found > 0)).astype(np.int16)


def write_brats(
    folder: Path, name: str, *, ends: tuple[str, ...] = ("-t2f", "-seg"), kind: str = ".nii.gz", seed: int = 0
) -> None:
    """A patient's folder with so many sequences."""
    for end in ends:
        voxels = labels() if end.endswith("seg") else flair(seed=seed)
        write_volume(folder / name / f"{name}{end}{kind}", voxels)


def write_decathlon(folder: Path, names: tuple[str, ...], channels: tuple[str, ...]) -> None:
    """All channels of a patient in one file (4-D), each as bright as its place says; no number in the names."""
    for seed, name in enumerate(names):
        volumes = [flair(seed=seed) * (place + 1) for place in range(len(channels))]
        write_volume(folder / "imagesTr" / f"{name}.nii.gz", np.stack(volumes, axis=-1))
        write_volume(folder / "labelsTr" / f"{name}.nii.gz", labels())
    document = {
        "modality": {str(place): channel for place, channel in enumerate(channels)},
        "labels": {"0": "background", "1": "edema", "2": "enhancing tumour"},
        "numTraining": len(names),
    }
    (folder / "dataset.json").write_text(json.dumps(document))


def write_nnunet(
    folder: Path, names: tuple[str, ...], document: object, *, channels: int = 1, side: str = "Tr"
) -> None:
    for seed, name in enumerate(names):
        for channel in range(channels):
            write_volume(folder / f"images{side}" / f"{name}_{channel:04}.nii.gz", flair(seed=seed))
        write_volume(folder / f"labels{side}" / f"{name}.nii.gz", labels())
    (folder / "dataset.json").write_text(json.dumps(document))


def write_apart(folder: Path) -> None:
    """As UPENN-GBM lays them out: structural images by patient, and the masks of all in other folders."""
    for seed, name in enumerate(("UPENN-GBM-00001_11", "UPENN-GBM-00002_11")):
        for end in ("FLAIR", "T1", "T1GD", "T2"):
            write_volume(folder / "images_structural" / name / f"{name}_{end}.nii.gz", flair(seed=seed))
        write_volume(folder / "automated_segm" / f"{name}_automated_approx_segm.nii.gz", labels())
    write_volume(folder / "images_segm" / "UPENN-GBM-00002_11_segm.nii.gz", np.roll(labels(), 1, axis=0))


def codes(folder: Path) -> dict[str, tuple[str, ...]]:
    """What a check of the folder finds: the files of each code."""
    report = check(folder)
    return {problem.code: problem.files for problem in report.problems + report.warnings}

"""Volumes of a head that was drawn in millimeters, with a tumor that is its own mirror image in no direction."""

import gzip
import io
from itertools import permutations, product

import nibabel
import numpy as np
from numpy.typing import NDArray

HEAD, TUMOR = 100, 900
# Half sides of the head in mm (RAS), and boxes of the tumor: corners in mm.
_HEAD_MM = np.array([62.0, 80.0, 70.0])
_BOXES_MM = (((8, 4, -10), (44, 16, 20)), ((32, -30, -10), (44, 16, 2)), ((8, 4, 8), (20, 40, 20)))


def letters() -> list[str]:
    """The 48 orientations, as nibabel names them."""
    pairs = ("LR", "PA", "IS")
    return ["".join(signs) for order in permutations(pairs) for signs in product(*order)]


def affine_of(orientation: str, spacing_mm: tuple[float, float, float], shape: tuple[int, int, int]) -> NDArray:
    """An affine along these axes, the volume's middle near, and not at, the origin."""
    matrix = np.zeros((4, 4))
    for axis, letter in enumerate(orientation):
        world = next(place for place, pair in enumerate(("LR", "PA", "IS")) if letter in pair)
        matrix[world, axis] = spacing_mm[axis] * (1 if letter in "RAS" else -1)
    return _centered(matrix, shape)


def oblique(degrees: tuple[float, float, float], spacing_mm: tuple[float, float, float], shape: tuple) -> NDArray:
    """An affine turned about x, y and z."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        one, other = [place for place in range(3) if place != axis]
        part = np.eye(3)
        part[one, one] = part[other, other] = np.cos(angle)
        part[one, other], part[other, one] = -np.sin(angle), np.sin(angle)
        turn = part @ turn
    matrix = np.zeros((4, 4))
    matrix[:3, :3] = turn @ np.diag(spacing_mm)
    return _centered(matrix, shape)


def _centered(matrix: NDArray, shape: tuple[int, int, int]) -> NDArray:
    matrix[:3, 3] = np.array([2.0, -3.0, 1.0]) - matrix[:3, :3] @ ((np.array(shape) - 1) / 2)
    matrix[3, 3] = 1
    return matrix


def positions_mm(affine: NDArray, shape: tuple[int, int, int]) -> NDArray:
    """Of the voxels' centers, (i, j, k, 3)."""
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return indices @ affine[:3, :3].T + affine[:3, 3]


def tumor(affine: NDArray, shape: tuple[int, int, int]) -> NDArray[np.bool]:
    """The voxels (i, j, k) whose centers lie in the tumor."""
    place = positions_mm(affine, shape)
    boxes = [((place >= low) & (place < high)).all(axis=-1) for low, high in _BOXES_MM]
    found: NDArray[np.bool] = np.logical_or.reduce(boxes)
    return found


def head(affine: NDArray, shape: tuple[int, int, int], dtype: str = "int16") -> NDArray:
    """Air, head and tumor, (i, j, k)."""
    is_head = ((positions_mm(affine, shape) / _HEAD_MM) ** 2).sum(axis=-1) < 1
    return np.where(tumor(affine, shape), TUMOR, np.where(is_head, HEAD, 0)).astype(dtype)


def nifti(voxels: NDArray, affine: NDArray, *, version: int = 1, is_packed: bool = True, **fields: object) -> bytes:
    """A NIfTI file as nibabel writes it; fields: of its header, set behind nibabel's back."""
    image = (nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image)(voxels, affine)
    data = image.to_bytes()
    if fields:
        size = 348 if version == 1 else 540
        header = type(image.header).from_fileobj(io.BytesIO(data[:size]))
        for name, value in fields.items():
            header[name] = value
        data = header.binaryblock + data[size:]
    return gzip.compress(data, 1) if is_packed else data

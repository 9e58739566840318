"""Writes a volume of 8 bits as gzipped NIfTI-1: https://nifti.nimh.nih.gov/nifti-1.

A header of 348 bytes needs no library, so that the process that answers a download loads none that reads strangers'
files.
"""

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.volumes.grid import VolumeGrid

DISCLAIMER = "Research use only. Not for diagnosis."
_LONGEST_DESCRIPTION = 79  # and a zero byte

# Of nifti1.h.
_UINT8, _BITS = 2, 8
_MILLIMETERS = 2
# "Aligned to another file's", which is what a mask is to its scan. Both forms state the same place: ITK reads the sform
# where it is a rotation, others the qform.
_ALIGNED = 2
_HEADER_BYTES, _VOXELS_AT = 348, 352
_LEVEL = 4  # masks are mostly zeros: a higher level costs seconds and saves little


def write_nifti(target: Path, voxels: NDArray[np.uint8], grid: VolumeGrid, slope: float = 1.0, note: str = "") -> None:
    """Write voxels, uint8 (i, j, k), whose values are multiplied by `slope` where they are read. Raises OSError.

    note: stands before the disclaimer in the header, as much of it as there is room for; ASCII.
    """
    # No name and no time in the gzip header: equal volumes make equal bytes.
    with target.open("wb") as file, gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
        packed.write(_header(grid, slope, note))
        for index in range(voxels.shape[2]):
            packed.write(voxels[:, :, index].tobytes(order="F"))


def _header(grid: VolumeGrid, slope: float, note: str) -> bytes:
    rotation, qfac = _rotation(grid)
    matrix = grid.matrix
    description = f"{note} {DISCLAIMER}" if note else DISCLAIMER
    fields = (
        struct.pack("<i35xB", _HEADER_BYTES, 0)
        + struct.pack("<8h", 3, *grid.shape, 1, 1, 1, 1)
        + struct.pack("<3f4h", 0, 0, 0, 0, _UINT8, _BITS, 0)
        + struct.pack("<8f", qfac, *grid.spacing_mm, 0, 0, 0, 0)
        + struct.pack("<3fh2B", _VOXELS_AT, slope, 0, 0, 0, _MILLIMETERS)
        + struct.pack("<4f2i", 0, 0, 0, 0, 0, 0)
        + struct.pack("<80s24s", description.encode("ascii", "replace")[:_LONGEST_DESCRIPTION], b"")
        + struct.pack("<2h", _ALIGNED, _ALIGNED)
        + struct.pack("<6f", *_quaternion(rotation), *matrix[:3, 3])
        + struct.pack("<12f", *matrix[:3].ravel())
        + struct.pack("<16s4s", b"", b"n+1\0")
    )
    return fields + bytes(_VOXELS_AT - _HEADER_BYTES)  # no extension follows


def _rotation(grid: VolumeGrid) -> tuple[NDArray[np.float64], float]:
    """The nearest rotation (3, 3) to the axes' directions, and -1 where they are a mirror image (pixdim[0])."""
    directions = grid.matrix[:3, :3] / np.array(grid.spacing_mm)
    left, _, right = np.linalg.svd(directions)
    nearest: NDArray[np.float64] = left @ right
    if np.linalg.det(nearest) > 0:
        return nearest, 1.0
    return nearest * np.array([1, 1, -1]), -1.0  # the third axis is turned round


def _quaternion(rotation: NDArray[np.float64]) -> tuple[float, float, float]:
    """b, c, d of the unit quaternion whose a is not negative: the eigenvector of Bar-Itzhack's matrix (2000)."""
    m = rotation
    symmetric = (
        np.array(
            [
                [m[0, 0] + m[1, 1] + m[2, 2], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
                [m[2, 1] - m[1, 2], m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
                [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1]],
                [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1]],
            ]
        )
        / 3
    )
    a, b, c, d = (float(value) for value in np.linalg.eigh(symmetric)[1][:, -1])
    sign = -1.0 if a < 0 else 1.0
    return sign * b, sign * c, sign * d

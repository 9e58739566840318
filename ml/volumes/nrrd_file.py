"""Masks as NRRD, which MONAI Label's viewers ask for (https://teem.sourceforge.net/nrrd/format.html)."""

import gzip
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.volumes.grid import VolumeGrid

_LEVEL = 6
# NRRD's patient axes are those of DICOM here, as ITK and 3D Slicer write them.
_TO_LPS = np.array([-1.0, -1.0, 1.0])


def write_nrrd(target: Path, voxels: NDArray[np.uint8], grid: VolumeGrid, *, is_packed: bool = True) -> None:
    """Write voxels, uint8 (i, j, k). is_packed: by gzip, which OHIF's reader does not know. Raises OSError."""
    data = voxels.tobytes(order="F")
    # No name and no time in the gzip header: equal volumes make equal bytes.
    target.write_bytes(_header(grid, is_packed) + (gzip.compress(data, _LEVEL, mtime=0) if is_packed else data))


def _header(grid: VolumeGrid, is_packed: bool) -> bytes:
    matrix = grid.matrix[:3] * _TO_LPS[:, None]
    lines = (
        "NRRD0004",
        "type: uint8",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, grid.shape))}",
        f"space directions: {' '.join(_vector(matrix[:, axis]) for axis in range(3))}",
        "kinds: domain domain domain",
        f"encoding: {'gzip' if is_packed else 'raw'}",
        f"space origin: {_vector(matrix[:, 3])}",
    )
    return ("\n".join(lines) + "\n\n").encode("ascii")


def _vector(values: Iterable[float]) -> str:
    return f"({','.join(repr(float(value)) for value in values)})"

"""The grid of a file's voxels, and which of its axes are the slices, rows and columns of axial slices.

Axial slices are shown as radiologists do and as the training data are: columns run to the patient's left, rows to the
back, slices to the head. A file's axes are permuted and turned to the nearest of these; an oblique volume stays as
oblique as it is, so that no voxel moves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import permutations
from math import degrees
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Affine = tuple[tuple[float, ...], ...]
Shape = tuple[int, int, int]

# Of (slice, row, column) the axis of the patient (x, y, z), and whether an index that grows runs along it.
_AXIAL = ((2, 1.0), (1, -1.0), (0, -1.0))
_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))  # against and along x, y, z
_UID = re.compile(r"[0-9.]{1,64}")
_MOST_VOXELS_OF_AN_AXIS = 2**16


@dataclass(frozen=True)
class AxialAxis:
    """What of a file's axes is one axis of the axial stack: its place (0 to 2), and whether it is turned round."""

    axis: int
    is_turned: bool


@dataclass(frozen=True)
class VolumeGrid:
    """The voxels of a file.

    affine: 4 rows of 4, from voxel indices (i, j, k) to mm (RAS), at the centers of voxels. shape: (i, j, k).
    frame_of_reference: DICOM's UID of the patient's position, None where the file has none.
    """

    affine: Affine
    shape: Shape
    frame_of_reference: str | None = None

    def __post_init__(self) -> None:
        matrix = np.asarray(self.affine, np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or tuple(matrix[3]) != (0.0, 0.0, 0.0, 1.0):
            raise ValueError("The affine is no 4 x 4 matrix of finite numbers.")
        if len(self.shape) != 3 or not all(0 < size <= _MOST_VOXELS_OF_AN_AXIS for size in self.shape):
            raise ValueError("The shape is not that of a volume.")
        if not np.linalg.det(matrix[:3, :3]):
            raise ValueError("The affine is singular.")

    @classmethod
    def of(cls, affine: NDArray[np.floating], shape: Shape, frame_of_reference: str | None = None) -> VolumeGrid:
        """The grid of an affine as an array, (4, 4). Raises ValueError where it is none."""
        rows = tuple(tuple(float(value) for value in row) for row in np.asarray(affine))
        return cls(rows, shape, frame_of_reference)

    @classmethod
    def from_json(cls, fields: Any) -> VolumeGrid:
        """What `to_json` wrote. Raises ValueError, TypeError or KeyError where it is something else."""
        rows = tuple(tuple(float(value) for value in row) for row in fields["affine"])
        i, j, k = (int(size) for size in fields["shape"])
        uid = fields["frame_of_reference"]
        if uid is not None and not _UID.fullmatch(uid):
            raise ValueError("The frame of reference is no UID.")
        return cls(rows, (i, j, k), uid)

    def to_json(self) -> dict[str, Any]:
        """`affine`, `shape`, `orientation` and `frame_of_reference`, as the API shows them."""
        return {
            "affine": [list(row) for row in self.affine],
            "shape": list(self.shape),
            "orientation": self.orientation,
            "frame_of_reference": self.frame_of_reference,
        }

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The affine, float64 (4, 4)."""
        return np.array(self.affine, np.float64)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between the centers of neighboring voxels, along i, j and k."""
        i, j, k = (float(length) for length in np.linalg.norm(self.matrix[:3, :3], axis=0))
        return (i, j, k)

    @property
    def orientation(self) -> str:
        """Where indices i, j and k grow to, in letters, as nibabel and ITK-SNAP name it: "LPS", "RAS", ..."""
        directions = self._directions
        letters = []
        for axis, world in enumerate(self._nearest_world):
            letters.append(_LETTERS[world][int(directions[world, axis] > 0)])
        return "".join(letters)

    @property
    def axial(self) -> tuple[AxialAxis, AxialAxis, AxialAxis]:
        """The file's axes that are slices, rows and columns of axial slices."""
        directions, nearest = self._directions, self._nearest_world
        slices, rows, columns = (
            AxialAxis(axis := nearest.index(world), bool(directions[world, axis] * sign < 0)) for world, sign in _AXIAL
        )
        return slices, rows, columns

    @property
    def axial_shape(self) -> Shape:
        """Of the axial stack on the file's own voxels: slices, rows, columns."""
        slices, rows, columns = (self.shape[item.axis] for item in self.axial)
        return slices, rows, columns

    @property
    def axial_spacing_mm(self) -> tuple[float, float, float]:
        """Of slices, rows and columns, on the file's own voxels."""
        spacing = self.spacing_mm
        slices, rows, columns = (spacing[item.axis] for item in self.axial)
        return slices, rows, columns

    @property
    def tilt_degrees(self) -> float:
        """Between the slices and the patient's axial plane; 0 where they lie in it."""
        _, rows, columns = self.axial
        normal = np.cross(self._directions[:, rows.axis], self._directions[:, columns.axis])
        cosine = abs(float(normal[2])) / float(np.linalg.norm(normal))
        return degrees(float(np.arccos(np.clip(cosine, 0, 1))))

    @property
    def largest_shear(self) -> float:
        """The largest cosine between two axes; 0 where all are at right angles."""
        products = np.abs(self._directions.T @ self._directions - np.eye(3))
        return float(products.max())

    @property
    def _directions(self) -> NDArray[np.float64]:
        """Of the file's axes, unit vectors in columns, (3, 3)."""
        axes = self.matrix[:3, :3]
        directions: NDArray[np.float64] = axes / np.linalg.norm(axes, axis=0)
        return directions

    @property
    def _nearest_world(self) -> tuple[int, int, int]:
        """For i, j and k the nearest axis of the patient, each once."""
        cosines = np.abs(self._directions)

        def closeness(worlds: tuple[int, ...]) -> float:
            return float(sum(cosines[world, axis] for axis, world in enumerate(worlds)))

        i, j, k = max(permutations(range(3)), key=closeness)
        return i, j, k

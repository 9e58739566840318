"""The three planes through an axial stack: which row of which picture a voxel is, what stands at a picture's edges, and
stacks of fewer voxels for a browser's memory.

Planes are shown as radiologists do: the patient's left at the right of axial and coronal pictures, the nose at the left
of sagittal ones, the head's top above.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from ml.volumes.grid import Affine, Shape, VolumeGrid

Spacing = tuple[float, float, float]

# A direction also has the letter of its second axis from this cosine on: 15 degrees off the first.
_OBLIQUE = 0.2588
_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))  # against and along x, y, z


class Axis(Enum):
    """What a plane is called. Its index counts slices, rows or columns of the axial stack."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


@dataclass(frozen=True)
class PlaneAxes:
    """The stack's axes (0 slices, 1 rows, 2 columns) of a plane: through it, down its picture, across it."""

    through: int
    down: int
    across: int
    is_upside_down: bool
    """Whether what grows along `down` grows to the picture's top."""


AXES = {
    Axis.AXIAL: PlaneAxes(0, 1, 2, False),
    Axis.CORONAL: PlaneAxes(1, 0, 2, True),
    Axis.SAGITTAL: PlaneAxes(2, 0, 1, True),
}


@dataclass(frozen=True)
class Edges:
    """The letters at a picture's edges: L R, A P, I S; two where the plane is oblique ("LA")."""

    left: str
    right: str
    top: str
    bottom: str


def cut(stack: NDArray[np.generic], axis: Axis, index: int) -> NDArray[np.generic]:
    """One plane of a stack (N, H, W, ...) as a picture (rows, columns, ...). Raises IndexError."""
    axes = AXES[axis]
    plane = stack[(slice(None),) * axes.through + (index,)]
    return plane[::-1] if axes.is_upside_down else plane


def picture_size(shape: Shape, spacing_mm: Spacing, axis: Axis, longest: int) -> tuple[int, int]:
    """(width, height) of a plane in square pixels, as fine as its finer axis, the longer side at most `longest`."""
    axes = AXES[axis]
    tall, wide = spacing_mm[axes.down], spacing_mm[axes.across]
    height, width = shape[axes.down] * tall, shape[axes.across] * wide
    pixel = max(min(tall, wide), max(height, width) / longest)
    return max(1, round(width / pixel)), max(1, round(height / pixel))


def stack_affine(grid: VolumeGrid, shape: Shape) -> Affine:
    """From (slice, row, column) of an axial stack of this shape to mm (RAS), at the centers of voxels: 4 rows of 4."""
    to_file = np.zeros((4, 4))  # from the stack's indices to the file's
    to_file[3, 3] = 1
    for place, (item, size, wanted) in enumerate(zip(grid.axial, grid.axial_shape, shape, strict=True)):
        scale, shift = size / wanted, (size / wanted - 1) / 2
        to_file[item.axis, place] = -scale if item.is_turned else scale
        to_file[item.axis, 3] = size - 1 - shift if item.is_turned else shift
    rows = grid.matrix @ to_file
    return tuple(tuple(float(value) for value in row) for row in rows)


def edges(affine: Affine, axis: Axis) -> Edges:
    """What stands at the edges of a plane. affine: of `stack_affine`."""
    matrix, axes = np.array(affine)[:3, :3], AXES[axis]
    down, across = matrix[:, axes.down], matrix[:, axes.across]
    if axes.is_upside_down:
        down = -down
    return Edges(left=_letters(-across), right=_letters(across), top=_letters(-down), bottom=_letters(down))


def _letters(direction: NDArray[np.float64]) -> str:
    cosines = direction / np.linalg.norm(direction)
    order = np.argsort(-np.abs(cosines), kind="stable")
    named = [world for place, world in enumerate(order) if place == 0 or abs(cosines[world]) >= _OBLIQUE]
    return "".join(_LETTERS[world][int(cosines[world] > 0)] for world in named)


def reduction(shape: Shape, spacing_mm: Spacing, most_voxels: int) -> Shape:
    """How many voxels of each axis become one, so that a stack has at most `most_voxels`: first of the finest axis."""
    factors = [1, 1, 1]
    while np.prod([size // factor for size, factor in zip(shape, factors, strict=True)], dtype=np.int64) > most_voxels:
        wide = [axis for axis in range(3) if shape[axis] >= 2 * factors[axis]]
        finest = min(wide, key=lambda axis: (factors[axis] * spacing_mm[axis], -shape[axis]))
        factors[finest] *= 2
    return factors[0], factors[1], factors[2]


def reduce_stack(stack: NDArray[np.uint8], factors: Shape) -> Iterator[NDArray[np.uint8]]:
    """The slices of a stack, uint8 (N, H, W), with the mean of so many voxels in the place of each; (H, W) each.

    What is left over at an axis' end is left out.
    """
    slices, rows, columns = factors
    height, width = stack.shape[1] // rows, stack.shape[2] // columns
    for index in range(stack.shape[0] // slices):
        block = np.asarray(stack[index * slices : (index + 1) * slices, : height * rows, : width * columns])
        if factors == (1, 1, 1):
            yield block[0]
            continue
        parts = block.reshape(slices, height, rows, width, columns)  # (slices, H, rows, W, columns)
        yield np.rint(parts.mean(axis=(0, 2, 4), dtype=np.float32)).astype(np.uint8)


def reduced_affine(affine: Affine, factors: Shape) -> Affine:
    """The affine of a reduced stack."""
    change = np.diag([*map(float, factors), 1.0])
    change[:3, 3] = (np.array(factors) - 1) / 2
    return tuple(tuple(float(value) for value in row) for row in np.array(affine) @ change)


def spacing_affine(spacing_mm: Spacing) -> Affine:
    """Of a stack that says nothing of the patient: mm from the first voxel, (column, row, slice)."""
    slices, rows, columns = spacing_mm
    return ((0.0, 0.0, columns, 0.0), (0.0, rows, 0.0, 0.0), (slices, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))

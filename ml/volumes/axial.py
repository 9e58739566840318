"""Axial slices of a volume, and what was found in them back on the volume's own grid.

Where the pixels of axial slices are squares, or nearly, slices are the file's own voxels: no value is interpolated, in
either direction. Where they are not (35 sagittal slices 5 mm apart have axial pixels of 1 x 5 mm, in which no network
sees a head) all three axes are brought to one distance by linear interpolation, and back by the same.

The two grids span the same box: index x of m along an axis lies at (x + 1/2) n / m - 1/2 of n.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ml.volumes.grid import Shape, VolumeGrid

Number = TypeVar("Number", bound=np.generic)

# Sides of a pixel that differ by no more are taken as a square.
SQUARE_RATIO = 1.25
# Headers are rounded: sides of 1.25 and 1 mm may be 1.2500001, and what is half a pixel too long is so by that alone.
# Files of one patient would else be cut to stacks of other shapes.
_ROUNDING, _DIGITS = 1e-4, 3
# What the training data have in a slice (256 pixels a field of view of 220 to 240 mm): nothing is gained below it.
FINEST_MM = 0.9


def stack_shape(grid: VolumeGrid) -> Shape:
    """Slices, rows and columns of the axial stack that is made of a volume; its own voxels where their pixels are
    nearly square."""
    shape, spacing = grid.axial_shape, grid.axial_spacing_mm
    if max(spacing[1:]) <= SQUARE_RATIO * min(spacing[1:]) * (1 + _ROUNDING):
        return shape
    wanted_mm = max(min(spacing[1:]), FINEST_MM)
    rows, columns = (_resized(size, distance, wanted_mm) for size, distance in zip(shape[1:], spacing[1:], strict=True))
    is_coarse = spacing[0] >= wanted_mm * (1 - _ROUNDING)
    return shape[0] if is_coarse else _resized(shape[0], spacing[0], wanted_mm), rows, columns


def _resized(size: int, distance: float, wanted_mm: float) -> int:
    """How many pixels at the wanted distance an axis has; halves go to the even one, whatever a header's rounding."""
    return max(round(round(size * distance / wanted_mm, _DIGITS)), 1)


def stack_spacing_mm(grid: VolumeGrid, shape: Shape) -> tuple[float, float, float]:
    """Distances of slices, rows and columns of an axial stack of this shape."""
    slices, rows, columns = (
        distance * size / wanted
        for distance, size, wanted in zip(grid.axial_spacing_mm, grid.axial_shape, shape, strict=True)
    )
    return slices, rows, columns


def axial_view(grid: VolumeGrid, voxels: NDArray[Number]) -> NDArray[Number]:
    """A file's voxels (i, j, k) as slices, rows and columns; no value is copied."""
    turned = voxels.transpose([item.axis for item in grid.axial])
    return turned[_turns(grid)]


def cut_axial(grid: VolumeGrid, voxels: NDArray[Number], shape: Shape) -> Iterator[NDArray[np.generic]]:
    """The axial slices of a volume, (H, W) each; float32 where they are interpolated, else of the voxels' own type.

    voxels: (i, j, k). shape: of `stack_shape`.
    """
    own = axial_view(grid, voxels)
    yield from own if shape == own.shape else _resample(own, shape)


def back_to_source(grid: VolumeGrid, stack: Sequence[NDArray[np.uint8]], shape: Shape) -> NDArray[np.uint8]:
    """An axial stack on the volume's own grid, uint8 (i, j, k), its memory in the order of a NIfTI file (i first).

    stack: anything with `len` and slices, uint8 (H, W), by index; each is asked for once. shape: of the stack.
    """
    volume = np.empty(grid.shape, np.uint8, order="F")
    own = axial_view(grid, volume)
    if shape == own.shape:
        for index in range(shape[0]):
            own[index] = stack[index]
    else:
        for index, plane in enumerate(_resample(stack, (own.shape[0], own.shape[1], own.shape[2]))):
            own[index] = np.rint(plane)
    return volume


def mask_on_source(grid: VolumeGrid, stack: Sequence[NDArray[np.uint8]], shape: Shape) -> NDArray[np.uint8]:
    """A mask of an axial stack, 0 or 255, on the volume's own grid: uint8 (i, j, k), 0 or 1, as `back_to_source`."""
    return (back_to_source(grid, stack, shape) >= 128).view(np.uint8)


def _turns(grid: VolumeGrid) -> tuple[slice, ...]:
    return tuple(slice(None, None, -1) if item.is_turned else slice(None) for item in grid.axial)


def _resample(stack: Sequence[NDArray[Number]] | NDArray[Number], wanted: Shape) -> Iterator[NDArray[np.float32]]:
    """Linear interpolation of a stack to another shape over the same box, slice by slice, float32 (H, W)."""
    below, above, share = _places(len(stack), wanted[0])
    kept: dict[int, NDArray[np.float32]] = {}  # the last two slices, in the new rows and columns
    for lower, upper, weight in zip(below, above, share, strict=True):
        kept = {place: kept[place] for place in (lower, upper) if place in kept}
        for place in (lower, upper):
            if place not in kept:
                kept[place] = _resample_plane(np.asarray(stack[place], np.float32), wanted[1:])
        yield kept[lower] if lower == upper else kept[lower] * (1 - weight) + kept[upper] * weight


def _resample_plane(plane: NDArray[np.float32], wanted: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W) to `wanted`, first rows, then columns."""
    if plane.shape[0] != wanted[0]:
        below, above, share = _places(plane.shape[0], wanted[0])
        plane = plane[below] * (1 - share[:, None]) + plane[above] * share[:, None]
    if plane.shape[1] != wanted[1]:
        below, above, share = _places(plane.shape[1], wanted[1])
        plane = plane[:, below] * (1 - share) + plane[:, above] * share
    return plane


def _places(count: int, wanted: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """For each of `wanted` indices the two of `count` around it, and the share of the second; ends are repeated."""
    place = np.clip((np.arange(wanted) + 0.5) * count / wanted - 0.5, 0, count - 1)
    below = np.floor(place).astype(np.intp)
    return below, np.minimum(below + 1, count - 1), (place - below).astype(np.float32)

"""From the voxels of a volume, of whatever format, to a scan: axial slices of 8 bits, and where they lie."""

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from ml.scans.readers.head_window import HeadWindowFinder
from ml.scans.readers.skull import is_skull_stripped
from ml.scans.scan import Geometry, Limits, Scan, ScanError
from ml.volumes.axial import cut_axial, stack_shape, stack_spacing_mm
from ml.volumes.grid import Shape, VolumeGrid

# Between voxels of a head; outside of it the header means something else.
PLAUSIBLE_MM = (0.05, 50.0)
# nnU-Net's `convert_2d_image_to_nifti` gives slices the distance 999 mm.
_OF_PICTURE = (
    ", or, since it is a single slice, give it as a picture (PNG or TIFF: `images/NAME.png`, its mask `masks/NAME.png`)"
)
# The cosine of 88.9 degrees: rounding of headers stays far below it.
MOST_SHEAR = 0.02
MOST_TILT_DEGREES = 20.0


def check_grid(affine: NDArray[np.floating], shape: tuple[int, int, int], uid: str | None = None) -> VolumeGrid:
    """The grid of a header's numbers. Raises ScanError `unreadable`, a sentence for each kind of nonsense."""
    matrix = np.asarray(affine, np.float64)
    if not np.isfinite(matrix).all():
        raise ScanError("unreadable", "The header's affine has NaN or infinite numbers; write the volume again.")
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    if not (spacing >= PLAUSIBLE_MM[0]).all() or not (spacing <= PLAUSIBLE_MM[1]).all():
        sizes = " x ".join(f"{size:.4g}" for size in spacing)
        raise ScanError(
            "unreadable",
            f"The header says voxels of {sizes} mm, and a side must have {PLAUSIBLE_MM[0]:g} to {PLAUSIBLE_MM[1]:g} mm;"
            f" correct the header{_OF_PICTURE if 1 in shape else ''}.",
        )
    if abs(float(np.linalg.det(matrix[:3, :3] / spacing))) < 1e-3:
        raise ScanError(
            "unreadable", "The header's affine is singular: two axes run the same way; write the volume again."
        )
    grid = VolumeGrid.of(matrix, shape, uid)
    if grid.largest_shear > MOST_SHEAR:
        raise ScanError(
            "unreadable",
            "The axes of the volume are not at right angles (the affine has a shear); resample it on a straight grid.",
        )
    return grid


def make_scan(
    grid: VolumeGrid,
    voxels: NDArray[np.generic],
    limits: Limits,
    name: str,
    notes: Collection[str] = (),
    scaling: tuple[float, float] = (1.0, 0.0),
) -> Scan:
    """Cut, scale and store axial slices.

    voxels: (i, j, k), as they are stored; scaling: slope and intercept that make the file's unit of them. Raises
    ScanError `too_small`, `limit`, `unreadable` (NaN and infinities).
    """
    shape = stack_shape(grid)
    if min(shape[1:]) < limits.min_side:
        # The longer side first: a localizer's sagittal and coronal pictures get one sentence.
        long, short = sorted(shape[1:], reverse=True)
        raise ScanError(
            "too_small",
            f"Axial slices of this volume have {long} x {short} pixels and need at least {limits.min_side} a"
            " side. A localizer, or a few slices of another plane, is too thin for that: send the whole series, or"
            " leave it out.",
        )
    limits.check_slice(shape[2], shape[1])
    limits.check_stack(shape[0], shape[2], shape[1])

    def slices(of_shape: Shape) -> Iterator[NDArray[np.generic]]:
        for plane in cut_axial(grid, voxels, of_shape):
            yield plane if scaling == (1.0, 0.0) else plane.astype(np.float64) * scaling[0] + scaling[1]

    finder = HeadWindowFinder(grid.axial_shape[0])
    for plane in slices(grid.axial_shape):
        finder.add(plane)
    window = finder.head_window()
    stack = np.empty((*shape, 3), np.uint8)
    for index, plane in enumerate(slices(shape)):
        stack[index] = window.apply(plane)[..., None]
    slice_mm, row_mm, column_mm = (round(distance, 6) for distance in stack_spacing_mm(grid, shape))
    found = {
        "constant": window.is_constant,
        "head_scaled": not window.is_constant and not window.is_as_stored,
        "resampled": shape != grid.axial_shape,
        "skull_stripped": is_skull_stripped(stack),
        "oblique": grid.tilt_degrees > MOST_TILT_DEGREES,
    }
    warnings = (*notes, *(code for code, is_found in found.items() if is_found))
    return Scan(stack, name, Geometry(row_mm, column_mm, slice_mm), warnings, grid=grid)


def make_unplaced_scan(
    stored: NDArray[np.generic],
    limits: Limits,
    name: str,
    notes: Collection[str],
    scaling: tuple[float, float] = (1.0, 0.0),
) -> Scan:
    """Scale slices, (N, H, W), whose place in the patient is not known: in their order, without geometry.

    Raises as `make_scan`.
    """
    count, height, width = stored.shape
    limits.check_slice(width, height)
    limits.check_stack(count, width, height)
    finder = HeadWindowFinder(count)
    for plane in stored:
        finder.add(plane * scaling[0] + scaling[1])
    window = finder.head_window()
    stack = np.empty((count, height, width, 3), np.uint8)
    for index, plane in enumerate(stored):
        stack[index] = window.apply(plane * scaling[0] + scaling[1])[..., None]
    scaled = "constant" if window.is_constant else "head_scaled"
    return Scan(stack, name, None, (*notes, *(() if window.is_as_stored else (scaled,))))

"""Does a file's header tell where the patient lay, or is its place the one that programs write where they know none?

Two volumes may be laid on each other by their places only where both tell, or neither does. The places that tell
nothing: the origin at 0, 0, 0 (an identity as affine, or an array that SimpleITK has written without the scan's
information), and the middle at 0, 0, 0, which nibabel takes where a NIfTI header has neither sform nor qform.
"""

from enum import Enum

import numpy as np

from ml.volumes.grid import VolumeGrid
from ml.volumes.label_volumes import is_same_lattice

# The rounding of a header's float32.
_ROUNDING_MM = 1e-3


class Place(Enum):
    """What of a file decides where its voxels lie."""

    STATED = "stated"
    ORIGIN_AT_ZERO = "origin at zero"
    MIDDLE_AT_ZERO = "middle at zero"


def place_of(grid: VolumeGrid) -> Place:
    """By DICOM's frame of reference, else by the affine alone: a stored grid says no more."""
    if grid.frame_of_reference is not None:
        return Place.STATED
    matrix = grid.matrix
    if not np.abs(matrix[:3, 3]).max() > 0:
        return Place.ORIGIN_AT_ZERO
    steps = np.array(grid.spacing_mm) * (-1, 1, 1)  # as `nibabel.volumeutils.shape_zoom_affine`
    middle = np.column_stack([np.diag(steps), -steps * (np.array(grid.shape) - 1) / 2])
    return Place.MIDDLE_AT_ZERO if np.abs(matrix[:3] - middle).max() < _ROUNDING_MM else Place.STATED


def unplaced(own: VolumeGrid, other: VolumeGrid) -> VolumeGrid | None:
    """The one of two whose place tells nothing while the other's tells, or tells nothing in another way.

    None: their places may be compared, or their voxels are the same.
    """
    places = place_of(own), place_of(other)
    if places[0] is places[1] or is_same_lattice(other, own):
        return None
    return own if places[1] is Place.STATED else other


def why_unplaced(lacking: str, other: str) -> str:
    """A sentence for `unplaced`. lacking, other: what they are called, as "the mask" and "the scan"."""
    return (
        f"The header of {lacking} does not say where in the patient it lies (it has no position, or the origin 0, 0, 0"
        f" that programs write where they know none), so it cannot be laid on {other}: write it with the position of"
        f" {other} (nibabel: `Nifti1Image(voxels, other.affine)`, SimpleITK: `image.CopyInformation(other)`), or export"
        " both with one program."
    )

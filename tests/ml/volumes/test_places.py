"""`ml.volumes.places`: which headers say where the patient lay."""

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from ml.volumes.grid import VolumeGrid
from ml.volumes.places import Place, place_of, unplaced
from tests.support.volume_files import affine_of

SHAPE = (28, 32, 24)
STATED = affine_of("LPS", (5.0, 5.5, 6.0), SHAPE)


def grid(affine: NDArray, shape: tuple[int, int, int] = SHAPE) -> VolumeGrid:
    return VolumeGrid.of(affine, shape)


def of_nibabel(spacing_mm: tuple[float, float, float]) -> NDArray:
    """Where nibabel lays a volume whose header has distances alone."""
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), None)
    image.header.set_zooms(spacing_mm)
    found: NDArray = image.header.get_best_affine()
    return found


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.9375, 0.9375, 5.1), (0.4296875, 0.4296875, 7.2)])
def test_the_places_that_programs_write_by_themselves_say_nothing(spacing_mm: tuple[float, float, float]) -> None:
    assert place_of(grid(of_nibabel(spacing_mm))) is Place.MIDDLE_AT_ZERO
    assert place_of(grid(np.diag((*spacing_mm, 1.0)))) is Place.ORIGIN_AT_ZERO
    assert place_of(grid(np.diag((-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0)))) is Place.ORIGIN_AT_ZERO
    assert place_of(grid(STATED)) is Place.STATED


def test_dicom_states_the_origin_where_it_is_at_zero() -> None:
    assert place_of(VolumeGrid.of(np.eye(4), SHAPE, "1.2.3")) is Place.STATED


def test_of_two_that_one_is_named_which_lacks_a_place() -> None:
    one, bare, middle = grid(STATED), grid(np.eye(4)), grid(of_nibabel((1.0, 1.0, 1.0)))
    assert unplaced(one, bare) is bare
    assert unplaced(bare, one) is bare
    assert unplaced(bare, middle) is middle, "both say nothing, each in its way"
    moved = STATED.copy()
    moved[:3, 3] += 4
    assert unplaced(one, grid(moved)) is None, "both are stated, and believed"
    assert unplaced(bare, grid(np.diag((2.0, 2.0, 2.0, 1.0)))) is None


def test_a_crop_of_a_volume_at_the_origin_lies_on_its_voxels() -> None:
    crop = np.eye(4)
    crop[:3, 3] = (3, 4, 5)
    assert unplaced(grid(np.eye(4)), grid(crop, (9, 9, 9))) is None

"""One stack on another's grid; the judge is SimpleITK."""

import numpy as np
import pytest
import SimpleITK

from ml.volumes.alignment import Alignment
from ml.volumes.grid import VolumeGrid
from ml.volumes.planes import stack_affine
from tests.support import volume_files
from tests.support.simpleitk_images import image

TARGET, SOURCE = (9, 20, 24), (12, 26, 18)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PSR", "AIL"])
@pytest.mark.parametrize("degrees", [(0.0, 0.0, 0.0), (9.0, -14.0, 20.0)])
def test_a_stack_lies_where_simpleitk_puts_it(orientation: str, degrees: tuple[float, float, float]) -> None:
    file_shape = (18, 26, 12)
    grid = VolumeGrid.of(volume_files.oblique(degrees, (3.0, 2.5, 4.0), file_shape), file_shape)
    target_affine = volume_files.affine_of(orientation, (3.5, 3.0, 2.5), (20, 20, 20))
    target = VolumeGrid.of(target_affine, (20, 20, 20))
    source = np.random.default_rng(2).integers(0, 256, grid.axial_shape, dtype=np.uint8)
    from_affine, to_affine = stack_affine(grid, grid.axial_shape), stack_affine(target, target.axial_shape)
    alignment = Alignment.of(to_affine, from_affine, grid.axial_shape)
    count, height, width = target.axial_shape
    cuts = [alignment.cut(source, index, (height, width)) for index in range(count)]
    found, inside = (np.stack(parts) for parts in zip(*cuts, strict=True))
    reference = image(np.zeros(target.axial_shape), np.array(to_affine))
    moving, same = image(source, np.array(from_affine)), SimpleITK.Transform()
    moved = SimpleITK.Resample(moving, reference, same, SimpleITK.sitkLinear, -1.0)
    expected = SimpleITK.GetArrayFromImage(moved)
    assert inside.mean() > 0.3 and not inside.all()
    # At the very edge of the box rounding decides.
    assert ((expected >= 0) == inside).mean() > 0.99
    both = (expected >= 0) & inside
    assert np.abs(found[both] - expected[both]).max() <= 0.51
    assert not found[~inside].any()
    np.testing.assert_allclose(alignment.covered_slices(count, (height, width)), inside[:, ::8, ::8].mean(axis=(1, 2)))


def test_a_stack_on_its_own_grid_stays_as_it_is() -> None:
    affine = volume_files.oblique((5.0, 6.0, 7.0), (1.0, 1.1, 5.0), (18, 26, 12))
    grid = VolumeGrid.of(affine, (18, 26, 12))
    stack = np.random.default_rng(3).integers(0, 256, grid.axial_shape, dtype=np.uint8)
    own = stack_affine(grid, grid.axial_shape)
    alignment = Alignment.of(own, own, grid.axial_shape)
    for index, plane in enumerate(stack):
        cut, inside = alignment.cut(stack, index, plane.shape)
        assert inside.all()
        np.testing.assert_array_equal(cut, plane)

"""The shape of the axial stack of a volume does not hang on how a header's numbers were rounded."""

import numpy as np
import pytest

from ml.volumes.axial import stack_shape
from ml.volumes.grid import VolumeGrid
from tests.support.volume_files import oblique


@pytest.mark.parametrize(
    ("spacing_mm", "shape", "expected"),
    [
        ((1.25, 1.0, 1.0), (40, 160, 170), (170, 160, 40)),  # as square as it has to be
        ((4.5, 1.0, 1.0), (33, 160, 170), (170, 160, 148)),  # 148.5 pixels
        ((4.5, 1.0, 1.0), (35, 160, 170), (170, 160, 158)),  # 157.5 pixels
        ((5.0, 0.9, 0.9), (40, 200, 170), (170, 200, 222)),  # slices at the finest distance
    ],
)
def test_headers_that_differ_by_rounding_alone_make_stacks_of_one_shape(spacing_mm, shape, expected):
    tilts = [(step * 1e-3, 0.0, step * 7e-4) for step in range(100)]
    affines = (oblique(tilt, spacing_mm, shape).astype(np.float32) for tilt in tilts)
    assert {stack_shape(VolumeGrid.of(affine, shape)) for affine in affines} == {expected}

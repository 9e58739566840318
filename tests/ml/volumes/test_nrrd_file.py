"""A mask as NRRD, read by SimpleITK, which has nothing of ours."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from ml.volumes.grid import VolumeGrid
from ml.volumes.nrrd_file import write_nrrd
from tests.support import volume_files

SHAPE = (7, 9, 5)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIL"])
@pytest.mark.parametrize("is_packed", [True, False], ids=["gzip", "raw"])
def test_voxels_lie_where_they_are(tmp_path: Path, orientation: str, is_packed: bool) -> None:
    affine = volume_files.affine_of(orientation, (1.5, 2.0, 3.0), SHAPE)
    voxels = np.random.default_rng(0).integers(0, 2, SHAPE).astype(np.uint8)
    path = tmp_path / "label.nrrd"
    write_nrrd(path, voxels, VolumeGrid.of(affine, SHAPE), is_packed=is_packed)
    image = SimpleITK.ReadImage(str(path))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), voxels)
    for place in ((0, 0, 0), (6, 0, 1), (3, 8, 4)):
        wanted = (affine @ [*place, 1])[:3] * [-1, -1, 1]
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(place), wanted, atol=1e-6)

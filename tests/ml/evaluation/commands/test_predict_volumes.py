"""`python -m ml predict` without a model's name, and the masks of volumes on the voxels of their own file."""

import nibabel
import numpy as np
import pytest
from PIL import Image

from ml.commands.model_options import DEFAULT_MODEL
from tests.ml.evaluation.commands.conftest import rows_of
from tests.ml.evaluation.commands.test_predict_series import AFFINE, SHAPE, write_series
from tests.support import volume_files
from webapp.domain.settings import Settings


def test_without_a_model_it_is_the_portals(command, data, tmp_path, monkeypatch):
    assert Settings.from_environment({}).default_model == DEFAULT_MODEL
    monkeypatch.delenv("GLIOSCOPE_MODEL", raising=False)
    for name in ("evaluate", "predict"):
        status, said, _ = command(name, data, model=None)
        assert status == 1 and f"no model package called '{DEFAULT_MODEL}'" in said
    monkeypatch.setenv("GLIOSCOPE_MODEL", "fake")
    assert command("predict", data, model=None)[0] == 0


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR"])
def test_predict_writes_the_mask_of_a_volume_on_the_voxels_of_its_file(command, tmp_path, codes):
    """Compared by places in the patient, with the pictures of its slices."""
    shape = tuple({"R": 40, "L": 40, "A": 48, "P": 48, "S": 6, "I": 6}[code] for code in codes)
    affine = volume_files.affine_of(codes, tuple(8.0 if code in "SI" else 4.0 for code in codes), shape)
    voxels = volume_files.head(affine, shape, "uint16")
    (tmp_path / "scan.nii.gz").write_bytes(volume_files.nifti(voxels, affine))
    status, said, _ = command("predict", tmp_path / "scan.nii.gz")
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert status == 0 and {row["volume_mask"] for row in rows} == {"volumes/scan.nii.gz"}, said
    found = nibabel.load(tmp_path / "out" / "volumes" / "scan.nii.gz")
    mask = np.asarray(found.dataobj)
    assert mask.shape == shape and np.allclose(found.affine, affine) and set(np.unique(mask)) == {0, 1}
    # Axial slices from the feet, rows from the front, columns from the patient's right.
    own = nibabel.as_closest_canonical(found)
    upright = np.asarray(own.dataobj)[::-1, ::-1].transpose(2, 1, 0)
    pictures = np.stack([np.asarray(Image.open(tmp_path / "out" / row["mask"])) > 0 for row in rows])
    assert np.array_equal(upright > 0, pictures) or np.array_equal(upright[:, :, ::-1] > 0, pictures)


def test_predict_writes_the_mask_of_a_series_in_the_patients_coordinates(command, tmp_path):
    write_series(tmp_path / "study" / "flair")
    assert command("predict", tmp_path / "study")[0] == 0
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    found = nibabel.load(tmp_path / "out" / rows[0]["volume_mask"])
    assert found.shape == SHAPE and np.allclose(found.affine, AFFINE, atol=1e-3)
    assert np.asarray(found.dataobj).sum() == sum(int(row["tumor_pixels"]) for row in rows) > 0


def test_predict_writes_no_volume_of_pictures(command, data, tmp_path):
    assert command("predict", data)[0] == 0
    assert not (tmp_path / "out" / "volumes").exists()
    assert {row["volume_mask"] for row in rows_of(tmp_path / "out" / "predictions.csv")} == {""}

"""A real patient as BraTS lays it out, a fusion of other programs in the place of an expert's mask."""

import json
import shutil
from pathlib import Path

import pytest

from ml.__main__ import main
from ml.datasets import check

FILES = {"fla": "flair", "t1": "t1", "t1c": "t1ce"}


@pytest.mark.data
@pytest.mark.long
def test_a_patient_on_the_atlas_is_checked_and_measured(tmp_path: Path, real_data: Path) -> None:
    source, folder = real_data / "volumes" / "TCGA-DU-7294", tmp_path / "brats" / "TCGA-DU-7294"
    folder.mkdir(parents=True)
    for name, ending in FILES.items():
        shutil.copy(source / f"{name}-atlas-skull-stripped.nii.gz", folder / f"DU_{ending}.nii.gz")
    shutil.copy(source / "tumor-fusion-atlas.nii.gz", folder / "DU_seg.nii.gz")
    report = check(folder.parent)
    assert (report.layout, report.problems, report.analysis.slices) == ("BraTS", (), 155)
    assert main(["evaluate", str(folder.parent), "--model", "unet-lite0-lgg", "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "report.json").read_text())["patients"][0]
    assert found["dice"] > 0.4 and 0 < found["hd95_mm"] < 60 and found["found_lesions"] >= 1
    # Voxels of 1 mm: a milliliter has a thousand.
    assert found["truth_ml"] == pytest.approx(found["truth_pixels"] / 1000)

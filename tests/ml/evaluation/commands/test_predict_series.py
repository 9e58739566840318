"""`python -m ml predict` on DICOM series."""

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage

from tests.ml.evaluation.commands.conftest import rows_of
from tests.support import dicom_files, volume_files

SHAPE = (40, 48, 6)
AFFINE = volume_files.affine_of("LPS", (4.0, 4.0, 8.0), SHAPE)


def write_series(folder, name="{k:04}.dcm", seed=0, **elements):
    """A DICOM series of six slices, its files in the reverse order of their places."""
    folder.mkdir(parents=True, exist_ok=True)
    voxels = volume_files.head(AFFINE, SHAPE, "uint16") + np.uint16(seed)
    files = dicom_files.series(voxels, AFFINE, **elements)
    for k, data in enumerate(files):
        (folder / name.format(k=SHAPE[2] - k)).write_bytes(data)
    return files


@pytest.mark.parametrize("name", ["{k:04}.dcm", "IM{k:06}", "{k:04}", "MR.1.2.840.{k}", "{k}.IMA"])
def test_predict_takes_a_series_of_a_folder_as_one_volume(command, tmp_path, name):
    """Whatever its files are called."""
    write_series(tmp_path / "study" / "flair", name)
    (tmp_path / "study" / "README").write_text("Of the scanner.")
    status, said, _ = command("predict", tmp_path / "study")
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert (status, len(rows)) == (0, SHAPE[2]), said
    assert [row["mask"] for row in rows] == [f"masks/flair_{k:04}.png" for k in range(SHAPE[2])]
    assert {row["area_mm2"] for row in rows} != {""} and len({row["file"] for row in rows}) == 1
    assert not [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_predict_tells_series_apart_and_leaves_masks_of_dicom_out(command, tmp_path):
    for seed, name in enumerate(("t1", "flair")):
        write_series(tmp_path / "all", f"{name}{{k}}", seed, uid=f"1.2.{seed + 1}")
    document = dicom_files.blank(SegmentationStorage, ExplicitVRLittleEndian)
    document.SeriesInstanceUID, document.Modality = "1.2.9", "SEG"
    (tmp_path / "all" / "mask").write_bytes(dicom_files.written(document))
    status, said, output = command("predict", tmp_path / "all")
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert status == 0, said
    assert len(rows) == 2 * SHAPE[2] and len({row["mask"] for row in rows}) == len(rows)
    assert "Left out: 1 file" in output and "all/mask: " in said


def test_predict_joins_files_that_are_given_by_themselves(command, tmp_path):
    write_series(tmp_path / "flair")
    status, said, _ = command("predict", *sorted((tmp_path / "flair").iterdir()))
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert (status, [row["mask"] for row in rows]) == (0, [f"masks/flair_{k:04}.png" for k in range(SHAPE[2])]), said


@pytest.mark.parametrize("place", [1, 4])
def test_predict_reads_a_series_without_its_damaged_file_and_names_it(command, tmp_path, place):
    files = write_series(tmp_path / "flair")
    damaged = tmp_path / "flair" / f"{place:04}.dcm"
    damaged.write_bytes(files[SHAPE[2] - place][:-900])
    status, said, output = command("predict", tmp_path / "flair")
    *rows, error = rows_of(tmp_path / "out" / "predictions.csv")
    assert (status, len(rows)) == (1, SHAPE[2] - 1), said
    assert all("slices_refused" in row["warnings"] and not row["error"] for row in rows)
    assert (error["file"], error["verdict"]) == (str(damaged), "")
    assert error["error"] and f"{damaged}: {error['error']}\n" in said
    assert str(damaged) not in {row["file"] for row in rows}
    assert "1 of 1 files in" in output and "Damaged and left out of its series: 1 file\n" in output


def test_predict_names_each_damaged_file_of_a_series_that_cannot_be_read(command, tmp_path):
    files = write_series(tmp_path / "flair")
    damaged = [tmp_path / "flair" / f"{place:04}.dcm" for place in (2, 4, 5)]
    for place, path in zip((2, 4, 5), damaged, strict=True):
        path.write_bytes(files[SHAPE[2] - place][:-900])
    status, said, output = command("predict", tmp_path / "flair")
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert status == 1 and "0 of 1 files in" in output
    assert [row["file"] for row in rows[1:]] == [str(path) for path in damaged]
    assert all(row["error"] for row in rows) and all(f"{path}: " in said for path in damaged)

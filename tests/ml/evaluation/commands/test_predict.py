"""`python -m ml predict`, from the command line to the files."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ml.ood.sequences import SequenceEvidence
from tests.ml.evaluation.commands.conftest import rows_of
from tests.ml.evaluation.conftest import FakeEngine, square, write_case
from tests.support.volume_sets import labels, write_brats, write_volume


def test_predict_writes_three_pictures_and_a_row_a_slice(command, data, tmp_path):
    status, _, said = command("predict", data)
    out = tmp_path / "out"
    rows = rows_of(out / "predictions.csv")
    assert status == 0
    assert "5 of 5 files" in said
    assert "Research use only. Not for diagnosis." in said
    assert [row["verdict"] for row in rows] == ["tumor_detected"] * 3 + ["no_tumor"] * 2
    assert (rows[0]["tumor_pixels"], rows[0]["mask"], rows[0]["area_mm2"]) == ("64", "masks/one/a.png", "")
    assert int(rows[0]["head_pixels"]) >= 64
    assert float(rows[0]["head_coverage_percent"]) == pytest.approx(6400 / int(rows[0]["head_pixels"]), abs=1e-4)
    assert float(rows[0]["mean_confidence"]) > 0.5
    assert (rows[0]["rim_width_pixels"], rows[3]["mean_confidence"], rows[3]["rim_width_pixels"]) == ("0.00", "", "")
    found = square(4, 4, 8) > 0
    assert np.array_equal(np.asarray(Image.open(out / rows[0]["mask"])) == 255, found)
    cutout = np.asarray(Image.open(out / rows[0]["cutout"]))
    assert cutout.shape == (32, 32, 4)
    assert np.array_equal(cutout[..., 3] == 255, found)
    assert not cutout[~found].any()
    assert np.asarray(Image.open(out / rows[0]["overlay"])).shape == (32, 32, 3)


def test_patients_and_slices_stand_in_the_order_in_which_a_person_counts(command, tmp_path):
    for patient, number in (("P10", 1), ("P2", 10), ("P2", 9)):
        write_case(tmp_path / "data", patient, f"{patient}_{number}", square(4, 4, 8), square(4, 4, 8))
    assert command("evaluate", tmp_path / "data")[0] == 0
    out = tmp_path / "out"
    images = ["P2_9.png", "P2_10.png", "P10_1.png"]
    assert [row["image"].rpartition("/")[2] for row in rows_of(out / "metrics.csv")] == images
    assert [row["patient"] for row in rows_of(out / "patients.csv")] == ["P2", "P10"]


def test_predict_takes_stacks_and_files_of_one_name(command, tmp_path):
    pages = [Image.fromarray(square(4, 4, 8)), Image.fromarray(square(0, 0, 0))]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    pages[0].convert("RGB").save(tmp_path / "scan.png")
    status, _, _ = command("predict", tmp_path / "scan.tif", tmp_path / "scan.png")
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert status == 0
    assert [row["mask"] for row in rows] == ["masks/scan_0000.png", "masks/scan_0001.png", "masks/scan_2.png"]
    assert [row["verdict"] for row in rows] == ["tumor_detected", "no_tumor", "tumor_detected"]


def test_the_head_on_a_slice_is_told_by_what_is_lit_in_its_whole_stack(command, tmp_path):
    head, noise = np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.uint8)
    head[4:28, 4:28], noise[4:28, 4:28] = 200, 15  # 12 % of the stack's bright pixels are 24, of the noise's alone 2
    pages = [Image.fromarray(page) for page in (head, noise)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    pages[1].save(tmp_path / "noise.png")
    assert command("predict", tmp_path / "scan.tif", tmp_path / "noise.png")[0] == 0
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert [row["head_pixels"] for row in rows] == [str(24 * 24), "", str(24 * 24)]


def test_predict_says_what_is_of_another_sequence(command, tmp_path, monkeypatch):
    """A slice whose first pixel is 10 is told as T1, every other one as FLAIR."""
    infer = FakeEngine.infer

    def told(engine, pixels, context=None):
        log_odds = np.full((len(pixels), 2), np.nan, np.float32)
        log_odds[:, 0] = np.where(pixels[:, 0, 0, 0] == 10, 4.0, -2.0)
        return replace(infer(engine, pixels), sequences=SequenceEvidence(log_odds, (3.0, 3.0), (2.0, 2.0)))

    monkeypatch.setattr(FakeEngine, "infer", told)
    flair, t1 = Image.fromarray(square(0, 0, 0)), Image.fromarray(square(0, 0, 1, value=10))
    tumor = Image.fromarray(np.maximum(square(4, 4, 8), square(0, 0, 1, value=10)))
    folder = tmp_path / "scans"
    folder.mkdir()
    flair.save(folder / "d.tif", save_all=True, append_images=[*[flair] * 4, *[t1] * 4])
    for name, picture in (("a", flair), ("b", t1), ("c", tumor)):
        picture.save(folder / f"{name}.png")
    status, _, said = command("predict", folder)
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert status == 0
    assert [(row["verdict"], row["warnings"]) for row in rows] == [
        ("no_tumor", ""),
        ("not_assessed", "not_flair"),
        ("tumor_detected", "not_flair"),
        *[("not_assessed", "mixed_sequences")] * 9,
    ]
    assert said.splitlines()[1:] == ["warning mixed_sequences: 1 of 4 files", "warning not_flair: 2 of 4 files"]


def test_predict_goes_on_after_a_bad_file(command, data, tmp_path, caplog):
    (data / "one" / "b.png").write_bytes(b"nothing")
    with caplog.at_level("INFO"):
        status, said, _ = command("predict", data)
    assert not [record for record in caplog.records if record.name.startswith("ml.sandbox")]  # it is said once
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert status == 1
    assert "b.png" in said
    assert [bool(row["error"]) for row in rows] == [False, True, False, False, False]
    assert rows[1]["verdict"] == ""


def test_what_predict_wrote_below_its_scans_is_no_scan_the_next_time(command, tmp_path):
    """Overlays and cut-outs had verdicts of their own."""
    folder = tmp_path / "scans"
    write_volume(folder / "volumes" / "of_a_user.nii.gz", labels())
    for name in ("a", "b"):
        (folder / name).mkdir()
        Image.fromarray(square(4, 4, 8)).save(folder / name / "s.png")
    assert command("predict", folder, out=folder / "results")[0] == 0
    write_volume(folder / "results" / "volumes" / "a.nii.gz", labels())
    status, said, _ = command("predict", folder)
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert (status, [row["mask"] for row in rows]) == (0, ["masks/a/s.png", "masks/b/s.png"])
    assert "results/overlays/a/s.png" in said and "results/volumes/a.nii.gz" in said
    assert "`python -m ml predict` wrote" in said and "expert" not in said


def test_predict_overwrites_no_result_of_another_file(command, tmp_path):
    pages = [Image.fromarray(square(4, 4, 8)), Image.fromarray(square(0, 0, 0))]
    folder = tmp_path / "scans"
    folder.mkdir()
    pages[0].save(folder / "scan.tif", save_all=True, append_images=pages[1:])
    pages[1].convert("RGB").save(folder / "Scan_0000.png")
    status, _, _ = command("predict", folder)
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert status == 0
    assert sorted(row["mask"] for row in rows) == [
        "masks/Scan_0000.png",
        "masks/scan_2_0000.png",
        "masks/scan_2_0001.png",
    ]
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 3


def test_predict_says_of_names_that_no_result_can_have_and_does_the_rest(command, tmp_path):
    pages = [Image.fromarray(square(4, 4, 8)), Image.fromarray(square(0, 0, 0))]
    folder = tmp_path / "scans"
    folder.mkdir()
    long = "x" * 249
    pages[0].save(folder / f"{long}.tif", save_all=True, append_images=pages[1:])
    pages[0].convert("RGB").save(folder / f"{'y' * 251}.png")
    pages[0].convert("RGB").save(bytes(folder) + b"/b\xff.png")
    status, said, _ = command("predict", folder)
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert status == 1
    assert [row["error"].partition(";")[2] for row in rows] == [" rename it.", " shorten the file's name.", ""]
    assert rows[0]["file"].endswith("b\\xff.png") and "not UTF-8" in said and "258 bytes" in said
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == [f"{'y' * 251}.png"]


def test_predict_takes_the_images_of_a_layout_and_names_what_it_leaves_out(command, tmp_path):
    (tmp_path / "set" / "masks").mkdir(parents=True)
    (tmp_path / "set" / "images").mkdir()
    Image.fromarray(square(4, 4, 8)).save(tmp_path / "set" / "images" / "a.png")
    Image.fromarray(square(4, 4, 8)).save(tmp_path / "set" / "masks" / "a.png")
    (tmp_path / "set" / "images" / "b.bmp").write_bytes(b"BM")
    status, said, output = command("predict", tmp_path / "set")
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert status == 0 and [row["mask"] for row in rows] == ["masks/images/a.png"]
    assert "Left out: 2 files: 1 expert's mask and no image, 1 that is no part of the data set\n" in output
    assert "expert_mask: masks/a.png" in said and "left_out: images/b.bmp" in said


def test_predict_takes_flair_of_each_patient_of_volumes(command, tmp_path):
    write_brats(tmp_path / "brats", "P1", ends=("-t2f", "-t1n", "-t1c", "-seg", "-t2w"))
    write_brats(tmp_path / "brats", "P2", ends=("-t1n",))
    write_volume(tmp_path / "brats" / "P2" / "P2-seg.nii.gz", labels())
    status, said, _ = command("predict", tmp_path / "brats")
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert status == 0 and {row["file"] for row in rows} == {str(tmp_path / "brats" / "P1" / "P1-t2f.nii.gz")}
    assert rows[0]["mask"] == "masks/P1/P1-t2f_0000.png" and "has no FLAIR" in said

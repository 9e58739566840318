"""`python -m ml evaluate` and `predict`, from the command line to the files, with an engine that needs no model."""

import csv
import errno
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage

import ml.engines
from ml import atomic_files
from ml.__main__ import main
from ml.commands.left_out import WORDS
from ml.datasets.checking.problems import LEFT_OUT
from ml.ood.sequences import SequenceEvidence
from tests.ml.evaluation.conftest import CARD, FakeEngine, square, write_case
from tests.support import dicom_files, volume_files
from tests.support.volume_sets import labels, write_brats, write_volume


@pytest.fixture(autouse=True)
def fake_model(tmp_path, monkeypatch):
    """A package called `fake` in GLIOSCOPE_MODELS, answered by FakeEngine."""
    folder = tmp_path / "models" / "fake"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps(CARD.to_json()))
    monkeypatch.setenv("GLIOSCOPE_MODELS", str(folder.parent))
    monkeypatch.setattr(ml.engines, "load_engine", lambda package, kind, directories: FakeEngine())
    return folder


@pytest.fixture
def command(tmp_path, capsys):
    """Run a command into `out`; gives its exit status and what it said on standard error and standard output."""

    def run(name, *words, model="fake", out=tmp_path / "out"):
        status = main([name, *map(str, words), "--model", str(model), "--out", str(out)])
        said = capsys.readouterr()
        return status, said.err, said.out

    return run


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_evaluate_says_the_headline(command, data, tmp_path):
    status, _, said = command("evaluate", data)
    assert status == 0
    assert said.startswith("Patient Dice 0.353, 95 % CI")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["summary"]["model"] == "fake"
    assert report["summary"]["threshold"] == CARD.threshold


def test_model_may_be_a_folder_and_threshold_and_patients_are_obeyed(command, data, fake_model, tmp_path):
    (tmp_path / "list.txt").write_text("# the second\ntwo\n\n")
    status, _, _ = command(
        "evaluate", data, "--threshold", "0.3", "--patients", tmp_path / "list.txt", "--tta", model=fake_model
    )
    summary = json.loads((tmp_path / "out" / "report.json").read_text())["summary"]
    assert status == 0
    assert (summary["patients"], summary["slices"], summary["threshold"], summary["tta"]) == (1, 2, 0.3, True)
    assert summary["patient_dice_mean"] == 1  # q = 100 lies above a threshold of 0.3
    assert summary["patient_dice_ci95"] is None


def test_evaluate_reports_a_broken_file_and_ends_with_1(command, data, tmp_path):
    (data / "one" / "b.png").write_bytes(b"nothing")
    status, said, _ = command("evaluate", data)
    assert status == 1
    assert "one/b.png cannot be read" in said
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize("name", ["evaluate", "predict"])
def test_unknown_model_is_one_sentence(command, data, name, tmp_path):
    status, said, _ = command(name, data, model="unet")
    assert status == 1
    assert "no model package called 'unet'; packages found: fake" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["evaluate", "predict"])
def test_empty_or_missing_folder_is_one_sentence(command, name, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "missing"):
        status, said, _ = command(name, folder)
        assert status == 1
        assert str(folder) in said
        assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["evaluate", "predict"])
def test_older_results_are_refused_before_any_work(command, data, name, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("kept")
    status, said, _ = command(name, data)
    assert status == 1
    assert "exists already; give --out a folder" in said
    assert (tmp_path / "out" / "old").read_text() == "kept"


def test_evaluate_without_masks_names_predict(command, tmp_path):
    write_case(tmp_path / "bare", "one", "a", square(4, 4, 8), None)
    status, said, _ = command("evaluate", tmp_path / "bare")
    assert status == 1
    assert "python -m ml predict" in said


def test_evaluate_with_nothing_readable_leaves_nothing(command, tmp_path):
    write_case(tmp_path / "bad", "one", "a", square(4, 4, 8), square(4, 4, 8))
    (tmp_path / "bad" / "one" / "a.png").write_bytes(b"nothing")
    status, said, _ = command("evaluate", tmp_path / "bad")
    assert status == 1
    assert "No slice could be evaluated" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "sentence"), [("nobody\n", "nobody"), ("\n# none\n", "names no patient"), (None, "cannot be read")]
)
def test_bad_list_of_patients_is_one_sentence(command, data, tmp_path, words, sentence):
    if words is not None:
        (tmp_path / "list.txt").write_text(words)
    status, said, _ = command("evaluate", data, "--patients", tmp_path / "list.txt")
    assert status == 1
    assert sentence in said


@pytest.mark.parametrize("threshold", ["1.5", "nan", "half"])
def test_threshold_outside_0_to_1_is_refused(command, data, threshold, capsys):
    with pytest.raises(SystemExit) as exit_status:
        command("evaluate", data, "--threshold", threshold)
    assert exit_status.value.code == 2
    assert "give a number from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["evaluate", "predict"])
def test_full_disk_is_one_sentence_and_leaves_nothing(command, data, name, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_files.tempfile, "TemporaryDirectory", fail)
    status, said, _ = command(name, data)
    assert status == 1
    assert "No space left on device" in said
    assert not (tmp_path / "out").exists()


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


def test_predict_says_what_is_of_another_sequence(command, tmp_path, monkeypatch):
    """A slice whose first pixel is 10 is told as T1, every other one as FLAIR."""
    infer = FakeEngine.infer

    def told(engine, pixels):
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


def test_predict_goes_on_after_a_bad_file(command, data, tmp_path):
    (data / "one" / "b.png").write_bytes(b"nothing")
    status, said, _ = command("predict", data)
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert status == 1
    assert "b.png" in said
    assert [bool(row["error"]) for row in rows] == [False, True, False, False, False]
    assert rows[1]["verdict"] == ""


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


def test_each_reason_to_leave_files_out_has_words():
    assert set(WORDS) == LEFT_OUT


def test_evaluate_goes_on_after_a_name_that_is_not_utf8(command, data, tmp_path):
    odd = bytes(data / "one") + b"/odd\xff"
    Image.fromarray(square(4, 4, 8)).save(odd + b".png")
    Image.fromarray(square(4, 4, 8)).save(odd + b"_mask.png")
    status, said, output = command("evaluate", data)
    assert status == 1 and "one/odd\\xff.png has a name that is not UTF-8; rename it." in said
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [failure["image"] for failure in report["failures"]] == ["odd\\xff.png"]
    assert report["summary"]["failed_slices"] == 1 and "1 of" in output


def test_lists_of_patients_are_read_alike_by_evaluate_and_split(command, data, tmp_path):
    """A byte order mark, Windows line ends, notes."""
    text = "\ufeffone  # opened once\r\n# two\r\n\r\n"
    (tmp_path / "list.txt").write_bytes(text.encode())
    assert command("evaluate", data, "--patients", tmp_path / "list.txt")[0] == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["summary"]["patients"] == 1
    words = ["--out", str(tmp_path / "split.json"), "--exclude", str(tmp_path / "list.txt"), "--shares", "100,0,0"]
    assert main(["split", str(data), *words]) == 0
    assert json.loads((tmp_path / "split.json").read_text())["excluded"] == ["one"]


def test_evaluate_measures_volumes_in_millimeters_and_by_lesions(command, tmp_path):
    for seed, name in enumerate(("P1", "P2")):
        write_brats(tmp_path / "brats", name, seed=seed)
    write_volume(tmp_path / "brats" / "P2" / "P2-seg.nii.gz", np.roll(labels(), 1, axis=0))  # 4 mm to the left
    status, _, said = command("evaluate", tmp_path / "brats")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    first, second = rows_of(tmp_path / "out" / "patients.csv")
    assert status == 0 and said.startswith("Patient Dice")
    assert (first["patient"], first["dice"], first["hd95_mm"], first["surface_dice_mm"]) == ("P1", "1", "0", "1")
    assert (first["lesion_dice"], first["truth_lesions"], first["found_lesions"], first["false_lesions"]) == tuple(
        "1110"
    )
    assert float(first["truth_ml"]) == pytest.approx(np.count_nonzero(labels()) * 4 * 4 * 12 / 1000, rel=1e-5)
    assert second["hd95_mm"] == "4"
    assert report["summary"]["hd95_mm_median"] == 2 and report["summary"]["lesion_f1"] == 1
    assert (report["summary"]["volumes"], report["summary"]["surface_tolerance_mm"]) == (2, 2)
    assert report["patients"][1]["hd95_mm"] == 4
    assert "HD95 in 3-D, median" in (tmp_path / "out" / "report.html").read_text()
    assert rows_of(tmp_path / "out" / "metrics.csv")[3]["image"] == "P1-t2f.nii.gz/0003"


def test_evaluate_names_a_patient_of_whom_nothing_can_be_used(command, tmp_path):
    write_brats(tmp_path / "brats", "P1")
    write_brats(tmp_path / "brats", "P2", ends=("-t1n", "-seg"))
    status, said, headline = command("evaluate", tmp_path / "brats")
    assert status == 1 and "has no FLAIR" in said and "could not be used" in headline


def test_predict_takes_flair_of_each_patient_of_volumes(command, tmp_path):
    write_brats(tmp_path / "brats", "P1", ends=("-t2f", "-t1n", "-t1c", "-seg", "-t2w"))
    write_brats(tmp_path / "brats", "P2", ends=("-t1n",))
    write_volume(tmp_path / "brats" / "P2" / "P2-seg.nii.gz", labels())
    status, said, _ = command("predict", tmp_path / "brats")
    rows = rows_of(tmp_path / "out" / "predictions.csv")
    assert status == 0 and {row["file"] for row in rows} == {str(tmp_path / "brats" / "P1" / "P1-t2f.nii.gz")}
    assert rows[0]["mask"] == "masks/P1/P1-t2f_0000.png" and "has no FLAIR" in said


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

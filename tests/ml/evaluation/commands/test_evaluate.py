"""`python -m ml evaluate`, from the command line to the files; and what both commands refuse."""

import errno
import json
import os

import numpy as np
import pytest
from PIL import Image

from ml import atomic_files
from ml.__main__ import main
from ml.commands.left_out import WORDS
from ml.datasets.checking.problems import LEFT_OUT
from tests.ml.evaluation.commands.conftest import rows_of
from tests.ml.evaluation.conftest import CARD, square, write_case
from tests.support.volume_sets import labels, write_brats, write_volume


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
def test_unknown_model_is_one_sentence(command, data, name, tmp_path, monkeypatch):
    monkeypatch.setenv("GLIOSCOPE_MODELS", f"{os.environ['GLIOSCOPE_MODELS']}:~/models")
    status, said, _ = command(name, data, model="unet")
    assert status == 1
    assert "no model package called 'unet'; packages found: fake" in said
    assert ", ~/models (which is no folder): GLIOSCOPE_MODELS names other folders" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_in_a_models_place_is_told_what_to_make_of_it(command, data, tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("best.pth", "interrupted.pth"):
        (tmp_path / "run" / name).touch()
    for given in (tmp_path / "run" / "best.pth", tmp_path / "run"):
        _, said, _ = command("evaluate", data, model=str(given))
        assert f"`python -m ml package {tmp_path}/run/best.pth --out FOLDER`" in said


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
    assert "No space left on device" in said and f"MB are free in {tmp_path}" in said and "Make room" in said
    assert not (tmp_path / "out").exists()


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

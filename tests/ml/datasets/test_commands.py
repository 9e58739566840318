"""`python -m ml check` and `split`, as a person types them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ml.__main__ import main
from ml.datasets import read_split

ROOT = Path(__file__).resolve().parents[3]


def test_check_of_a_sound_data_set(patient_folders, capsys):
    assert main(["check", str(patient_folders)]) == 0
    output = capsys.readouterr().out
    assert "3, 3 with tumor" in output and "12: 6 with tumor (50.0%)" in output
    assert output.endswith("The data set is sound.\n")


def test_check_names_file_and_remedy_and_ends_with_1(patient_folders, capsys):
    (patient_folders / "ben" / "ben_3_mask.tif").unlink()
    assert main(["check", str(patient_folders)]) == 1
    output = capsys.readouterr().out
    assert "missing_mask: ben/ben_3.tif" in output and "remove it" in output
    assert "sound" not in output and "1 problem;" in output


def test_check_as_json(patient_folders, capsys):
    (patient_folders / "ben" / "ben_3_mask.tif").unlink()
    assert main(["check", "--json", str(patient_folders)]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["is_sound"] is False and report["problems"][0]["files"] == ["ben/ben_3.tif"]
    assert report["analysis"]["slices"] == 11 and report["data_sha256"] is None


def test_a_name_cannot_write_to_the_terminal(patient_folders, capsys):
    name = patient_folders / "ben" / "\x1b[2J.tif"
    (patient_folders / "ben" / "ben_3_mask.tif").rename(name)
    assert main(["check", str(patient_folders)]) == 1
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("command", [["check"], ["split", "--out", "split.json"]])
def test_no_data_set_is_a_sentence(tmp_path, capsys, command):
    assert main([*command, str(tmp_path / "absent")]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("DatasetError:") and captured.err.count("\n") == 1


def test_check_and_split_load_no_torch(patient_folders, tmp_path):
    for command in (["check"], ["split", "--out", str(tmp_path / "split.json")]):
        arguments = [*command, str(patient_folders)]
        code = (
            f"import sys; from ml.__main__ import main; s = main({arguments!r}); sys.exit(s or 'torch' in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_split_writes_what_it_says(patient_folders, tmp_path, capsys):
    out, excluded = tmp_path / "split.json", tmp_path / "test.txt"
    excluded.write_text("cleo\n")
    arguments = ["split", str(patient_folders), "--out", str(out), "--shares", "50,50,0", "--exclude", str(excluded)]
    assert main([*arguments, "--seed", "2"]) == 0
    split = read_split(out, patient_folders)
    assert (split.seed, split.excluded, split.test, split.shares) == (2, ("cleo",), (), (50.0, 50.0, 0.0))
    assert sorted(split.train + split.validation) == ["anna", "ben"]
    assert "validation     1 patients      4 slices, 50.0% with tumor" in capsys.readouterr().out


def test_split_into_folds(patient_folders, tmp_path):
    assert main(["split", str(patient_folders), "--out", str(tmp_path / "folds.json"), "--folds", "3"]) == 0
    assert [len(side) for side in read_split(tmp_path / "folds.json").folds] == [1, 1, 1]


def test_split_refuses_a_data_set_that_is_not_sound(patient_folders, tmp_path, capsys):
    (patient_folders / "ben" / "ben_3_mask.tif").unlink()
    assert main(["split", str(patient_folders), "--out", str(tmp_path / "split.json")]) == 1
    assert "python -m ml check" in capsys.readouterr().err
    assert not (tmp_path / "split.json").exists()


def test_a_disk_that_takes_no_file_is_a_sentence(patient_folders, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["split", str(patient_folders), "--out", str(tmp_path / "file" / "split.json"), "--folds", "2"]) == 1
    assert "Traceback" not in capsys.readouterr().err

"""Cross-validation by patient, and runs side by side."""

import csv
import json
import shutil

import pytest

from ml.__main__ import main
from ml.datasets import DatasetError, read_split
from ml.training.comparison import compare_runs, read_run
from ml.training.crossval import Folds, cross_validate
from ml.training.errors import TrainingError
from ml.training.recipes import dump, load_recipe
from tests.ml.training.conftest import one_thread

pytestmark = pytest.mark.long

SHORT = ("--set", "stages.0.epochs=1")


@pytest.fixture(scope="module")
def crossval(brains, recipe):
    """`python -m ml crossval` with two folds of one epoch, its exit status."""

    def run(out, *words, folds="2"):
        command = ["crossval", str(recipe), "--data", str(brains), "--out", str(out), "--folds", folds]
        with one_thread():
            return main([*command, *SHORT, *words])

    return run


@pytest.fixture(scope="module")
def validated(crossval, tmp_path_factory):
    """A finished cross-validation: one fold on its own, then the rest."""
    out = tmp_path_factory.mktemp("folds") / "cv"
    assert crossval(out, "--fold", "1") == 0
    first = (out / "fold-1" / "result.json").stat().st_mtime_ns
    assert not (out / "report.json").exists()
    assert crossval(out) == 0
    assert (out / "fold-1" / "result.json").stat().st_mtime_ns == first  # not trained again
    return out


def test_every_patient_is_evaluated_once_by_a_network_that_never_saw_him(validated):
    with (validated / "patients.csv").open(newline="") as file:
        evaluated = [row["patient"] for row in csv.DictReader(file)]
    assert sorted(evaluated) == [f"patient_{k}" for k in range(6)]
    for number in range(2):
        split = read_split(validated / f"fold-{number}" / "split.json")
        assert len(split.train) == len(split.validation) == 3
        assert set(split.train).isdisjoint(split.validation)
    summary = json.loads((validated / "report.json").read_text())["summary"]
    assert (summary["patients"], summary["slices"]) == (6, 18)


def test_a_fold_that_was_ended_before_its_first_epoch_was_starts_anew(crossval, validated, tmp_path):
    out = tmp_path / "cv"
    (out / "fold-0").mkdir(parents=True)
    for left in ("split.json", "fold-0/configuration.yaml"):
        shutil.copy(validated / left, out / left)
    assert crossval(out, "--fold", "0") == 0
    assert (out / "fold-0" / "result.json").is_file()


def test_folds_of_another_number_do_not_mix(crossval, validated, capsys):
    assert crossval(validated, folds="3") == 1
    assert "has 2 folds and 0 excluded patients; go on with the same" in capsys.readouterr().err


def test_folds_of_another_recipe_do_not_mix(tmp_path):
    def asked(*changes):
        return Folds(load_recipe("unet-lite0-lgg", changes), tmp_path / "data", tmp_path, 2)

    (tmp_path / "data").mkdir()
    (tmp_path / "fold-1").mkdir()
    first = load_recipe("unet-lite0-lgg", ["network.encoder_weights=encoders/lite0"])
    (tmp_path / "fold-1" / "configuration.yaml").write_text(dump(first))
    (tmp_path / "fold-1" / "result.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"fold-1 is of another recipe: network\.encoder_weights is 'lite0' there"):
        cross_validate(asked())
    # Another machine keeps the same file elsewhere, and has other processors; the empty data set is what is wrong.
    with pytest.raises(DatasetError):
        cross_validate(asked("network.encoder_weights=/mnt/lite0", "loop.workers=0", "loop.precision=32-true"))


def test_runs_are_compared_patient_by_patient(finished, train, tmp_path, capsys):
    split = str(finished / "split.json")
    assert train(tmp_path / "dice", "--split", split, "loss={dice: 1}", "stages.0.epochs=1") == 0
    capsys.readouterr()
    assert main(["compare", str(finished), str(tmp_path / "dice")]) == 0
    table = capsys.readouterr().out
    assert "1 bce + 1 dice" in table
    assert "2 validation patients" in table
    first, second = (read_run(folder) for folder in (finished, tmp_path / "dice"))
    difference = compare_runs([first, second])[1]
    expected = sum(second.dice[patient] - first.dice[patient] for patient in first.dice) / len(first.dice)
    assert difference.mean_difference == pytest.approx(expected)


def test_runs_on_other_patients_and_unfinished_ones_are_refused(finished, validated, tmp_path):
    with pytest.raises(TrainingError, match="validated on other patients"):
        compare_runs([read_run(finished), read_run(validated / "fold-0")])
    shutil.copytree(finished, tmp_path / "half")
    (tmp_path / "half" / "result.json").unlink()
    with pytest.raises(TrainingError, match="not the folder of a finished run"):
        read_run(tmp_path / "half")

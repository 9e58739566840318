"""Finished runs side by side, and several seeds of one recipe as one row. Nothing is trained here."""

import json
import shutil

import numpy as np
import pytest

from ml.__main__ import main
from ml.datasets import Split, write_split
from ml.training.comparison import compare_runs, merge_seeds, read_run
from ml.training.errors import TrainingError
from ml.training.recipes import dump, make_configuration

PATIENTS = tuple(f"patient_{number}" for number in range(4))


def test_evaluations_are_told_where_they_are_compared(tmp_path):
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"is an evaluation and no run.*compared in the portal"):
        read_run(tmp_path)


@pytest.fixture
def run(tmp_path):
    """run(name, seed, dice, bce=1.0): a finished run's folder, with the Dice of each patient."""

    def write(name, seed, dice, bce=1.0):
        folder = tmp_path / name
        (folder / "validation").mkdir(parents=True)
        recipe = {
            "name": "tiny",
            "follows": "nothing",
            "network": {"encoder_weights": "encoders/lite0"},
            "loss": {"bce": bce, "dice": 1.0, "dice_per_image": 0.5},
            "stages": [{"epochs": 2}],
            "loop": {"seed": seed},
        }
        configuration = make_configuration(recipe, "tests")
        (folder / "configuration.yaml").write_text(dump(configuration))
        write_split(Split("0" * 64, 1, ("other",), PATIENTS), folder / "split.json")
        rows = "".join(f"{patient},{value}\n" for patient, value in zip(PATIENTS, dice, strict=True))
        (folder / "validation" / "patients.csv").write_text(f"patient,dice\n{rows}")
        mean = float(np.mean(dice))
        summary = {"patient_dice_mean": mean, "patient_dice_ci95": [0.1, 0.9], "slice_dice_mean": mean / 2}
        result = {
            "recipe": "tiny",
            "loss": configuration.loss.model_dump(mode="json"),
            "best_epoch": 2,
            "epochs": 2,
            "seconds_per_epoch": [float(seed), float(seed)],
            "set": "validation patients, used for no choice",
            "summary": {**summary, "slice_sensitivity": 0.9, "slice_specificity": None},
        }
        (folder / "result.json").write_text(json.dumps(result))
        return folder

    return write


@pytest.fixture
def folders(run):
    """Two seeds of a recipe, and of one with another loss; the second pair is better by 0.1 and by 0.2."""
    return [
        run("recipe-1", 1, (0.1, 0.2, 0.3, 0.4)),
        run("bce-1", 1, (0.2, 0.3, 0.4, 0.5), bce=0.5),
        run("recipe-2", 2, (0.3, 0.4, 0.5, 0.6)),
        run("bce-2", 2, (0.5, 0.6, 0.7, 0.8), bce=0.5),
    ]


def test_runs_that_differ_in_their_seed_alone_are_one(folders):
    reference, other = merge_seeds([read_run(folder) for folder in folders])
    assert (reference.name, other.name) == ("recipe-1, recipe-2", "bce-1, bce-2")
    assert list(reference.dice.values()) == pytest.approx([0.2, 0.3, 0.4, 0.5])
    assert reference.seeds == ((1, pytest.approx(0.25)), (2, pytest.approx(0.45)))
    assert reference.result["summary"]["patient_dice_mean"] == pytest.approx(0.35)
    assert reference.result["summary"]["slice_specificity"] is None
    low, high = reference.result["summary"]["patient_dice_ci95"]
    assert 0.2 < low < 0.35 < high < 0.5


def test_differences_are_paired_by_patient_over_the_seeds(folders):
    difference = compare_runs(merge_seeds([read_run(folder) for folder in folders]))[1]
    assert (difference.pairs, difference.better) == (4, 4)
    assert difference.mean_difference == pytest.approx(0.15)
    assert difference.ci95 == pytest.approx((0.15, 0.15))


def test_table_names_seeds_start_and_loss(folders, capsys):
    assert main(["compare", *map(str, folders)]) == 0
    _, _, first, second, _, explanation = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in first.split("|")[1:8]] == [
        "recipe-1, recipe-2",
        "tiny",
        "lite0",
        "1 bce + 1 dice, 50% of dice by image",
        "1: 0.2500, 2: 0.4500",
        "",
        "0.3500 (0.250 to 0.450)",
    ]
    assert "+0.1500 (0.150 to 0.150)" in second
    assert explanation.startswith("4 validation patients, used for no choice. Patient Dice")


def test_a_run_without_validation_patients_is_not_called_unfinished(folders, capsys):
    """As a training on everybody leaves it: no figures, and no folder of an evaluation."""
    folder = folders[1]
    write_split(Split("0" * 64, 1, ("other", "another"), ()), folder / "split.json")
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**result, "set": "no validation patients", "summary": None}))
    shutil.rmtree(folder / "validation")
    assert main(["compare", *map(str, folders)]) == 1
    said = capsys.readouterr().err
    assert "bce-1 was trained on 2 patients and none was kept for validation" in said and "finished" not in said


def test_a_seed_given_twice_is_refused(folders, run):
    again = run("recipe-again", 1, (0.1, 0.2, 0.3, 0.4))
    with pytest.raises(TrainingError, match="recipe-1, recipe-2, recipe-again are runs of one recipe"):
        merge_seeds([read_run(folder) for folder in (*folders, again)])

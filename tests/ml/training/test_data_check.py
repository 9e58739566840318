"""What training says of its data before it begins."""

import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from ml.__main__ import main
from ml.datasets import Split, check, write_split
from ml.training.recipes import load_recipe
from ml.training.run import Plan, check_data, divide
from tests.ml.training.conftest import SIDE


def test_doubtful_masks_are_said_before_training(brains, recipe, tmp_path, caplog):
    folder = shutil.copytree(brains, tmp_path / "brains")
    mask = folder / "patient_0" / "patient_0_0_mask.png"
    Image.fromarray(255 - np.array(Image.open(mask).convert("L"))).save(mask)
    with caplog.at_level(logging.WARNING):
        assert check_data(folder, load_recipe(str(recipe))).is_sound
    assert "18 expert masks is doubtful (most of the slice covered: 1, a corner outside the head" in caplog.text
    assert "`python -m ml check` names them" in caplog.text


@pytest.mark.parametrize(("side", "number"), [("train", 0), ("validation", 1)])
def test_a_side_without_tumor_is_said_before_training(brains, recipe, tmp_path, capsys, side, number):
    """Not after an epoch that found nothing, as "best"."""
    folder = shutil.copytree(brains, tmp_path / "brains")
    patients = sorted(path.name for path in folder.iterdir())
    sides = (patients[:4], patients[4:])
    for patient in sides[number]:
        for mask in (folder / patient).glob("*_mask.png"):
            Image.new("L", (SIDE, SIDE)).save(mask)
    split = Split(check(folder).data_sha256, 1, *map(tuple, sides))
    write_split(split, tmp_path / "split.json")
    command = ["train", str(recipe), "--data", str(folder), "--out", str(tmp_path / "run")]
    assert main([*command, "--split", str(tmp_path / "split.json")]) == 1
    said = capsys.readouterr().err
    count = len(sides[number])
    assert f"The {side} side has no tumor: the masks of its {3 * count} slices of {count} patients are empty" in said
    assert not (tmp_path / "run").exists()


def test_a_fold_without_tumor_is_said_before_the_first_is_trained(brains, recipe, tmp_path, capsys):
    folder = shutil.copytree(brains, tmp_path / "brains")
    for mask in folder.glob("patient_[1-5]/*_mask.png"):
        Image.new("L", (SIDE, SIDE)).save(mask)
    command = ["crossval", str(recipe), "--data", str(folder), "--out", str(tmp_path / "cv"), "--folds", "3"]
    assert main(command) == 1
    assert "side has no tumor" in capsys.readouterr().err and not (tmp_path / "cv").exists()
    assert main([*command, "--set", "loop.checkpoint=last"]) == 1
    assert "Tumor is in one fold alone" in capsys.readouterr().err


def test_a_division_that_the_data_come_with_is_trained_on(brains, recipe, tmp_path, caplog):
    folder = tmp_path / "set"
    for number, patient in enumerate(sorted(brains.iterdir())):
        shutil.copytree(patient, folder / ("train", "val", "test")[number % 3] / patient.name)
    with caplog.at_level(logging.INFO):
        split = divide(Plan(load_recipe(str(recipe)), folder, tmp_path / "run"), None)
    assert split.train == ("patient_0", "patient_3") and split.validation == ("patient_1", "patient_4")
    assert split.test == ("patient_2", "patient_5") and "as the folders of the data divide them" in caplog.text

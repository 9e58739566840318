"""What training says of its data before it begins."""

import logging
import shutil

import numpy as np
from PIL import Image

from ml.training.recipes import load_recipe
from ml.training.run import check_data


def test_doubtful_masks_are_said_before_training(brains, recipe, tmp_path, caplog):
    folder = shutil.copytree(brains, tmp_path / "brains")
    mask = folder / "patient_0" / "patient_0_0_mask.png"
    Image.fromarray(255 - np.array(Image.open(mask).convert("L"))).save(mask)
    with caplog.at_level(logging.WARNING):
        assert check_data(folder, load_recipe(str(recipe))).is_sound
    assert "18 expert masks is doubtful (most of the slice covered: 1, a corner outside the head" in caplog.text
    assert "`python -m ml check` names them" in caplog.text

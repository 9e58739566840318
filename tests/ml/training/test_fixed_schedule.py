"""Runs whose schedule is fixed: no patient chooses an epoch, and none is needed for validation."""

import json

import numpy as np
import pytest
import torch

from ml.__main__ import main
from ml.datasets import list_cases, read_split
from ml.networks import read_checkpoint
from ml.training import run as training_run
from ml.training.recipes import load_recipe

LAST = ("loop.checkpoint=last", "loop.statistics_slices=8", "loop.ema_decay=0.9")


def test_all_patients_are_trained_on_where_none_is_needed_to_choose(train, tmp_path, capsys):
    assert train(tmp_path / "run", *LAST, "shares=[100, 0, 0]") == 0
    assert "Trained on 6 patients; none was kept for validation" in capsys.readouterr().out
    split = read_split(tmp_path / "run" / "split.json")
    assert (len(split.train), split.validation) == (6, ())
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["checkpoint"], result["summary"], result["best_epoch"]) == ("final.pth", None, 2)
    assert not (tmp_path / "run" / "best.pth").exists()
    assert read_checkpoint(tmp_path / "run" / "final.pth").data["train_slices"] == 18


def test_last_weights_are_the_averaged_ones_with_statistics_of_plain_slices(train, tmp_path):
    assert train(tmp_path / "run", *LAST, "shares=[100, 0, 0]") == 0
    final = torch.load(tmp_path / "run" / "final.pth", weights_only=True)["model_state_dict"]
    last = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["state_dict"]
    kernel, mean = "segmentation_head.weight", "encoder.blocks.0.1.running_mean"
    torch.testing.assert_close(final[kernel], last[f"network.{kernel}"].half())
    assert not torch.allclose(final[mean].float(), last[f"network.{mean}"], atol=1e-3)


def test_run_that_was_killed_before_its_last_file_writes_the_same(train, tmp_path):
    assert train(tmp_path / "run", *LAST) == 0
    final = torch.load(tmp_path / "run" / "final.pth", weights_only=True)
    for name in ("final.pth", "result.json"):
        (tmp_path / "run" / name).unlink()
    assert train(tmp_path / "run", "--resume") == 0
    again = torch.load(tmp_path / "run" / "final.pth", weights_only=True)
    for key, value in final["model_state_dict"].items():
        assert torch.equal(again["model_state_dict"][key], value), key


def test_validation_patients_choose_nothing(train, tmp_path):
    assert train(tmp_path / "run", *LAST) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["set"] == "validation patients, used for no choice"
    assert result["best_epoch"] == result["epochs"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("loop.checkpoint=last", "loop.patience=3"), "leave out loop.patience and the plateau"),
        (("loop.statistics_slices=8",), "loop.statistics_slices are for loop.checkpoint=last"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(train, tmp_path, capsys, words, message):
    assert train(tmp_path / "run", *words) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_encoder_is_frozen_for_the_first_epochs_alone(train, tmp_path, monkeypatch):
    seen = []
    step = training_run.SegmentationModule.training_step

    def training_step(self, batch, batch_idx):
        seen.append((self.current_epoch, next(self.network.encoder.parameters()).requires_grad))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(training_run.SegmentationModule, "training_step", training_step)
    assert train(tmp_path / "run", "network={name: scratch, width: 4, freeze_epochs: 1}") == 0
    assert set(seen) == {(0, False), (1, True)}


def test_folds_keep_the_maps_of_their_patients(brains, recipe, tmp_path):
    from tests.ml.training.conftest import one_thread

    changes = [part for word in (*LAST, "stages.0.epochs=1") for part in ("--set", word)]
    command = ["crossval", str(recipe), "--data", str(brains), "--out", str(tmp_path / "cv"), "--folds", "2"]
    with one_thread():
        assert main([*command, *changes]) == 0
    for number in range(2):
        folder = tmp_path / "cv" / f"fold-{number}"
        cases = list_cases(brains, read_split(folder / "split.json").validation)
        with np.load(folder / "maps.npz", allow_pickle=False) as maps:
            assert set(maps.files) == {"seconds", *(f"{case.patient}/{case.name}" for case in cases)}
            for case in cases:
                assert (maps[f"{case.patient}/{case.name}"].dtype, maps[f"{case.patient}/{case.name}"].shape) == (
                    np.uint8,
                    (64, 64),
                )
    pooled = json.loads((tmp_path / "cv" / "report.json").read_text())["summary"]
    assert (pooled["patients"], pooled["slices"]) == (6, 18)


def test_shipped_recipes_have_a_fixed_schedule():
    for name in ("unet-vgg16-lgg", "unet-lite0-lgg"):
        recipe = load_recipe(name)
        assert recipe.loop.checkpoint == "last"
        assert recipe.sampling.is_patient_balanced
        assert all(stage.crop is None for stage in recipe.stages)

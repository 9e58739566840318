"""`python -m ml train` on drawn brains: what a run leaves, what ends it early, and what it refuses."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image

from ml.__main__ import main
from ml.datasets import read_split
from ml.networks import read_checkpoint
from ml.training.agreement import Agreement, PatientAgreement
from ml.training.losses import SegmentationLoss
from ml.training.module import SegmentationModule
from ml.training.recipes import load_recipe
from tests.ml.training.conftest import draw_patient

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def test_run_leaves_the_files_that_the_documentation_names(finished):
    assert names_in(finished) == {
        "best.pth",
        "configuration.yaml",
        "curves.svg",
        "examples.png",
        "last.ckpt",
        "logs",
        "result.json",
        "split.json",
        "summary.txt",
        "validation",
    }
    assert names_in(finished / "logs") == {"csv", "tensorboard"}
    assert {"report.html", "report.json", "metrics.csv", "patients.csv"} <= names_in(finished / "validation")
    assert ElementTree.fromstring((finished / "curves.svg").read_text()).tag.endswith("svg")
    with Image.open(finished / "examples.png") as examples:
        assert examples.width == 4 * 64
    assert "Conv2d" in (finished / "summary.txt").read_text()


def test_result_and_checkpoint_say_what_was_trained_on_what(finished, recipe):
    result, checkpoint = result_of(finished), read_checkpoint(finished / "best.pth")
    split = read_split(finished / "split.json")
    assert (result["recipe"], result["epochs"], result["seed"], len(result["seconds_per_epoch"])) == ("tiny", 2, 1, 2)
    assert result["best_epoch"] == checkpoint.epoch
    assert result["summary"]["patients"] == len(split.validation) == 2
    assert checkpoint.configuration == load_recipe(str(recipe)).model_dump(mode="json")
    assert load_recipe(str(finished / "configuration.yaml")) == load_recipe(str(recipe))
    assert checkpoint.data["train_patients"] == list(split.train)
    assert checkpoint.data["data_sha256"] == split.data_sha256
    assert (checkpoint.data["train_slices"], checkpoint.data["validation_slices"]) == (12, 6)
    # Trained at 32 x 32, evaluated in the slices' own grid: near, not equal.
    assert result["summary"]["patient_dice_mean"] == pytest.approx(checkpoint.val_dice, abs=0.1)


def test_same_seed_in_a_new_process_gives_the_same_figures_and_no_noise(finished, recipe, brains, tmp_path):
    command = [sys.executable, "-m", "ml", "train", recipe, "--data", brains, "--out", tmp_path / "again"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    first, second = result_of(finished), result_of(tmp_path / "again")
    assert second["summary"]["patient_dice_mean"] == pytest.approx(first["summary"]["patient_dice_mean"], abs=1e-6)
    assert second["best_epoch"] == first["best_epoch"]
    lines = done.stderr.splitlines()
    assert [line.partition(";")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert "validation patient Dice" in lines[0]
    assert done.stdout.splitlines()[1] == str(tmp_path / "again" / "best.pth")


def test_stages_go_from_small_to_large_and_the_last_alone_has_the_best(train, tmp_path, monkeypatch):
    seen = {"train": [], "validation": []}
    train_step, validate_step = SegmentationModule.training_step, SegmentationModule.validation_step

    def training_step(self, batch, batch_idx):
        seen["train"].append((self.current_epoch, batch[0].shape[-1]))
        return train_step(self, batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        seen["validation"].append((self.current_epoch, batch[0].shape[-1]))
        return validate_step(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", training_step)
    monkeypatch.setattr(SegmentationModule, "validation_step", validation_step)
    stages = "stages=[{epochs: 1, size: 32, batch_size: 4}, {epochs: 2, size: 96, crop: 64, batch_size: 4}]"
    assert train(tmp_path / "run", stages, "loop.ema_decay=0.9") == 0
    assert set(seen["train"]) == {(0, 32), (1, 64), (2, 64)}
    assert set(seen["validation"]) == {(0, 32), (1, 96), (2, 96)}
    assert result_of(tmp_path / "run")["best_epoch"] >= 2


def test_stopping_counts_validations_of_the_last_stage_alone_and_for_good(train, tmp_path, monkeypatch):
    monkeypatch.setattr(PatientAgreement, "agreement", lambda self: Agreement(0.5, 0.4, 0.5, 0.0))
    stages = "stages=[{epochs: 2, size: 32, batch_size: 4}, {epochs: 6, size: 32, batch_size: 4}]"
    out = tmp_path / "run"
    assert train(out, stages, "loop.patience=1") == 0
    assert result_of(out)["best_epoch"] == 3
    assert len(result_of(out)["seconds_per_epoch"]) == 4
    (out / "result.json").unlink()  # as if it was interrupted while it wrote what it had found
    assert train(out, "--resume") == 0
    assert len(result_of(out)["seconds_per_epoch"]) == 4


def test_frozen_encoder_keeps_its_weights_and_statistics(train, tmp_path):
    words = ("network={name: scratch, width: 4, is_encoder_frozen: true}", "stages.0.epochs=1")
    assert train(tmp_path / "run", *words) == 0
    configuration = load_recipe(str(tmp_path / "run" / "configuration.yaml"))
    L.seed_everything(configuration.loop.seed, verbose=False)
    untrained = SegmentationModule(configuration, patients=1).network.state_dict()
    trained = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["state_dict"]
    for key, value in untrained.items():
        is_same = torch.equal(trained[f"network.{key}"], value)
        assert is_same == key.startswith("encoder.") or "num_batches" in key


def test_loss_that_is_no_number_ends_the_run_with_the_way_out(train, tmp_path, monkeypatch, capsys):
    compute = SegmentationLoss.forward
    monkeypatch.setattr(SegmentationLoss, "forward", lambda self, *given: compute(self, *given) * float("nan"))
    assert train(tmp_path / "run") == 1
    said = capsys.readouterr().err
    assert "TrainingError: After epoch 1" in said
    assert "The training has diverged: start again with lower learning rates, loop.gradient_clip=1" in said
    assert names_in(tmp_path / "run").isdisjoint({"best.pth", "last.ckpt", "interrupted.pth", "result.json"})


def test_divergence_later_leaves_the_last_good_epoch(train, tmp_path, monkeypatch, capsys):
    compute = SegmentationModule.training_step

    def diverge(self, batch, batch_idx):
        return compute(self, batch, batch_idx) * (float("nan") if self.current_epoch else 1)

    monkeypatch.setattr(SegmentationModule, "training_step", diverge)
    assert train(tmp_path / "run") == 1
    assert "After epoch 2" in capsys.readouterr().err
    read_checkpoint(tmp_path / "run" / "best.pth")
    kept = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)
    assert kept["epoch"] == 0
    assert all(torch.isfinite(value).all() for value in kept["state_dict"].values())


@pytest.mark.parametrize("name", ["best.pth", "last.ckpt"])
def test_full_disk_is_a_sentence_and_leaves_nothing_half_written(train, tmp_path, monkeypatch, capsys, name):
    save_best, save_last = torch.save, L.Trainer.save_checkpoint

    def fill_best(content, file, *arguments, **options):
        if f".{name}.partial" in str(getattr(file, "name", "")):
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        save_best(content, file, *arguments, **options)

    def fill_last(self, path, *arguments, **options):
        if name == "last.ckpt":
            path.write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        save_last(self, path, *arguments, **options)

    monkeypatch.setattr(torch, "save", fill_best)
    monkeypatch.setattr(L.Trainer, "save_checkpoint", fill_last)
    assert train(tmp_path / "run") == 1
    assert "No space left on device" in capsys.readouterr().err
    left = names_in(tmp_path / "run")
    assert left.isdisjoint({name, "interrupted.pth", "result.json"})
    assert not any(".partial" in item for item in left)


def test_folder_with_something_in_it_is_refused(train, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("kept")
    assert train(tmp_path / "run") == 1
    assert "exists and is not empty; give --out a new folder." in capsys.readouterr().err
    assert names_in(tmp_path / "run") == {"mine.txt"}


def test_a_run_that_was_killed_before_its_first_epoch_was_finished_begins_anew(train, tmp_path, monkeypatch, capsys):
    class Killed(BaseException):
        """As SIGKILL: nothing is written any more."""

    def die(self, batch, batch_idx):
        raise Killed

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(SegmentationModule, "training_step", die)
        with pytest.raises(Killed):
            train(out)
    for number in ("77", "77-3"):
        (out / f".last.ckpt.partial-{number}").write_bytes(b"half of it")
    assert {"configuration.yaml", "split.json", "summary.txt", "logs"} <= names_in(out)
    assert train(out, "--resume") == 1
    assert "start it without --resume" in capsys.readouterr().err
    assert train(out, "stages.0.epochs=1") == 0
    assert "best.pth" in names_in(out) and not any(".partial" in name for name in names_in(out))
    assert [path.name for path in (out / "logs" / "csv").iterdir()] == ["version_0"]
    assert train(out) == 1
    assert "is not empty; give --out a new folder, or --resume to go on." in capsys.readouterr().err


def test_a_resumed_run_downloads_no_encoder(train, tmp_path, monkeypatch):
    asked = []

    def fetch(build, encoder, weights, arguments):
        asked.append(encoder)
        return build(encoder, encoder_weights=None, **arguments)

    monkeypatch.setattr("ml.networks.build._with_published_encoder", fetch)
    network = "network={name: unet, encoder: resnet18, encoder_weights: imagenet, decoder_channels: [8, 8, 8, 8, 4]}"
    assert train(tmp_path / "run", network) == 0
    assert train(tmp_path / "run", "--resume") == 0
    assert asked == ["resnet18"]


def test_a_batch_of_one_on_a_small_grid_is_refused_with_the_remedy(train, tmp_path, capsys):
    network = "network={name: unet, encoder: resnet18, encoder_weights: null, decoder_channels: [8, 8, 8, 8, 4]}"
    assert train(tmp_path / "run", network, "stages.0.batch_size=1") == 1
    said = capsys.readouterr().err
    assert "A batch of one slice" in said and "give stages a batch_size of 2 or more" in said


def test_unsound_data_are_refused_with_the_files_names(train, brains, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(brains, data)
    Image.new("L", (32, 32)).save(data / "patient_1" / "patient_1_0_mask.png")
    assert train(tmp_path / "run", data=data) == 1
    said = capsys.readouterr().err
    assert "patient_1/patient_1_0.png, patient_1/patient_1_0_mask.png: The image has 64 x 64 pixels" in said
    assert "`python -m ml check` lists all of them" in said
    assert not (tmp_path / "run").exists()


def test_without_validation_patients_there_is_no_run(train, tmp_path, capsys):
    assert train(tmp_path / "run", "shares=[100, 0, 0]") == 1
    assert "The split has no validation patients" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_network_that_cannot_be_built_leaves_no_folder_behind(train, tmp_path, capsys):
    assert train(tmp_path / "run", "network={name: unet, encoder: vgg17}") == 1
    assert "encoder 'vgg17' is unknown" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_run_too_short_for_a_validation_of_its_last_stage_says_so(train, tmp_path, capsys):
    assert train(tmp_path / "run", "loop.validate_every=2", "loop.max_steps=2") == 1
    assert "before any validation of its last stage" in capsys.readouterr().err


def test_excluded_patients_are_on_no_side(train, tmp_path):
    (tmp_path / "list.txt").write_text("patient_0\npatient_3\n")
    assert train(tmp_path / "run", "--exclude", str(tmp_path / "list.txt"), "stages.0.epochs=1") == 0
    split = read_split(tmp_path / "run" / "split.json")
    assert split.excluded == ("patient_0", "patient_3")
    assert {"patient_0", "patient_3"}.isdisjoint({*split.train, *split.validation, *split.test})
    assert read_checkpoint(tmp_path / "run" / "best.pth").data["excluded_patients"] == ["patient_0", "patient_3"]


def test_split_of_a_file_is_obeyed_and_says_alone_who_is_excluded(train, finished, brains, tmp_path, capsys):
    given = str(finished / "split.json")
    (tmp_path / "list.txt").write_text("patient_0\n")
    assert train(tmp_path / "run", "--split", given, "--exclude", str(tmp_path / "list.txt")) == 1
    assert "--split says who is excluded" in capsys.readouterr().err
    assert train(tmp_path / "run", "--split", given, "stages.0.epochs=1", "loop.seed=5") == 0
    assert read_split(tmp_path / "run" / "split.json") == read_split(finished / "split.json")


@pytest.fixture
def classes(tmp_path):
    """Five drawn patients whose masks have two classes of tumor, 128 and 255."""
    for patient in range(5):
        draw_patient(tmp_path / "classes" / f"patient_{patient}", seed=20 + patient, values=(128, 255))
    return tmp_path / "classes"


def test_several_classes_are_trained_resumed_and_evaluated_as_one_tumor(train, classes, tmp_path, capsys):
    words = ("network={name: scratch, width: 4, classes: 3}", "sampling={class_values: [0, 128, 255]}")
    assert train(tmp_path / "run", *words, data=classes) == 0
    split = read_split(tmp_path / "run" / "split.json", classes)  # its digest is the data's
    assert len(split.train) + len(split.validation) == 5
    assert split.counts["train"]["tumor_slice_share"] > 0.5
    summary = result_of(tmp_path / "run")["summary"]
    assert summary["patients"] == len(split.validation)
    assert summary["patient_dice_mean"] is not None
    assert train(tmp_path / "run", "--resume", data=classes) == 0
    assert train(tmp_path / "other", data=classes) == 1
    assert "different values" in capsys.readouterr().err


def test_mask_with_a_value_that_is_no_class_is_named(train, classes, tmp_path, capsys):
    words = ("network={name: scratch, width: 4, classes: 3}", "sampling={class_values: [0, 1, 2]}")
    assert train(tmp_path / "run", *words, data=classes) == 1
    assert "which is none of the classes 0, 1, 2" in capsys.readouterr().err


def test_gray_recipe_trains_on_one_channel(train, tmp_path):
    words = ("network={name: scratch, width: 4, channels: 1}", "is_equalized=true", "stages.0.epochs=1")
    assert train(tmp_path / "run", *words) == 0
    assert read_checkpoint(tmp_path / "run" / "best.pth").architecture["in_channels"] == 1


def test_interrupted_first_epoch_can_be_packaged_and_not_resumed(train, tmp_path, monkeypatch, capsys):
    start = SegmentationModule.on_train_batch_start

    def interrupt(self, batch, batch_idx):
        start(self, batch, batch_idx)
        if batch_idx == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(SegmentationModule, "on_train_batch_start", interrupt)
    out = tmp_path / "run"
    assert train(out) == 130
    assert capsys.readouterr().err.endswith("Interrupted.\n")
    assert "interrupted.pth" in names_in(out)
    assert names_in(out).isdisjoint({"best.pth", "last.ckpt", "result.json"})
    assert train(out, "--resume") == 1
    assert "no epoch was finished; start it without --resume" in capsys.readouterr().err
    assert main(["package", str(out / "interrupted.pth"), "--out", str(tmp_path / "early")]) == 0
    card = json.loads((tmp_path / "early" / "card.json").read_text())
    assert (card["architecture"]["network"], card["input"]["size"]) == ("scratch", [32, 32])
    assert np.isfinite(card["threshold"])

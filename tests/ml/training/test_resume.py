"""A run that is interrupted and resumed is the run that was not."""

import csv
import json
import shutil

import pytest
import torch

from ml.training.module import SegmentationModule
from ml.training.records import read_curves

pytestmark = pytest.mark.long

# Whatever has a memory: averages, dropout, the plateau's patience right after a warm-up, early stopping, a limit.
WORDS = (
    "stages.0.epochs=4",
    "network.decoder_dropout=0.4",
    "loop.ema_decay=0.9",
    "loop.patience=9",
    "loop.max_steps=11",
    "loop.gradient_clip=1.0",
    "schedule={name: plateau, warmup_epochs: 1, patience: 1}",
)


@pytest.fixture(scope="module")
def uninterrupted(train, tmp_path_factory):
    """The same run in one go."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert train(folder, *WORDS) == 0
    return folder


def content_of(folder):
    return torch.load(folder / "last.ckpt", weights_only=False)


def result_of(folder):
    return json.loads((folder / "result.json").read_text())


def stop_in_the_second_epoch(monkeypatch, error, batch):
    start = SegmentationModule.on_train_batch_start

    def stop(self, given, batch_idx):
        start(self, given, batch_idx)
        if (self.current_epoch, batch_idx) == (1, batch):
            raise error

    monkeypatch.setattr(SegmentationModule, "on_train_batch_start", stop)


@pytest.mark.parametrize(("error", "batch"), [(RuntimeError("the machine went away"), 0), (KeyboardInterrupt(), 2)])
def test_resumed_run_ends_as_the_uninterrupted_one(train, tmp_path, monkeypatch, uninterrupted, error, batch):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_in_the_second_epoch(patch, error, batch)
        if isinstance(error, KeyboardInterrupt):
            assert train(out, *WORDS) == 130
        else:
            with pytest.raises(RuntimeError, match="went away"):
                train(out, *WORDS)
    assert {"best.pth", "last.ckpt", "interrupted.pth"} <= {path.name for path in out.iterdir()}
    assert train(out, "--resume") == 0
    expected, found = content_of(uninterrupted), content_of(out)
    assert (found["epoch"], found["global_step"]) == (expected["epoch"], expected["global_step"]) == (3, 11)
    for part in ("state_dict", "current_model_state"):  # the averages, and the weights themselves
        for key, value in expected[part].items():
            torch.testing.assert_close(found[part][key], value, atol=1e-6, rtol=0)
    assert found["averaging_state"]["n_averaged"] == expected["averaging_state"]["n_averaged"]
    assert found["lr_schedulers"] == expected["lr_schedulers"]
    rates = [[group["lr"] for group in each["optimizer_states"][0]["param_groups"]] for each in (found, expected)]
    assert rates[0] == rates[1]
    first, second = result_of(uninterrupted), result_of(out)
    assert second["summary"]["patient_dice_mean"] == pytest.approx(first["summary"]["patient_dice_mean"], abs=1e-6)
    assert second["best_epoch"] == first["best_epoch"]
    assert len(second["seconds_per_epoch"]) == 4


def test_average_is_another_than_the_weights_and_is_what_is_kept(uninterrupted):
    content = content_of(uninterrupted)
    key = "network.segmentation_head.weight"
    assert not torch.equal(content["state_dict"][key], content["current_model_state"][key])
    best = torch.load(uninterrupted / "best.pth", weights_only=True)
    if best["epoch"] == 4:
        kept = best["model_state_dict"]["segmentation_head.weight"].float()
        torch.testing.assert_close(kept, content["state_dict"][key], atol=1e-3, rtol=1e-3)


def test_resumed_run_keeps_the_precision_that_was_measured(train, tmp_path, monkeypatch):
    out, asked = tmp_path / "run", []

    def choose(network, configuration):
        asked.append(configuration.loop.precision)
        return "32-true" if asked[-1] == "auto" else asked[-1]

    monkeypatch.setattr("ml.training.run.choose_precision", choose)
    with monkeypatch.context() as patch:
        stop_in_the_second_epoch(patch, RuntimeError("the machine went away"), 0)
        with pytest.raises(RuntimeError):
            train(out, "stages.0.epochs=2", "loop.precision=auto")
    assert train(out, "--resume") == 0
    assert asked == ["auto", "32-true"]


def test_curves_of_a_resumed_run_begin_with_its_first_epoch(train, tmp_path, monkeypatch):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_in_the_second_epoch(patch, RuntimeError("the machine went away"), 1)
        with pytest.raises(RuntimeError):
            train(out, "stages.0.epochs=3")
    assert train(out, "--resume") == 0
    for curve in read_curves(out / "logs" / "csv"):
        assert [epoch for epoch, _ in curve.points] == [1, 2, 3]
    starts = sorted(path.name for path in (out / "logs" / "csv").iterdir())
    assert starts == ["version_0", "version_1"]
    with (out / "logs" / "csv" / "version_1" / "metrics.csv").open(newline="") as file:
        assert {row["epoch"] for row in csv.DictReader(file)} == {"1", "2"}


def test_finished_run_that_is_resumed_only_writes_its_records_again(train, finished, tmp_path, caplog):
    shutil.copytree(finished, tmp_path / "run")
    before = (tmp_path / "run" / "last.ckpt").read_bytes()
    own = tmp_path / "run" / "configuration.yaml"  # as if the recipe had been edited since
    own.write_text(own.read_text().replace("cache_gb: 4.0", "cache_gb: 3.5"))
    assert train(tmp_path / "run", "--resume") == 0
    assert (
        "The run goes on as it began" in caplog.text and "it has sampling.cache_gb=3.5 (4.0 there). For" in caplog.text
    )
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == before
    assert result_of(tmp_path / "run") == result_of(finished) | {
        "summary": result_of(finished)["summary"]
        | {"slices_per_second": result_of(tmp_path / "run")["summary"]["slices_per_second"]}
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("loop.seed=2",), "leave out --set, --split and --exclude"),
        (("--exclude", "list.txt"), "leave out --set"),
    ],
)
def test_resumed_run_cannot_be_changed(train, finished, words, message, capsys):
    assert train(finished, "--resume", *words) == 1
    assert message in capsys.readouterr().err


def test_resuming_needs_the_same_recipe_and_data(train, finished, brains, tmp_path, capsys):
    from ml.__main__ import main

    assert main(["train", "unet-scratch", "--data", str(brains), "--out", str(finished), "--resume"]) == 1
    assert "is a run of 'tiny'; resume it with that recipe instead of 'unet-scratch'" in capsys.readouterr().err
    shutil.copytree(brains, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "patient_5")
    assert train(finished, "--resume", data=tmp_path / "data") == 1
    assert "was made of other data" in capsys.readouterr().err

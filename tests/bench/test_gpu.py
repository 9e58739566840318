"""`python -m bench gpu`: what it refuses, which steps it leaves out, and once, in small, everything that it does."""

import os
from pathlib import Path

import pytest
import torch

from bench.__main__ import main
from bench.gpu import steps
from bench.gpu.steps import CASCADE, ENCODERS, ENSEMBLE, Work, make_models, read_seconds
from ml.cards import PackageError, load_card, verify_files


@pytest.fixture
def without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_without_a_gpu_nothing_begins_unasked(without_gpu, tmp_path, capsys):
    words = ["gpu", "--data", str(tmp_path), "--encoders", str(tmp_path), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        main(words)
    assert "torch finds no GPU here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--data and --encoders are needed"),
        (
            ("--data", "lgg", "--encoders", "nowhere", "--device", "cpu"),
            "nowhere has no vgg16 of `python -m ml encoder`",
        ),
    ],
)
def test_what_is_missing_is_named_before_any_work(without_gpu, monkeypatch, tmp_path, capsys, words, message):
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(SystemExit):
        main(["gpu", "--out", str(tmp_path / "out"), *words])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def work(tmp_path):
    (tmp_path / "facts").mkdir()
    (tmp_path / "facts" / "unet-lite0-lgg.facts.yaml").touch()
    return Work(
        tmp_path / "lgg",
        tmp_path / "out",
        tmp_path / "test.txt",
        tmp_path / "encoders",
        facts=tmp_path / "facts",
        changes=("loop.workers=8",),
    )


@pytest.fixture
def commands(work, monkeypatch):
    """The words of each command that the steps call; each leaves the file that says it is finished."""
    called = []

    def command(words):
        called.append(list(words))
        out = Path(words[words.index("--out") + 1])
        out.mkdir(parents=True, exist_ok=True)
        (out / {"crossval": "report.json", "train": "result.json"}[words[0]]).touch()
        return 0

    def package(checkpoint, out, data, **options):
        called.append([str(checkpoint), str(out), options])
        out.mkdir(parents=True)
        (out / "card.json").touch()

    def joined(plan, calibration):
        called.append(plan)
        plan.out.mkdir(parents=True)
        (plan.out / "card.json").touch()

    monkeypatch.setattr(steps, "main", command)
    monkeypatch.setattr(steps, "make_package", package)
    monkeypatch.setattr(steps, "make_ensemble", joined)
    monkeypatch.setattr(steps, "make_cascade", joined)
    return called


def test_steps_follow_each_other_and_are_done_once(work, commands):
    make_models(work)
    folds, everybody, package = commands[:3]
    out = work.out / "unet-vgg16-lgg"
    shared = ["--data", str(work.data), "--exclude", str(work.excluded), "--set"]
    shared += [f"network.encoder_weights={work.encoders / 'vgg16'}", "--set", "loop.workers=8"]
    assert folds == ["crossval", "unet-vgg16-lgg", "--out", str(out / "folds"), "--folds", "5", *shared]
    assert everybody == [
        "train", "unet-vgg16-lgg", "--out", str(out / "all"), "--set", "shares=[100, 0, 0]", *shared,
    ]  # fmt: skip
    assert package[:2] == [str(out / "all" / "final.pth"), str(work.models / "unet-vgg16-lgg")]
    assert (package[2]["folds"], package[2]["facts"], package[2]["is_tested"]) == (out / "folds", None, False)
    assert commands[5][2]["facts"] == work.facts / "unet-lite0-lgg.facts.yaml"
    assert commands[6].members == tuple(work.models / recipe for recipe in ENCODERS)
    assert commands[6].folds == tuple(work.folds_of(recipe) for recipe in ENCODERS)
    assert (commands[7].ensemble, commands[7].first) == (work.models / ENSEMBLE, "unet-lite0-lgg")
    assert commands[7].folds == commands[6].folds
    assert [len(commands), len(read_seconds(work))] == [8, 8]
    assert work.packages == tuple(work.models / name for name in (*ENCODERS, ENSEMBLE, CASCADE))
    make_models(work)
    assert len(commands) == 8


def test_a_cascade_that_does_not_pass_its_gate_is_said_and_left_out(work, commands, monkeypatch, capsys):
    def refused(plan, calibration):
        raise PackageError("no limit passes")

    monkeypatch.setattr(steps, "make_cascade", refused)
    make_models(work)
    assert "No unet-cascade-lgg: no limit passes" in capsys.readouterr().out
    assert work.packages == tuple(work.models / name for name in (*ENCODERS, ENSEMBLE))


def test_a_run_that_was_ended_goes_on_after_its_last_epoch(work, commands):
    for recipe, left in zip(ENCODERS, ("last.ckpt", "configuration.yaml"), strict=True):
        work.run_of(recipe).mkdir(parents=True)
        (work.run_of(recipe) / left).touch()
    make_models(work)
    resumed, anew = commands[1], commands[4]
    assert resumed[0] == anew[0] == "train"
    assert resumed[-1] == "--resume"
    assert "--set" not in resumed
    assert "--resume" not in anew
    assert not (work.run_of("unet-lite0-lgg") / "configuration.yaml").exists()


def test_a_step_that_fails_ends_everything_with_its_status(work, monkeypatch):
    monkeypatch.setattr(steps, "main", lambda words: 1)
    with pytest.raises(SystemExit) as ended:
        make_models(work)
    assert ended.value.code == 1
    assert list(read_seconds(work)) == ["unet-vgg16-lgg: 5 folds"]


@pytest.mark.long
@pytest.mark.timeout(1800)  # two minutes of a core of its own
def test_everything_is_made_and_measured_in_small(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    main(["gpu", "--quick", "--device", "cpu", "--out", str(tmp_path)])
    for recipe in ENCODERS:
        card = load_card(tmp_path / "models" / recipe)
        verify_files(tmp_path / "models" / recipe, card)
        assert {"int8.xml", "familiarity.npz", "sequences.npz"} <= card.files.keys()
        assert card.chosen_on.startswith("out of fold, 6 patients, 2 folds")
        assert card.training.excluded_patients == ("patient_6",)
    ensemble = load_card(tmp_path / "models" / ENSEMBLE)
    assert [member.name for member in ensemble.members] == list(ENCODERS)
    assert set(ensemble.parity) == {"int8"}
    figures = (tmp_path / "figures.md").read_text()
    assert figures.strip() in capsys.readouterr().out
    for words in (
        "the figures say nothing",
        "half precision, cpu",
        "ensemble-openvino-int8",
        "unet-lite0-lgg: package",
    ):
        assert words in figures

"""The commands `evaluate` and `predict` with an engine that needs no model."""

import csv
import json

import pytest

import ml.engines
from ml.__main__ import main
from tests.ml.evaluation.conftest import CARD, FakeEngine


@pytest.fixture(autouse=True)
def fake_model(tmp_path, monkeypatch):
    """A package called `fake` in GLIOSCOPE_MODELS, answered by FakeEngine."""
    folder = tmp_path / "models" / "fake"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps(CARD.to_json()))
    monkeypatch.setenv("GLIOSCOPE_MODELS", str(folder.parent))
    monkeypatch.setattr(ml.engines, "load_engine", lambda package, kind, directories: FakeEngine())
    return folder


@pytest.fixture
def command(tmp_path, capsys):
    """Run a command into `out`; gives its exit status and what it said on standard error and standard output."""

    def run(name, *words, model="fake", out=tmp_path / "out"):
        chosen = () if model is None else ("--model", str(model))
        status = main([name, *map(str, words), *chosen, "--out", str(out)])
        said = capsys.readouterr()
        return status, said.err, said.out

    return run


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))

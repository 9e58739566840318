"""The models that a worker keeps loaded."""

import gc
import shutil
import threading
import weakref
from pathlib import Path
from typing import ClassVar

import pytest

from ml.cards import PackageError
from tests.support.resources import MODEL, MODELS, make_settings
from worker.process import engines
from worker.process.engines import MOST_MODELS, LoadedEngines


class Loaded:
    """An engine that says for how many models memory was taken when it was made."""

    alive: ClassVar[weakref.WeakSet["Loaded"]] = weakref.WeakSet()

    def __init__(self, folder: Path) -> None:
        gc.collect()
        self.name, self.others = folder.name, len(Loaded.alive)
        self.card = (folder / "card.json").read_text(encoding="utf-8")
        Loaded.alive.add(self)

    def warm_up(self) -> None:
        pass


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedEngines:
    def find(model: str, _directories: object) -> Path:
        if model == "gone":
            raise PackageError("There is no model gone.")
        (tmp_path / model).mkdir(exist_ok=True)
        card = tmp_path / model / "card.json"
        if not card.exists():
            card.write_text("{}", encoding="utf-8")
        return tmp_path / model

    monkeypatch.setattr(engines, "find_package", find)
    monkeypatch.setattr(engines, "load_engine", lambda folder, *_given: Loaded(folder))
    return LoadedEngines(make_settings(tmp_path))


def test_the_model_asked_for_longest_ago_makes_room_before_another_is_loaded(loaded: LoadedEngines) -> None:
    first, second = loaded.get("one"), loaded.get("two")
    assert loaded.get("one") is first
    names = (first.name, second.name)
    del first, second
    third = loaded.get("three")
    assert (names, third.name, third.others) == (("one", "two"), "three", MOST_MODELS - 1)
    assert loaded.get("one").others == 0  # it has stayed


def test_a_model_that_is_not_there_takes_no_others_place(loaded: LoadedEngines) -> None:
    kept = [loaded.get("one"), loaded.get("two")]
    with pytest.raises(PackageError):
        loaded.get("gone")
    assert [loaded.get("one"), loaded.get("two")] == kept


def test_a_package_that_was_replaced_is_loaded_again(loaded: LoadedEngines, tmp_path: Path) -> None:
    first = loaded.get("one")
    assert loaded.get("one") is first
    (tmp_path / "one" / "card.json").write_text('{"version": "2"}', encoding="utf-8")
    del first
    second = loaded.get("one")
    assert (second.card, second.others) == ('{"version": "2"}', 0)  # the one before gave its memory back first
    assert loaded.get("one") is second


def test_a_package_that_was_taken_away_answers_what_was_asked_before(
    loaded: LoadedEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = loaded.get("one")

    def find(_model: str, _directories: object) -> Path:
        raise PackageError("There is no model one.")

    monkeypatch.setattr(engines, "find_package", find)
    assert loaded.get("one") is first
    with pytest.raises(PackageError):
        loaded.get("two")


def test_a_default_model_that_is_not_there_is_said_once_and_waited_for(tmp_path: Path, caplog) -> None:
    settings, rounds = make_settings(tmp_path, GLIOSCOPE_MODELS=str(tmp_path), GLIOSCOPE_MODEL="later"), []

    class Pauses(threading.Event):
        def wait(self, _seconds: float | None = None) -> bool:
            rounds.append(1)
            if len(rounds) == 3:
                shutil.copytree(MODELS / MODEL, tmp_path / "later")
                card = tmp_path / "later" / "card.json"
                card.write_text(card.read_text(encoding="utf-8").replace(f'"{MODEL}"', '"later"'), encoding="utf-8")
            assert len(rounds) <= 3
            return False

    engines.wait_for_default_model(settings, Pauses())
    said = [record.message for record in caplog.records if "waiting for the model" in record.message]
    assert len(rounds) == 3 and len(said) == 1
    assert "There is no model package called" in said[0] and "GLIOSCOPE_MODELS" in said[0]

"""The catalog: what is offered, and what a damaged or missing package does."""

import errno
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from ml.cards import Card
from tests.support.ensembles import write_ensemble
from tests.support.resources import make_settings
from webapp.domain.catalog import entries
from webapp.domain.catalog.entries import Catalog
from webapp.domain.errors import InvalidInput, NotFound

NAME = "unet-vgg16-lgg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped package, so that it can be damaged."""
    shipped = make_settings(tmp_path).model_directories[0]
    shutil.copytree(shipped / NAME, tmp_path / "models" / NAME)
    return tmp_path / "models"


def test_the_shipped_model_is_offered(folder: Path) -> None:
    catalog = Catalog([folder], NAME)
    assert catalog.names() == [NAME]
    assert catalog.card(None).name == catalog.card(NAME).name == NAME
    assert catalog.default_problem() is None


@pytest.mark.parametrize("name", ["none-such", "..", "../models/" + NAME, "/etc", "a\0b", "", ".", "x" * 5000, "Ü"])
def test_another_name_is_not_found(folder: Path, name: str) -> None:
    catalog = Catalog([folder], NAME)
    with pytest.raises(NotFound):
        catalog.entry(name)
    if name:
        with pytest.raises(InvalidInput, match=NAME):
            catalog.card(name)


def test_a_flipped_byte_in_the_weights_takes_the_model_away(folder: Path) -> None:
    catalog = Catalog([folder], NAME)
    assert catalog.default_problem() is None
    path = folder / NAME / "int8.bin"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(bytes(data))
    assert "int8.bin" in catalog.default_problem()
    assert catalog.names() == []
    with pytest.raises(InvalidInput, match="cannot be used"):
        catalog.card(NAME)


def test_a_version_that_no_table_keeps_is_the_packages_problem(folder: Path) -> None:
    card = json.loads((folder / NAME / "card.json").read_text())
    (folder / NAME / "card.json").write_text(json.dumps(card | {"version": "0.3.0+" + "a" * 40}))
    assert "at most 40 printable" in (Catalog([folder], NAME).default_problem() or "")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": 7}'])
def test_a_card_that_cannot_be_read_is_an_entry_with_its_problem(folder: Path, text: str) -> None:
    (folder / NAME / "card.json").write_text(text)
    entry = Catalog([folder], NAME).entry(NAME)
    assert entry.card is None and entry.problem


def test_a_package_without_weights_says_so(folder: Path) -> None:
    for path in (folder / NAME).iterdir():
        if path.name != "card.json":
            path.unlink()
    assert Catalog([folder], NAME).default_problem() == "None of its weights are there."


def test_no_package_at_all_is_said_by_name(tmp_path: Path) -> None:
    catalog = Catalog([tmp_path / "none"], NAME)
    assert catalog.names() == []
    assert NAME in catalog.default_problem()
    with pytest.raises(InvalidInput, match="the models are: none"):
        catalog.card(None)


def test_a_changed_card_is_read_again(folder: Path) -> None:
    catalog = Catalog([folder], NAME)
    path = folder / NAME / "card.json"
    card = json.loads(path.read_text())
    assert catalog.card(NAME).version == card["version"]
    path.write_text(json.dumps({**card, "version": "9.9.9"}))
    assert catalog.card(NAME).version == "9.9.9"


@pytest.fixture
def joined(tmp_path: Path) -> Path:
    """Two small packages, and the ensemble `both` of them."""
    return write_ensemble(tmp_path / "joined")


def test_an_ensemble_is_offered_like_any_package(joined: Path) -> None:
    catalog = Catalog([joined], "both")
    assert catalog.names() == ["both", "one", "two"]
    assert [member.name for member in catalog.card("both").members] == ["one", "two"]
    assert catalog.default_problem() is None


def test_an_ensemble_follows_the_state_of_its_members(joined: Path) -> None:
    catalog = Catalog([joined], "both")
    assert catalog.default_problem() is None
    (joined / "two" / "int8.bin").write_bytes(b"2wo")
    assert "Its member two: int8.bin" in catalog.default_problem()
    (joined / "two").rename(joined.parent / "two")
    assert "two, a member of the ensemble both, is missing" in catalog.default_problem()
    (joined.parent / "two" / "int8.bin").write_bytes(b"two")
    (joined.parent / "two").rename(joined / "two")
    assert catalog.default_problem() is None
    card = json.loads((joined / "one" / "card.json").read_text())
    (joined / "one" / "card.json").write_text(json.dumps({**card, "threshold": 0.3}))
    assert "one is not the package that the ensemble both was made of" in catalog.default_problem()
    assert catalog.names() == ["one", "two"]


def test_a_package_that_goes_while_the_folders_are_looked_through_is_not_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder / NAME, folder / "other")
    catalog = Catalog([folder], NAME)
    assert [entry.name for entry in catalog.entries()] == ["other", NAME]
    found = entries.list_packages

    def list_then_lose(directories: Sequence[Path]) -> tuple[Path, ...]:
        listed = found(directories)
        shutil.rmtree(folder / "other", ignore_errors=True)
        return listed

    monkeypatch.setattr(entries, "list_packages", list_then_lose)
    assert catalog.names() == [NAME]
    monkeypatch.setattr(entries, "find_package", lambda name, directories: folder / name)
    with pytest.raises(NotFound):
        catalog.entry("other")
    assert catalog.readable_card("other") is None


def test_a_package_whose_files_may_not_be_read_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    catalog = Catalog([folder], NAME)
    with monkeypatch.context() as patch:
        patch.setattr(entries, "verify_files", refuse)
        assert catalog.default_problem() == "Its files cannot be read (Permission denied)."
    assert catalog.default_problem() is None


def test_a_package_that_is_still_being_copied_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = folder / NAME / "int8.bin"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    verify = entries.verify_files

    def verify_while_the_rest_comes(package: Path, card: Card, names: Sequence[str]) -> None:
        try:
            verify(package, card, names)
        finally:
            weights.write_bytes(whole)

    catalog = Catalog([folder], NAME)
    with monkeypatch.context() as patch:
        patch.setattr(entries, "verify_files", verify_while_the_rest_comes)
        assert "int8.bin" in (catalog.default_problem() or "")
    assert catalog.default_problem() is None

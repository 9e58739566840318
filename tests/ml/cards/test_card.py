"""Cards: what is read back, what is refused, and that changed files are noticed."""

import json

import pytest

from ml.cards import (
    CardError,
    PackageFileError,
    PackageNotFoundError,
    card_from_json,
    find_package,
    list_packages,
    load_card,
    verify_files,
)
from ml.digests import sha256_of
from tests.support.small_model import SHIPPED

CARD = {
    "name": "small",
    "version": "0.1.0",
    "architecture": {"network": "unet", "encoder": "vgg16", "in_channels": 3, "classes": 1},
    "input": {
        "size": [256, 256],
        "channels": ["pre-contrast", "FLAIR", "post-contrast"],
        "grey": "FLAIR repeated",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    },
    "threshold": 0.5,
    "min_tumor_pixels": 30,
    "files": {},
    "metrics": [{"name": "patient_dice_mean", "value": 0.8, "ci95": [0.7, 0.9], "patients": 9}],
    "parity": {"int8": {"patient_dice_delta": None, "verdicts_equal": 1, "slices": 300, "patients": 9}},
    "limits": ["one data set"],
}


def write_package(directory, name="small", **changes):
    folder = directory / name
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps(CARD | {"name": name} | changes))
    return folder


def test_card_round_trips_and_states_missing_facts_as_null(tmp_path):
    card = load_card(write_package(tmp_path))
    assert card.input.size == (256, 256)
    assert card.metrics[0].ci95 == (0.7, 0.9)
    assert card.training.data is None
    assert card.to_json()["licence"] is None
    assert card_from_json(json.loads(json.dumps(card.to_json()))) == card


def test_a_package_without_a_version_is_known_by_its_files():
    def of(digest, version=None):
        return card_from_json(CARD | {"version": version, "files": {"int8.bin": {"sha256": digest * 64, "bytes": 1}}})

    assert of("a").release == of("a").release != of("b").release
    assert of("a").release.startswith("files-") and len(of("a").release) == 14
    assert of("a", "0.1.0").release == "0.1.0"


def test_a_package_that_is_named_as_the_folder_of_packages_is_said(tmp_path):
    folder = write_package(tmp_path)
    with pytest.raises(PackageNotFoundError, match="is a package itself: name the folder that it lies in"):
        find_package("small", [folder])


def test_card_of_a_later_version_still_reads():
    assert card_from_json(CARD | {"something_new": {"a": 1}}).name == "small"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": True}, "threshold"),
        ({"threshold": None}, "threshold"),
        ({"min_tumor_pixels": 2.5}, "min_tumor_pixels"),
        ({"name": "../elsewhere"}, "name"),
        ({"files": {"../../x": {"sha256": "0" * 64, "bytes": 1}}}, "files"),
        ({"files": {"x": {"sha256": "short", "bytes": 1}}}, "files"),
        ({"input": CARD["input"] | {"std": [0.2, 0.2, 0]}}, "input.std"),
        ({"input": CARD["input"] | {"size": [256]}}, "input.size"),
        ({"architecture": {"network": "unet"}}, "architecture.encoder"),
        ({"metrics": [{"name": "x", "value": "high"}]}, r"metrics\[0\].value"),
        ({"limits": "none"}, "limits"),
        ({"version": "1" * 41}, "version is 1+; it must be null or at most 40 printable characters"),
        ({"version": "1\0"}, "version"),
    ],
)
def test_wrong_field_is_refused_by_name(changes, named):
    with pytest.raises(CardError, match=named):
        card_from_json(CARD | changes)


@pytest.mark.parametrize("value", [[], "card", None, 3])
def test_what_is_no_object_is_no_card(value):
    with pytest.raises(CardError, match="the card"):
        card_from_json(value)


def test_not_a_number_is_not_a_threshold(tmp_path):
    folder = write_package(tmp_path)
    (folder / "card.json").write_text(json.dumps(CARD | {"threshold": float("nan")}))
    with pytest.raises(CardError, match="finite"):
        load_card(folder)


def test_deep_nesting_is_refused(tmp_path):
    (tmp_path / "card.json").write_text("[" * 100_000)
    with pytest.raises(CardError, match="not JSON"):
        load_card(tmp_path)


def test_number_beyond_floating_point_is_refused_by_name():
    with pytest.raises(CardError, match="threshold is not a finite number"):
        card_from_json(CARD | {"threshold": 10**400})


VOLUMES = {"half": 1.1, "volume": 2.5, "change": 2.7, "share": 0.95, "patients": 75, "set": "out of fold"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"threshold": 1.5}, "threshold is 1.5; it must be 0 to 1; docs/models.md"),
        ({"min_tumor_pixels": -1}, "min_tumor_pixels is -1; it must be 0 to 65536"),
        ({"crops": [[100, 128]]}, r"crops is \(\(100, 128\),\); it must be multiples of 16 within 256 x 256"),
        ({"volumes": VOLUMES | {"half": 0.9}}, "volumes is .*; it must be three numbers of at least 1"),
        ({"volumes": VOLUMES | {"share": 1.0}}, "volumes.share is 1.0; it must be above 0 and below 1"),
    ],
)
def test_refusal_names_the_value_its_bounds_and_where_they_are_described(changes, sentence):
    with pytest.raises(CardError, match=sentence):
        card_from_json(CARD | changes)


def test_shipped_card_is_written_back_byte_for_byte():
    text = (SHIPPED / "card.json").read_text(encoding="utf-8")
    assert json.dumps(load_card(SHIPPED).to_json(), indent=2, ensure_ascii=False) + "\n" == text


def test_folder_without_a_card_or_with_half_a_card_is_refused(tmp_path):
    with pytest.raises(CardError, match=r"no readable card\.json"):
        load_card(tmp_path)
    (tmp_path / "card.json").write_text('{"name": "sm')
    with pytest.raises(CardError, match="not JSON"):
        load_card(tmp_path)


def test_card_and_folder_must_have_one_name(tmp_path):
    folder = write_package(tmp_path).rename(tmp_path / "renamed")
    with pytest.raises(CardError, match="give both one name"):
        load_card(folder)


def test_first_directory_wins_and_what_has_no_card_is_not_listed(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write_package(first, "b")
    write_package(second, "a")
    write_package(second, "b")
    write_package(second, ".partial")
    (second / "empty").mkdir()
    directories = (tmp_path / "absent", first, second)
    assert list_packages(directories) == (second / "a", first / "b")
    assert find_package("b", directories) == first / "b"


@pytest.mark.parametrize("name", ["absent", "", "../first", "a/b", "x" * 5000])
def test_unknown_package_is_refused_with_the_known_ones(tmp_path, name):
    write_package(tmp_path, "known")
    with pytest.raises(PackageNotFoundError, match="known"):
        find_package(name, [tmp_path])


def test_changed_missing_and_unlisted_files_are_named(tmp_path):
    folder = write_package(tmp_path)
    file = folder / "int8.bin"
    file.write_bytes(b"12345678")
    entry = {"sha256": sha256_of(file), "bytes": 8}
    (folder / "card.json").write_text(json.dumps(CARD | {"files": {"int8.bin": entry}}))
    card = load_card(folder)
    verify_files(folder, card)
    with pytest.raises(PackageFileError, match=r"made without model\.safetensors"):
        verify_files(folder, card, ["model.safetensors"])
    file.write_bytes(b"12345679")
    with pytest.raises(PackageFileError, match=r"int8\.bin"):
        verify_files(folder, card)
    file.unlink()
    with pytest.raises(PackageFileError, match=r"int8\.bin .* not in its folder"):
        verify_files(folder, card)

"""Ensembles: the mean of the members' logits, each on its own grid; members are found, checked, and named where not."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from ml.cards import (
    Architecture,
    Card,
    CardError,
    InputConvention,
    Member,
    PackageFileError,
    PackageNotFoundError,
)
from ml.cards.card import TemperatureScaling
from ml.digests import sha256_of
from ml.engines import load_engine
from ml.networks import build_network
from ml.packaging.package_writer import write_card, write_weights
from tests.support.level_engine import LevelEngine, cascade_of, slices_with

CHANNELS = ("pre-contrast", "FLAIR", "post-contrast")


def write_member(directory, name, seed, side, **changes):
    """A package with a tiny network of random weights; the folder."""
    torch.manual_seed(seed)
    architecture = Architecture("scratch", "none", 3, changes.pop("classes", 1), {"width": 4})
    convention = InputConvention((side, side), changes.pop("channels", CHANNELS), (0.4,) * 3, (0.05,) * 3)
    card = Card(name, "1.0.0", architecture, convention, 0.5, 0, {}, **changes)
    folder = directory / name
    folder.mkdir(parents=True)
    write_weights(build_network(architecture), folder / "model.safetensors")
    write_card(folder, card)
    return folder


def write_ensemble(directory, members, **changes):
    """An ensemble's package that names the packages in the folders `members`; its folder."""
    first = json.loads((members[0] / "card.json").read_text())
    named = [{"name": f.name, "version": "1.0.0", "card_sha256": sha256_of(f / "card.json")} for f in members]
    folder = directory / "both"
    folder.mkdir(parents=True, exist_ok=True)
    card = {**first, "name": "both", "files": {}, "members": named, **changes}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def members(tmp_path):
    return [write_member(tmp_path, "first", 1, 32), write_member(tmp_path, "second", 2, 64)]


@pytest.fixture
def slices():
    return np.random.default_rng(3).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)


def test_logits_are_averaged_each_member_on_its_own_grid(tmp_path, members, slices):
    engine = load_engine(write_ensemble(tmp_path, members), "torch", threads=1)
    assert engine.name in {"ensemble-torch-cpu", "ensemble-torch-cuda"}
    engine.warm_up()
    exact = [load_engine(folder, "torch").infer(slices, is_exact=True).probability for folder in members]
    assert all(p.dtype == np.float32 and p.shape == slices.shape[:3] for p in exact)
    mean = np.mean([np.log(p / (1 - p)) for p in exact], axis=0)
    expected = np.rint(255 / (1 + np.exp(-mean)))
    found = engine.infer(slices)
    assert (found.probability_u8.dtype, found.probability) == (np.uint8, None)
    assert expected.std() > 0.5  # random weights, but no constant map
    assert np.abs(found.probability_u8 - expected).max() <= 1
    assert np.array_equal(engine.probability_map(slices), found.probability_u8)


def test_exact_map_rounds_to_the_map(members, slices):
    found = load_engine(members[1], "torch").infer(slices, is_exact=True)
    assert np.array_equal(np.rint(found.probability * 255), found.probability_u8)


def test_temperature_and_offset_of_the_ensemble_are_applied_to_the_mean(tmp_path, members, slices):
    scaling = TemperatureScaling(0.5, None, None, None, None, 1, None, offset=-1.0)
    plain = load_engine(write_ensemble(tmp_path, members), "torch").probability_map(slices) / 255
    written = replace(scaling).__dict__
    scaled = load_engine(write_ensemble(tmp_path, members, temperature=written), "torch").probability_map(slices)
    expected = 1 / (1 + np.exp(-(2 * np.log(plain / (1 - plain)) - 1)))
    assert np.abs(scaled - 255 * expected).max() <= 2


def test_empty_slice_stays_without_tumor_whatever_the_offset(tmp_path, members):
    scaling = {**TemperatureScaling(1.0, None, None, None, None, 1, None, offset=4.0).__dict__}
    engine = load_engine(write_ensemble(tmp_path, members, temperature=scaling), "torch")
    assert not engine.probability_map(np.zeros((2, 32, 32, 3), dtype=np.uint8)).any()


def test_members_are_found_beside_the_ensemble_and_then_by_the_search_path(tmp_path, members, slices):
    moved = shutil.move(members[1], tmp_path / "elsewhere" / members[1].name)
    folder = write_ensemble(tmp_path, [members[0], moved])
    with pytest.raises(PackageNotFoundError, match="second, a member of the ensemble both, is missing"):
        load_engine(folder, "torch")
    engine = load_engine(folder, "torch", directories=[tmp_path / "elsewhere"])
    assert engine.infer(slices).probability_u8.shape == slices.shape[:3]


def test_a_changed_member_is_refused(tmp_path, members):
    folder = write_ensemble(tmp_path, members)
    card = json.loads((members[1] / "card.json").read_text())
    (members[1] / "card.json").write_text(json.dumps({**card, "threshold": 0.4}))
    with pytest.raises(PackageFileError, match="second is not the package that the ensemble both was made of"):
        load_engine(folder, "torch")


def test_a_members_changed_weights_are_refused(tmp_path, members):
    folder = write_ensemble(tmp_path, members)
    path = members[0] / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(PackageFileError, match="first is not the file that its card describes"):
        load_engine(folder, "torch")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 3}, "other has 3 classes and first 1"),
        ({"channels": ("T2", "FLAIR", "T1")}, "other takes the channels T2, FLAIR, T1 and first pre-contrast"),
        ({"members": (Member("a", None, "0" * 64), Member("b", None, "0" * 64))}, "other is an ensemble itself"),
    ],
)
def test_members_that_do_not_fit_are_refused(tmp_path, members, changes, message):
    other = write_member(tmp_path, "other", 3, 32, **changes)
    with pytest.raises(CardError, match=message):
        load_engine(write_ensemble(tmp_path, [members[0], other]), "torch")


@pytest.mark.parametrize(("verdicts_equal", "name"), [(1.0, "ensemble-openvino-int8"), (0.9, "ensemble-torch")])
def test_int8_that_did_not_agree_is_not_taken_unasked(small_model, tmp_path, verdicts_equal, name):
    close = {"patient_dice_delta": 0.0, "verdicts_equal": 1.0, "slices": 4, "patients": 1}
    members = []
    for member in ("first", "second"):
        members.append(shutil.copytree(small_model.folder, tmp_path / member))
        card = json.loads((members[-1] / "card.json").read_text())
        (members[-1] / "card.json").write_text(json.dumps({**card, "name": member, "parity": {"int8": close}}))
    parity = {"int8": {**close, "verdicts_equal": verdicts_equal}}
    folder = write_ensemble(tmp_path, members, parity=parity)
    assert load_engine(folder).name.startswith(name)
    assert load_engine(folder, "openvino").name == "ensemble-openvino-int8"


def test_only_the_first_member_of_a_cascade_is_asked_where_it_sees_nothing():
    first, second = LevelEngine(0, known=False), LevelEngine(1, known=True)
    # 0.1 of 255 is 25.5: a mask at 0.1 begins at level 26.
    pixels = slices_with(0, 25, 26, 255)
    found = cascade_of(0.1, first, second).infer(pixels)
    assert (first.asked, second.asked) == (4, 2)
    assert (first.checked, second.checked) == (4, 0), "the checks of the others are read by nobody"
    assert found.is_first_look.tolist() == [True, True, False, False]
    whole = cascade_of(None, LevelEngine(0), LevelEngine(1)).infer(pixels)
    assert np.array_equal(found.probability_u8[2:], whole.probability_u8[2:])
    assert np.array_equal(found.probability_u8[:2], pixels[:2, ..., 0])
    assert found.features.shape == (4, 2)
    # Who was not asked has seen nothing in its training either.
    assert found.is_of_training.tolist() == [False, False, True, True]
    assert (whole.is_first_look, whole.is_of_training) == (None, None)


@pytest.mark.parametrize("levels", [(0,), (10, 20, 0), (200, 90), ()])
def test_slices_of_a_cascade_are_answered_alike_alone_and_together(levels):
    pixels = slices_with(*levels)
    together = cascade_of(0.1, LevelEngine(0), LevelEngine(1)).infer(pixels)
    assert len(together.is_first_look) == len(levels)
    for index in range(len(levels)):
        alone = cascade_of(0.1, LevelEngine(0), LevelEngine(1)).infer(pixels[index : index + 1])
        assert np.array_equal(alone.probability_u8[0], together.probability_u8[index])
        assert alone.is_first_look[0] == together.is_first_look[index]


def test_a_slice_that_is_all_tumor_and_one_that_the_first_look_alone_calls_tumor_are_seen():
    full = np.full((1, 8, 8, 3), 255, dtype=np.uint8)
    assert (cascade_of(0.1, LevelEngine(0), LevelEngine(1)).probability_map(full) >= 254).all()
    alone = slices_with(250)
    alone[..., 1] = 0
    found = cascade_of(0.1, LevelEngine(0), LevelEngine(1)).infer(alone)
    assert not found.is_first_look[0]
    # The mean of both logits decides, as in an ensemble: 250 of 255 beside half a step above none.
    mean = (np.log(250 / 5) + np.log(0.5 / 254.5)) / 2
    assert found.probability_u8[0, 3, 4] == round(255 / (1 + np.exp(-mean)))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cascade": {"limit": 0.0}}, r"cascade\.limit is 0\.0; it must be above 0 and at most 0\.5"),
        ({"cascade": {"limit": 0.6}}, r"cascade\.limit is 0\.6; it must be above 0 and at most 0\.5"),
        ({"cascade": {"limit": 0.3}, "doubt": {"threshold": 0.2, "min_pixels": 4}}, r"at most 0\.2, the lowest"),
        ({"cascade": {"limit": 0.3, "neighbors": 9}}, r"cascade\.neighbors is 9; it must be 0 to 8"),
        ({"cascade": {"limit": 0.3}, "members": []}, "cascade is 0.3; it must be null where the card names no members"),
    ],
)
def test_a_limit_that_could_hide_a_mask_is_refused(tmp_path, members, changes, sentence):
    path = write_ensemble(tmp_path, members) / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(CardError, match=sentence):
        load_engine(path.parent, "torch")

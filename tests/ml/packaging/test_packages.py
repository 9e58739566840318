"""From checkpoint to package: what is written, what is refused, and that nothing half-made is left."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ml.__main__ import main
from ml.cards import CardError, PackageError, load_card, verify_files
from ml.datasets import list_cases
from ml.datasets.time_points import person_of
from ml.engines.crops import sizes_of_crops
from ml.networks import CheckpointError, read_checkpoint
from ml.ood.detector import load_detector
from ml.packaging import measuring
from ml.packaging.measuring import split_cases
from ml.packaging.packages import make_package, measure_again
from ml.packaging.quantization import Calibration, choose_slices
from ml.synthetic.negatives import KINDS


def test_package_has_all_files_and_they_are_those_on_the_card(small_model):
    card = load_card(small_model.folder)
    assert set(card.files) == {"model.safetensors", "int8.xml", "int8.bin", "familiarity.npz"}
    verify_files(small_model.folder, card)
    assert {path.name for path in small_model.folder.iterdir()} == {"card.json", *card.files}


def test_facts_are_on_the_card_and_what_was_not_given_is_null(small_model):
    value = json.loads((small_model.folder / "card.json").read_text())
    assert (value["name"], value["version"], value["min_tumor_pixels"]) == ("small", "0.0.1", 4)
    assert value["training"]["validation_patients"] == ["patient_3"]
    assert value["training"]["epochs"] is None
    assert value["licence"] is None


def test_parity_is_of_the_validation_patients(small_model):
    parity = small_model.card.parity["int8"]
    assert (parity.patients, parity.slices, parity.against) == (1, 4, "torch fp32")
    assert 0 <= parity.verdicts_equal <= 1


def test_input_check_is_fitted_on_training_patients_and_measured_on_the_others(small_model):
    facts = small_model.card.familiarity
    # Twelve slices of three patients, each third one gray as well; four of the validation patient.
    assert (facts.training_slices, facts.validation_slices, facts.other_images) == (16, 4, 24)
    assert (facts.warned_share, facts.warned_share_grey) == (0, 0)
    assert set(facts.warned_by_kind) == set(KINDS)
    assert 0 <= facts.auroc <= 1
    assert facts.warned_others == pytest.approx(np.mean(list(facts.warned_by_kind.values())), abs=1e-3)
    assert small_model.card.parity["int8"].warnings_equal is not None
    found = load_detector(small_model.folder, small_model.card)
    assert found.limit == pytest.approx(facts.limit, rel=1e-3)
    assert load_card(small_model.folder) == small_model.card


def test_test_patients_shape_no_statistics(small_model, tmp_path):
    facts = tmp_path / "facts.yaml"
    facts.write_text("training: {test_patients: [patient_0]}\n")
    card = measure_again(small_model.folder, tmp_path / "small", small_model.data, facts, Calibration(other_images=12))
    assert (card.familiarity.training_slices, card.familiarity.validation_slices) == (11, 4)


@pytest.fixture
def facts_of_next_version(tmp_path):
    facts = tmp_path / "next.yaml"
    facts.write_text("version: 0.0.2\ntraining: {data: drawn}\n")
    return facts


def test_a_package_is_measured_again_and_stays_the_same_model(small_model, tmp_path, facts_of_next_version):
    calibration = Calibration(slices=6, other_images=12)
    out = tmp_path / "small"
    card = measure_again(small_model.folder, out, small_model.data, facts_of_next_version, calibration)
    assert card == load_card(out)
    verify_files(out, card)
    before = small_model.card
    kept = ("model.safetensors", "int8.xml", "int8.bin")
    assert [card.files[name] for name in kept] == [before.files[name] for name in kept]
    assert (card.version, card.threshold, card.training.data) == ("0.0.2", before.threshold, "drawn")
    assert card.training.validation_patients == before.training.validation_patients
    assert (card.crops, card.parity, card.familiarity.other_images) == (before.crops, before.parity, 12)


def test_a_package_that_cannot_be_measured_again_is_left_as_it_was(small_model, tmp_path, capsys):
    folder = shutil.copytree(small_model.folder, tmp_path / "small")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["package", str(folder), "--out", str(folder)]) == 1
    assert "give it with --calibrate" in capsys.readouterr().err
    (tmp_path / "data" / "patient").mkdir(parents=True)
    assert main(["package", str(folder), "--out", str(folder), "--calibrate", str(tmp_path / "data")]) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"small", "data"}


SIZES = sizes_of_crops((64, 64))


@pytest.mark.parametrize(("agrees", "crops"), [(True, SIZES), (False, ())])
def test_crops_are_served_only_where_they_pass_the_parity_gate(small_model, tmp_path, monkeypatch, agrees, crops):
    seen = []

    def compare(served, reference, cases, surroundings):
        seen.append(served.card.crops)
        verdicts_equal = 1.0 if agrees or not served.card.crops else 0.9
        return replace(small_model.card.parity["int8"], patient_dice_delta=0.0, verdicts_equal=verdicts_equal)

    monkeypatch.setattr(measuring, "compare_engines", compare)
    calibration = Calibration(slices=6, other_images=12)
    card = measure_again(small_model.folder, tmp_path / "small", small_model.data, None, calibration)
    assert load_card(tmp_path / "small").crops == card.crops == crops
    assert seen == [SIZES, crops]


def test_weights_are_in_half_precision(small_model):
    from safetensors.torch import load_file

    weights = load_file(small_model.folder / "model.safetensors")
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {torch.float16}
    original = read_checkpoint(small_model.checkpoint).weights
    assert all(torch.equal(weights[key].float(), original[key].float()) for key in original)


def test_command_without_a_data_set_makes_no_int8(small_checkpoint, tmp_path, capsys):
    assert main(["package", str(small_checkpoint), "--out", str(tmp_path / "plain")]) == 0
    card = load_card(tmp_path / "plain")
    assert set(card.files) == {"model.safetensors"}
    assert (card.version, card.parity, card.threshold, card.min_tumor_pixels) == (None, {}, 0.5, 30)
    assert "model.safetensors" in capsys.readouterr().out


def test_package_replaces_an_older_one_but_no_other_folder(small_checkpoint, tmp_path):
    make_package(small_checkpoint, tmp_path / "plain")
    (tmp_path / "plain" / "int8.xml").write_text("stale")
    make_package(small_checkpoint, tmp_path / "plain")
    assert {path.name for path in tmp_path.iterdir()} == {"plain"}
    assert not (tmp_path / "plain" / "int8.xml").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(PackageError, match="is no model package"):
        make_package(small_checkpoint, tmp_path / "mine")


def test_checkpoint_of_another_network_is_a_sentence_and_exit_status_1(small_checkpoint, tmp_path, capsys):
    content = torch.load(small_checkpoint, weights_only=True)
    weights = content["model_state_dict"]
    content["model_state_dict"] = {key.replace("encoder.features", "encoder.layer"): weights[key] for key in weights}
    torch.save(content, tmp_path / "other.pth")
    assert main(["package", str(tmp_path / "other.pth"), "--out", str(tmp_path / "other")]) == 1
    assert "CheckpointError: The checkpoint's weights are another network's" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_folder_that_is_no_package_is_told_from_one(tmp_path, capsys):
    (tmp_path / "pretrained").mkdir()
    (tmp_path / "pretrained" / "config.json").write_text("{}")
    command = ["package", str(tmp_path / "pretrained"), "--out", str(tmp_path / "mine")]
    assert main(command) == 1
    assert "no package, for it has no card.json; give a checkpoint's file." in capsys.readouterr().err
    (tmp_path / "pretrained" / "model.safetensors").write_bytes(b"")
    assert main(command) == 1
    assert f"give its weights, {tmp_path / 'pretrained' / 'model.safetensors'}." in capsys.readouterr().err


def test_checkpoint_with_more_classes_is_refused(small_checkpoint, tmp_path):
    content = torch.load(small_checkpoint, weights_only=True)
    content["model_state_dict"]["segmentation_head.0.bias"] = torch.zeros(4)
    torch.save(content, tmp_path / "four.pth")
    with pytest.raises(CheckpointError, match=r"segmentation_head\.0\.bias"):
        make_package(tmp_path / "four.pth", tmp_path / "four")


class Hostile:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_bytes_that_are_no_checkpoint_are_refused(tmp_path, content):
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"bad\.pth"):
        read_checkpoint(tmp_path / "bad.pth")


def test_checkpoint_that_carries_code_is_refused_unrun(tmp_path, capsys):
    torch.save({"model_state_dict": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(CheckpointError, match="more than tensors and numbers"):
        read_checkpoint(tmp_path / "hostile.pth")
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [{"weights": {}}, {"model_state_dict": {"a": 1}}, [1, 2]])
def test_checkpoint_without_weights_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "empty.pth")
    with pytest.raises(CheckpointError, match="model_state_dict"):
        read_checkpoint(tmp_path / "empty.pth")


def test_checkpoint_with_nan_is_refused(tmp_path):
    torch.save({"model_state_dict": {"a": torch.tensor([float("nan")])}}, tmp_path / "nan.pth")
    with pytest.raises(CheckpointError, match="NaN weights in a"):
        read_checkpoint(tmp_path / "nan.pth")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ("licens: MIT", "unknown field 'licens'"),
        ("- a list", "not a YAML object"),
        ("a: [", "cannot be read as YAML"),
        ("threshold: high", "threshold is str"),
        ("architecture: {network: unet, encoder: resnet34, in_channels: 3, classes: 1}", "another network's"),
        ("architecture: {network: unet, encoder: resnet1, in_channels: 3, classes: 1}", "resnet1"),
    ],
)
def test_wrong_facts_are_refused_by_name(small_checkpoint, tmp_path, facts, message):
    (tmp_path / "facts.yaml").write_text(facts)
    with pytest.raises(PackageError, match=message):
        make_package(small_checkpoint, tmp_path / "package", facts=tmp_path / "facts.yaml")


def test_name_that_is_no_url_is_refused(small_checkpoint, tmp_path):
    with pytest.raises(CardError, match="My Model"):
        make_package(small_checkpoint, tmp_path / "My Model")


def test_failure_in_the_middle_leaves_nothing(small_checkpoint, tmp_path):
    one_patient = tmp_path / "data" / "patient"
    one_patient.mkdir(parents=True)
    with pytest.raises(Exception, match="no data set in a layout that is known"):
        make_package(small_checkpoint, tmp_path / "models" / "broken", calibrate=tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_no_patient_calibrates_and_is_compared_on(small_data):
    cases = list_cases(small_data)
    for validation, held_out in (((), ()), (("patient_1",), ("patient_1", "patient_2")), (("elsewhere",), ())):
        split = split_cases(cases, held_out, validation, seed=1)
        calibrating, compared = ({case.patient for case in part} for part in (split.calibration, split.parity))
        assert calibrating.isdisjoint(compared | set(held_out))
        assert compared
    with pytest.raises(PackageError, match="at least one to calibrate on"):
        split_cases(list_cases(small_data, ["patient_0"]), (), (), seed=1)


@pytest.mark.parametrize("seed", range(8))
def test_no_person_calibrates_at_one_time_and_is_compared_on_at_another(seed):
    names = [f"BraTS-GLI-0000{person}-00{time}" for person in range(4) for time in range(3)]
    cases = [SimpleNamespace(patient=name) for name in names]
    for validation, held_out in (((), ()), ((), names[:1]), (names[:1], names[:1])):
        split = split_cases(cases, held_out, validation, seed)
        sides = split.calibration, split.parity
        calibrating, compared = ({person_of(case.patient) for case in side} for side in sides)
        assert calibrating.isdisjoint(compared | {person_of(name) for name in held_out})
        assert compared and calibrating
    assert {case.patient for case in split_cases(cases, (), (), seed).parity} in (
        {name for name in names if name.startswith(f"BraTS-GLI-0000{person}-")} for person in range(4)
    )
    with pytest.raises(PackageError, match="has 1 patients"):
        split_cases(cases[:3], (), (), seed)


def test_half_of_the_calibration_slices_have_tumor(small_data):
    chosen = choose_slices(list_cases(small_data), Calibration(slices=6, seed=1))
    assert sum(case.truth().any() for case in chosen) == 3
    assert len(set(chosen)) == 6
    assert chosen == choose_slices(list_cases(small_data), Calibration(slices=6, seed=1))

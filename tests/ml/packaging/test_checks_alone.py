"""`package PACKAGE --only checks`: the checks of the input and the parity are new, all else is what it was."""

import io
import json
import shutil
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ml.__main__ import main
from ml.cards import SLICES_FILE, Metric, load_card, verify_files
from ml.datasets import list_cases
from ml.engines import load_engine
from ml.engines.crops import sizes_of_crops
from ml.ood.detector import load_detector
from ml.ood.sequences import load_classifier
from ml.packaging import packages
from ml.packaging.measuring import add_training_slices
from ml.packaging.quantization import Calibration
from tests.ml.training.conftest import draw_patient

SIDE = 64
KEPT_FILES = ("model.safetensors", "int8.xml", "int8.bin")
NEW_FIELDS = {"files", "familiarity", "sequences", "parity"}


@pytest.fixture(scope="module")
def drawn_heads(tmp_path_factory):
    """Six patients in three sequences, enough to tell these; patient_3 is the small model's validation patient."""
    folder = tmp_path_factory.mktemp("heads")
    for patient in range(6):
        draw_patient(folder / f"patient_{patient}", seed=patient)
    return folder


@dataclass(frozen=True)
class Measured:
    """A package after the command, and its files as they were before."""

    folder: Path
    before: dict[str, bytes]
    said: str


@pytest.fixture(scope="module")
def measured(small_model, drawn_heads, tmp_path_factory):
    """The command on a package with crops and a figure that nobody would measure on these heads."""
    folder = shutil.copytree(small_model.folder, tmp_path_factory.mktemp("models") / "small")
    card = replace(
        small_model.card,
        crops=sizes_of_crops((SIDE, SIDE))[:1],
        metrics=(Metric("patient_dice_mean", 0.77, (0.7, 0.8), 9, "test (used for no choice)", "pooled", "as served"),),
        version="1.2.3",
    )
    (folder / "card.json").write_text(json.dumps(card.to_json()))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    words = ["package", str(folder), "--out", str(folder), "--calibrate", str(drawn_heads), "--only", "checks"]
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        patch.setattr(packages, "Calibration", lambda: Calibration(other_images=24))  # of 500, which take a minute
        assert main(words) == 0
    return Measured(folder, before, said.getvalue())


def test_weights_int8_crops_metrics_and_rules_stay(measured):
    for name in KEPT_FILES:
        assert (measured.folder / name).read_bytes() == measured.before[name], name
    before, after = json.loads(measured.before["card.json"]), json.loads((measured.folder / "card.json").read_text())
    assert {name for name in after if after[name] != before[name]} == NEW_FIELDS
    assert before.keys() == after.keys()
    assert (len(after["crops"]), after["metrics"][0]["value"], after["min_tumor_pixels"]) == (1, 0.77, 4)


def test_checks_parity_and_digests_are_new(measured):
    card = load_card(measured.folder)
    assert {path.name for path in measured.folder.iterdir()} == {*measured.before, "sequences.npz"}
    assert set(card.files) == {*KEPT_FILES, "familiarity.npz", "sequences.npz"}
    verify_files(measured.folder, card)
    assert (measured.folder / "familiarity.npz").read_bytes() != measured.before["familiarity.npz"]
    # Fifteen slices of five patients, each third one gray as well; three of the validation patient.
    assert (card.familiarity.training_slices, card.familiarity.validation_slices) == (20, 3)
    assert (card.sequences.patients, card.sequences.gray.stacks) == (6, 18)
    parity = card.parity["int8"]
    assert (parity.patients, parity.slices, parity.warnings_equal is None) == (1, 3, False)
    assert "int8 beside torch fp32, 3 slices of 1 patients" in measured.said


def test_the_slices_of_the_patients_that_the_card_names_leave_fingerprints(small_model, drawn_heads, tmp_path):
    trained = tuple(f"patient_{number}" for number in range(4))
    card = replace(small_model.card, training=replace(small_model.card.training, training_patients=trained))
    add_training_slices(tmp_path, card, list_cases(drawn_heads))
    with np.load(tmp_path / SLICES_FILE) as file:
        assert file["codes"].shape == (3 * len(trained), 16)
    unnamed = replace(card, training=replace(card.training, training_patients=None))
    (tmp_path / "none").mkdir()
    add_training_slices(tmp_path / "none", unnamed, list_cases(drawn_heads))
    assert not list((tmp_path / "none").iterdir())


def test_fitted_checks_load_and_examine_what_the_engine_sees(measured, drawn_heads):
    card = load_card(measured.folder)
    detector, classifier = load_detector(measured.folder, card), load_classifier(measured.folder, card)
    pixels = np.stack([case.pixels() for case in list_cases(drawn_heads, ["patient_3"])])
    features = load_engine(measured.folder, "openvino").infer(pixels).features
    assert detector.limit == pytest.approx(card.familiarity.limit, rel=1e-3)
    assert not detector.is_out_of_distribution(features).all()
    assert classifier.examine(pixels, features).of(0).warnings in [(), ("channel_order",)]

"""From a run to a model package: what is chosen, on whom, and which figures stand on the card."""

import numpy as np
import pytest

from ml.__main__ import main
from ml.cards import PackageError, load_card
from ml.datasets import list_cases, read_split
from ml.engines import load_engine
from ml.networks import read_checkpoint
from ml.packaging import measuring, packages
from ml.packaging.card_metrics import HEADLINE_NAMES, NAMES
from ml.packaging.packages import make_package
from ml.packaging.quantization import Calibration
from tests.ml.training.conftest import draw_patient, one_thread

pytestmark = pytest.mark.long

EXCLUDED = ("patient_1", "patient_4")


@pytest.fixture(scope="module")
def run(train, tmp_path_factory):
    """A run that two patients were kept out of."""
    folder = tmp_path_factory.mktemp("excluding")
    (folder / "list.txt").write_text("\n".join(EXCLUDED))
    assert train(folder / "run", "--exclude", str(folder / "list.txt"), "stages.0.epochs=6") == 0
    return folder / "run"


@pytest.fixture(scope="module")
def tested(run, brains, tmp_path_factory):
    """The package of the run, with its test, and the patients that each choice saw."""
    out = tmp_path_factory.mktemp("packages") / "tiny"
    seen = {}
    with pytest.MonkeyPatch.context() as patch, one_thread():
        for name, place in (("count_logits", 2), ("choose_mask_rule", 1), ("choose_slices", 0)):
            chosen = getattr(packages, name)

            def spy(*given, chosen=chosen, name=name, place=place):
                seen[name] = {case.patient for case in given[place]}
                return chosen(*given)

            patch.setattr(packages, name, spy)
        # The input check draws 500 pictures; it is tested with the package of tests/ml/conftest.py.
        patch.setattr(measuring, "add_checks", lambda folder, card, *given: card)
        make_package(run / "best.pth", out, calibrate=brains, calibration=Calibration(slices=4), is_tested=True)
    return out, seen


def test_every_choice_sees_its_own_patients_alone(run, tested):
    split = read_split(run / "split.json")
    _, seen = tested
    assert seen["count_logits"] == seen["choose_mask_rule"] == set(split.validation)
    assert seen["choose_slices"] <= set(split.train)


def test_card_says_how_it_was_made_and_chosen(run, tested):
    card = load_card(tested[0])
    split = read_split(run / "split.json")
    assert card.training.validation_patients == split.validation
    assert card.training.test_patients == EXCLUDED
    assert card.training.data_sha256 == split.data_sha256
    assert card.training.recipe["name"] == "tiny"
    assert (card.temperature.set, card.temperature.patients) == ("validation", len(split.validation))
    assert card.chosen_on.startswith("validation: threshold of 13")
    assert f"on the {len(split.validation)} patients that chose it" in card.chosen_on


def test_card_has_figures_of_test_and_validation_with_their_aggregation(tested):
    card = load_card(tested[0])
    of_test = [metric for metric in card.metrics if metric.set.startswith("test")]
    assert all(metric.patients == len(EXCLUDED) for metric in of_test)
    assert all(metric.aggregation and metric.rule for metric in card.metrics)
    served = [metric.name for metric in of_test if metric.rule.endswith("openvino-int8")]
    assert {"patient_dice_mean", "slice_sensitivity", "slice_auc"} <= set(served) <= set(NAMES)
    reference = [metric.name for metric in of_test if "torch-cpu" in metric.rule]
    assert tuple(reference) == HEADLINE_NAMES
    for note in ("mean of four flips", "grey: FLAIR alone"):
        assert any(metric.rule.endswith(note) for metric in of_test)
    assert any(metric.set.startswith("validation (it chose") for metric in card.metrics)


def test_packaged_model_finds_what_the_checkpoint_finds(run, tested, brains):
    card = load_card(tested[0])
    pixels = np.stack([case.pixels() for case in list_cases(brains, EXCLUDED)])
    q = load_engine(tested[0], "torch").probability_map(pixels).astype(int)
    from tests.support.torch_engines import engine_of_checkpoint

    plain = engine_of_checkpoint(run / "best.pth", card).probability_map(pixels).astype(int)
    # The package's logits are the checkpoint's by one number: the order of the pixels is kept.
    sure, unsure = plain >= 160, plain <= 96
    assert q[sure].min(initial=255) >= q[unsure].max(initial=0)


def test_test_without_test_patients_is_refused_before_any_work(finished, brains, tmp_path):
    for data in (brains, None):
        with pytest.raises(PackageError, match="nothing to test on"):
            make_package(finished / "best.pth", tmp_path / "tiny", calibrate=data, is_tested=True)
    assert list(tmp_path.iterdir()) == []


def test_test_on_a_part_of_its_patients_is_refused(run, brains, tmp_path, capsys):
    part = tmp_path / "part"
    part.mkdir()
    for patient in range(4):
        (part / f"patient_{patient}").symlink_to(brains / f"patient_{patient}")
    words = ["package", str(run / "best.pth"), "--out", str(tmp_path / "tiny"), "--calibrate", str(part), "--test"]
    assert main(words) == 1
    assert "lacks 1 of 2 test patients (the first: 'patient_4')" in capsys.readouterr().err
    assert not (tmp_path / "tiny").exists()


def test_data_without_the_validation_patients_are_refused(run, brains, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "somebody").symlink_to(brains / "patient_0")
    with pytest.raises(PackageError, match="none of the checkpoint's validation patients"):
        make_package(run / "best.pth", tmp_path / "tiny", calibrate=other)
    assert not (tmp_path / "tiny").exists()


def test_facts_fix_the_mask_rule(run, brains, tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "choose_mask_rule", lambda *given: pytest.fail("the facts have chosen"))
    monkeypatch.setattr(packages, "write_int8", lambda *given: None)
    monkeypatch.setattr(packages, "measure_int8", lambda folder, card, *given: card)
    monkeypatch.setattr(packages, "add_figures", lambda folder, card, *given: card)
    (tmp_path / "facts.yaml").write_text("{threshold: 0.4, min_tumor_pixels: 7, chosen_on: another study}")
    card = make_package(run / "best.pth", tmp_path / "tiny", calibrate=brains, facts=tmp_path / "facts.yaml")
    assert (card.threshold, card.min_tumor_pixels, card.chosen_on) == (0.4, 7, "another study")
    assert card.temperature is not None


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("network={name: scratch, width: 4, classes: 3}", "sampling={class_values: [0, 128, 255]}"), (128, 255)),
        (("network={name: scratch, width: 4, channels: 1}", "is_equalized=true"), (255,)),
    ],
)
def test_several_classes_and_one_channel_are_served_by_both_engines(train, tmp_path, monkeypatch, words, values):
    for patient in range(4):
        draw_patient(tmp_path / "data" / f"patient_{patient}", seed=40 + patient, values=values)
    assert train(tmp_path / "run", *words, data=tmp_path / "data") == 0
    monkeypatch.setattr(measuring, "add_checks", lambda folder, card, *given: card)
    calibration = Calibration(slices=4)
    with one_thread():
        card = make_package(
            tmp_path / "run" / "best.pth", tmp_path / "tiny", calibrate=tmp_path / "data", calibration=calibration
        )
    assert card.parity["int8"].slices == 3
    assert card.temperature.patients == 1
    pixels = list_cases(tmp_path / "data")[0].pixels()[None]
    served, reference = (load_engine(tmp_path / "tiny", kind).probability_map(pixels) for kind in ("openvino", "torch"))
    assert served.shape == reference.shape == (1, 64, 64)
    assert np.abs(served.astype(int) - reference).mean() < 12


def test_checkpoint_of_the_run_says_what_it_reached(run):
    checkpoint = read_checkpoint(run / "best.pth")
    assert 0 <= checkpoint.val_iou <= checkpoint.val_dice <= 1

"""`package --folds`: a network trained on everybody, whose card's choices and figures come from the folds."""

import pytest
import torch

from ml.__main__ import main
from ml.cards import PackageError, load_card
from ml.datasets import list_cases
from ml.networks import read_checkpoint
from ml.packaging import packages
from ml.packaging.card_metrics import NAMES
from ml.packaging.packages import choose_rules_again, make_package, measure_again
from ml.packaging.quantization import Calibration
from tests.ml.packaging.choices.conftest import EXCLUDED, tumor_at

pytestmark = pytest.mark.long
CALIBRATION = Calibration(slices=4)


def test_card_says_what_was_chosen_on_whom(checkpoint, fake_run, tmp_path, without_check, monkeypatch):
    run = fake_run(finished=(0, 2))
    seen = {}
    chosen = packages.choose_slices

    def spy(cases, calibration):
        seen[calibration.slices] = {case.patient for case in cases}
        return chosen(cases, calibration)

    monkeypatch.setattr(packages, "choose_slices", spy)
    card = make_package(checkpoint, tmp_path / "tiny", run.data, calibration=CALIBRATION, folds=run.folder)
    assert load_card(tmp_path / "tiny") == card
    training = card.training
    assert (training.patients, training.validation_patients, training.test_patients) == (6, None, None)
    assert training.excluded_patients == EXCLUDED
    assert training.split == (
        "trained on 6 patients without validation; scaling and rules chosen out of fold on 4 of 6 patients, folds 0, 2"
        " of 3; no test patients"
    )
    assert card.chosen_on.startswith("out of fold, 4 of 6 patients, folds 0, 2 of 3: threshold of 13")
    assert card.temperature.set == "out of fold: 4 of 6 patients, folds 0, 2 of 3"
    assert {metric.set for metric in card.metrics} == {"out of fold; scaling and rules chosen on the other folds"}
    assert {metric.name for metric in card.metrics} <= set(NAMES)
    # int8 is calibrated without the excluded patients and without those that it is compared on.
    assert len(seen[4]) == 5
    assert seen[4].isdisjoint(EXCLUDED)
    assert (card.parity["int8"].patients, card.parity["int8"].slices) == (1, 4)


def test_scaling_is_folded_into_the_packages_weights(checkpoint, fake_run, tmp_path, without_check):
    from ml.engines.torch import TorchEngine
    from tests.support.torch_engines import engine_of_checkpoint

    run = fake_run(answer=lambda case: (case.truth() * 120 + 60).astype("uint8"))
    card = make_package(checkpoint, tmp_path / "tiny", run.data, calibration=CALIBRATION, folds=run.folder)
    assert card.temperature.offset != 0
    pixels = list_cases(run.data)[0].pixels()[None]
    plain = engine_of_checkpoint(checkpoint, card).infer(pixels, is_exact=True).probability
    served = TorchEngine.from_package(tmp_path / "tiny", device="cpu").infer(pixels, is_exact=True).probability
    logits, scaled = (torch.logit(torch.from_numpy(p)) for p in (plain, served))
    expected = logits / card.temperature.temperature + card.temperature.offset
    torch.testing.assert_close(scaled, expected, atol=0.02, rtol=0.01)  # the weights are in half precision


def test_excluded_patients_are_tested_on_where_that_is_asked_for(checkpoint, fake_run, tmp_path, without_check):
    run = fake_run()
    words = ["package", str(checkpoint), "--out", str(tmp_path / "tiny"), "--calibrate", str(run.data)]
    assert main([*words, "--folds", str(run.folder), "--test"]) == 0
    card = load_card(tmp_path / "tiny")
    assert (card.training.test_patients, card.training.excluded_patients) == (EXCLUDED, None)
    assert "1 kept for the final test" in card.training.split
    sets = list(dict.fromkeys(metric.set for metric in card.metrics))
    assert sets == ["test (used for no choice)", "out of fold; scaling and rules chosen on the other folds"]
    # Figures of kept maps stay when the engines are measured again.
    again = measure_again(tmp_path / "tiny", tmp_path / "tiny", run.data, calibration=CALIBRATION)
    assert {metric.set for metric in again.metrics} == {sets[1]}
    assert again.doubt == card.doubt


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ("threshold: 0.4", "With --folds the maps choose threshold; leave it out"),
        ("chosen_on: my patients", "With --folds the maps choose chosen_on"),
        ("training: {test_patients: [patient_6, patient_2]}", "'patient_2' is to be tested on and is in a fold"),
    ],
)
def test_facts_against_the_folds_are_refused(checkpoint, fake_run, tmp_path, facts, message):
    run = fake_run()
    (tmp_path / "facts.yaml").write_text(facts)
    with pytest.raises(PackageError, match=message):
        make_package(checkpoint, tmp_path / "tiny", run.data, facts=tmp_path / "facts.yaml", folds=run.folder)
    assert not (tmp_path / "tiny").exists()


def test_folds_without_data_and_packages_with_folds_are_refused(checkpoint, fake_run, tmp_path, capsys):
    run = fake_run()
    words = ["--out", str(tmp_path / "tiny"), "--folds", str(run.folder)]
    assert main(["package", str(checkpoint), *words]) == 1
    assert "give the data set with --calibrate" in capsys.readouterr().err
    (tmp_path / "card.json").write_text("{}")
    assert main(["package", str(tmp_path), *words, "--calibrate", str(run.data)]) == 1
    assert "keeps its choices" in capsys.readouterr().err


def test_networks_of_the_folds_choose_the_limits_of_the_input_check(checkpoint, fake_run, tmp_path):
    run = fake_run(finished=(0, 2))
    calibration = Calibration(slices=4, other_images=24)
    card = make_package(checkpoint, tmp_path / "tiny", run.data, calibration=calibration, folds=run.folder)
    check = card.familiarity
    assert check.held_out == "4 of 6 patients, folds 0, 2 of 3, by networks that never saw them"
    assert check.validation_slices == 16
    assert (check.warned_share, check.warned_share_grey) == (0, 0)  # a hundredth of 32 is no slice
    # What the network itself makes of patients that it was trained on is another limit; and back again.
    again = measure_again(tmp_path / "tiny", tmp_path / "own", run.data, calibration=calibration, only_checks=True)
    assert (again.familiarity.held_out, again.familiarity.validation_slices) == ("validation patients", 4)
    assert again.familiarity.limit != check.limit
    back = measure_again(
        tmp_path / "own", tmp_path / "own", run.data, calibration=calibration, only_checks=True, folds=run.folder
    )
    assert back.familiarity == check


def test_a_fold_that_lost_its_network_or_is_another_models_is_named(checkpoint, fake_run, tmp_path, without_check):
    run = fake_run()
    make_package(checkpoint, tmp_path / "tiny", run.data, calibration=CALIBRATION, folds=run.folder)
    other = fake_run("other", network={"name": "scratch", "width": 8})
    with pytest.raises(PackageError, match="other is no cross-validation of own"):
        measure_again(tmp_path / "tiny", tmp_path / "own", run.data, only_checks=True, folds=other.folder)
    (run.folder / "fold-1" / "final.pth").unlink()
    with pytest.raises(PackageError, match=r"fold-1 has no final\.pth"):
        make_package(checkpoint, tmp_path / "again", run.data, calibration=CALIBRATION, folds=run.folder)
    assert not (tmp_path / "again").exists()


def test_card_says_where_the_folds_were_trained_for_less(checkpoint, fake_run, tmp_path, without_check):
    run = fake_run(stages=[{"epochs": 3, "size": 64}])
    card = make_package(checkpoint, tmp_path / "tiny", run.data, calibration=CALIBRATION, folds=run.folder)
    assert "6 patients, 3 folds, whose networks were trained for 3 epochs;" in card.training.split


def test_folds_that_cannot_choose_leave_nothing_behind(checkpoint, fake_run, tmp_path):
    run = fake_run(finished=())
    assert read_checkpoint(checkpoint).data is not None
    with pytest.raises(PackageError, match="no maps to choose on"):
        make_package(checkpoint, tmp_path / "tiny", run.data, folds=run.folder)
    assert {path.name for path in tmp_path.iterdir()} == {"cv", "final.pth"}


def speckled(case):
    """Right, and beside it a speck on every slice as sure as the tumor."""
    answer = tumor_at(case.truth())
    answer[60:63, 2:5] = 200
    return answer


def test_rules_are_chosen_again_on_more_folds_and_all_else_stays(checkpoint, fake_run, tmp_path, without_check):
    first = fake_run("first", finished=(1,))
    before = make_package(checkpoint, tmp_path / "tiny", first.data, calibration=CALIBRATION, folds=first.folder)
    more = fake_run("more", answer=speckled)
    again = choose_rules_again(tmp_path / "tiny", tmp_path / "tiny", more.data, more.folder, calibration=CALIBRATION)
    assert load_card(tmp_path / "tiny") == again
    assert (again.files, again.temperature, again.crops) == (before.files, before.temperature, before.crops)
    smallest = 9  # pixels of a speck
    assert before.min_tumor_pixels <= smallest
    assert again.min_tumor_pixels > smallest or again.depth is not None
    assert again.chosen_on.startswith("out of fold, 6 patients, 3 folds: threshold of 13")
    assert again.training.split == (
        "trained on 6 patients without validation; the rules alone chosen out of fold on 6 patients, 3 folds; no test"
        " patients"
    )
    assert {metric.set for metric in again.metrics} == {"out of fold; rules chosen on the other folds"}
    assert again.parity["int8"].slices == before.parity["int8"].slices


def test_the_same_folds_choose_the_same_rules_again(checkpoint, fake_run, tmp_path, without_check):
    run = fake_run(answer=speckled)
    before = make_package(checkpoint, tmp_path / "tiny", run.data, calibration=CALIBRATION, folds=run.folder)
    again = choose_rules_again(tmp_path / "tiny", tmp_path / "again", run.data, run.folder, calibration=CALIBRATION)
    assert again.name == "again"
    for field in ("threshold", "min_tumor_pixels", "depth", "doubt", "parity"):
        assert getattr(again, field) == getattr(before, field), field


def test_rules_are_not_chosen_again_on_what_says_nothing(checkpoint, fake_run, tmp_path, without_check, capsys):
    run = fake_run()
    make_package(checkpoint, tmp_path / "tiny", run.data, calibration=CALIBRATION, folds=run.folder)
    words = ["package", str(tmp_path / "tiny"), "--out", str(tmp_path / "again"), "--only", "rules"]
    assert main([*words, "--calibrate", str(run.data)]) == 1
    assert "Rules are chosen on out-of-fold maps" in capsys.readouterr().err
    (tmp_path / "facts.yaml").write_text("threshold: 0.4")
    folds = ["--calibrate", str(run.data), "--folds", str(run.folder)]
    assert main([*words, *folds, "--card", str(tmp_path / "facts.yaml")]) == 1
    assert "the maps choose threshold" in capsys.readouterr().err
    other = fake_run("other", network={"name": "scratch", "width": 8})
    assert main([*words, "--calibrate", str(run.data), "--folds", str(other.folder)]) == 1
    assert "other is no cross-validation of tiny" in capsys.readouterr().err
    assert main(["package", str(checkpoint), *words[2:], *folds]) == 1
    assert "--only rules is for a package" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()

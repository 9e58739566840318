"""`python -m ml cascade`: the limit is chosen out of fold, the compiled models pass the gate, or nothing is written."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from ml.__main__ import main
from ml.cards import Architecture, Card, CascadeFigures, DoubtRule, InputConvention, load_card
from ml.datasets import list_cases
from ml.engines import load_engine
from ml.packaging.cascades import Look, asked_about, compare_looks, passes_in_each
from tests.ml.packaging.choices.conftest import EXCLUDED, MEMBERS, SIDE, tumor_at

CONVENTION = InputConvention((SIDE, SIDE), ("pre-contrast", "FLAIR", "post-contrast"), (0.4,) * 3, (0.2,) * 3)
CARD = Card("both", None, Architecture("ensemble", "a + b", 3, 1), CONVENTION, 0.5, 0, {}, doubt=DoubtRule(0.3, 2))


def looks_at(heads, cascaded):
    """Looks of patient 0's four slices; cascaded(truth, number): the cascade's map, None: that of all members."""
    looks = []
    for number, case in enumerate(list_cases(heads, ["patient_0"])):
        full = tumor_at(case.truth())
        own = cascaded(case.truth(), number)
        looks.append(Look(case, full, full if own is None else own, case.truth(), own is not None))
    return looks


def test_what_the_first_look_answers_alone_is_compared_with_all_members(heads):
    alike = compare_looks(
        looks_at(heads, lambda truth, number: np.zeros_like(truth, np.uint8) if number > 1 else None), CARD
    )
    assert alike == CascadeFigures(
        4, 1, skipped=2, clear=2, skipped_clear=2, verdicts_equal=1.0, patient_dice_delta=0.0, lost=0
    )
    assert alike.is_close
    # One of two slices with tumor (196 pixels, which are 3,136 of a grid of 256) without its mask: Dice 2/3 for 1.
    lost = compare_looks(
        looks_at(heads, lambda truth, number: np.zeros_like(truth, np.uint8) if number else None), CARD
    )
    assert (lost.skipped, lost.verdicts_equal, lost.lost, lost.is_close) == (3, 0.75, 1, False)
    assert lost.patient_dice_delta == pytest.approx(-1 / 3, abs=1e-5)


def test_a_limit_must_pass_in_each_fold_by_itself(heads):
    good = looks_at(heads, lambda truth, number: np.zeros_like(truth, np.uint8) if number > 1 else None)
    doubtful = replace(good[3], full=np.full((SIDE, SIDE), 80, np.uint8))  # a doubt that the first look does not have
    looks = [*good * 60, doubtful]
    assert compare_looks(looks, CARD).is_close, "one verdict of 241"
    assert passes_in_each(good * 60, np.arange(240) % 3, CARD)
    assert not passes_in_each(looks, np.arange(241) // 200, CARD), "one of 41"


def test_kept_maps_are_asked_about_as_an_engine_asks(heads):
    cases = list_cases(heads, ["patient_0", "patient_1"])
    assert [case.name[-1] for case in cases] == ["0", "1", "2", "3"] * 2
    seen = [True, False, False, False, False, False, False, False]
    shapes = [(SIDE, SIDE)] * 8
    assert asked_about(cases, shapes, seen, 0) == seen
    assert asked_about(cases, shapes, seen, 1) == [True, True, *[False] * 6], "nothing of another patient"
    assert asked_about(cases[::-1], shapes, seen[::-1], 2) == [*[False] * 5, *[True] * 3]
    # A slice of another size between them, and one without neighbors.
    shapes[1] = (SIDE, 2 * SIDE)
    assert asked_about(cases, shapes, seen, 2) == [True, True, *[False] * 6]


def test_a_doubt_that_is_gone_is_another_verdict(heads):
    doubtful = [
        replace(look, full=np.where(np.arange(SIDE) < 2, 80, 0).astype(np.uint8) * np.ones((SIDE, 1), np.uint8))
        for look in looks_at(heads, lambda truth, _number: np.zeros_like(truth, np.uint8))[2:]
    ]
    found = compare_looks(doubtful, CARD)
    assert (found.verdicts_equal, found.patient_dice_delta, found.lost, found.is_close) == (0.0, None, 0, False)


@pytest.fixture(scope="module")
def made_ensemble(quantized_members, heads, tmp_path_factory):
    """The members' folder, with the ensemble `both` of them whose rules were chosen out of fold."""
    folder = shutil.copytree(quantized_members, tmp_path_factory.mktemp("ensemble") / "made")
    members, runs = ([str(folder / f"{name}{side}") for _, side in MEMBERS] for name in ("models/tiny-", "cv"))
    out = folder / "models" / "both"
    assert main(["ensemble", *members, "--out", str(out), "--data", str(heads), "--folds", *runs]) == 0
    return folder


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    made_ensemble, heads, tmp_path, capsys, monkeypatch
):
    def work(*_arguments):
        raise AssertionError("hours of work for nothing")

    members, runs = ([made_ensemble / f"{name}{side}" for _, side in MEMBERS] for name in ("models/tiny-", "cv"))
    monkeypatch.setenv("GLIOSCOPE_MODELS", str(made_ensemble / "models"))
    monkeypatch.setattr("ml.packaging.cascades.choose_limit", work)
    monkeypatch.setattr("ml.packaging.ensembles._choose", work)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    words = ["--out", str(tmp_path / "taken"), "--data", str(heads), "--folds", *map(str, runs)]
    for command in (
        ["cascade", str(made_ensemble / "models" / "both"), "--first", "tiny-96"],
        ["ensemble", *map(str, members)],
    ):
        assert main([*command, *words]) == 1
        assert "taken exists and is no model package" in capsys.readouterr().err


@pytest.fixture
def ensemble(made_ensemble, tmp_path):
    """The ensemble `both`, its members beside it in `models`, and their runs: copies."""
    shutil.copytree(made_ensemble, tmp_path, dirs_exist_ok=True)
    return tmp_path / "models" / "both", [tmp_path / f"cv{side}" for _, side in MEMBERS]


def test_a_cascade_has_the_ensembles_rules_and_says_what_its_limit_costs(
    ensemble, heads, tmp_path, capsys, monkeypatch
):
    whole, runs = ensemble
    out = tmp_path / "models" / "quick"
    words = ["cascade", str(whole), "--out", str(out), "--data", str(heads), "--folds", *map(str, runs)]
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--first", "other"]) == 1
    assert "other is no member of both; name one of tiny-64, tiny-96" in capsys.readouterr().err
    assert main([*words[:-1], "--first", "tiny-96"]) == 1
    assert "2 members need as many runs after --folds" in capsys.readouterr().err
    assert main([*words, "--first", "tiny-96", "--neighbors", "9"]) == 1
    assert "--neighbors 9: give a number from 0 to 8" in capsys.readouterr().err
    words_of_member = [str(whole.parent / "tiny-64") if word == str(whole) else word for word in words]
    assert main([*words_of_member, "--first", "tiny-64"]) == 1
    assert "tiny-64 is no ensemble, but one model; join it with another by" in capsys.readouterr().err
    over_member = [str(whole.parent / "tiny-64") if word == str(out) else word for word in words]
    assert main([*over_member, "--first", "tiny-96"]) == 1
    assert "has the name of one of the models that it joins" in capsys.readouterr().err
    assert load_card(whole.parent / "tiny-64").files, "its weights are there"
    assert not out.exists()
    assert main([*words, "--first", "tiny-96", "--neighbors", "0", "--test"]) == 0
    assert "tiny-96 looks first; of " in capsys.readouterr().out
    card, before = load_card(out), load_card(whole)
    assert [member.name for member in card.members] == ["tiny-96", "tiny-64"]
    assert card.architecture.encoder == "tiny-96 + tiny-64"
    for name in ("threshold", "min_tumor_pixels", "doubt", "depth", "temperature"):
        assert getattr(card, name) == getattr(before, name)
    assert card.chosen_on.startswith("rules as of both: out of fold, 6 patients, 3 folds")
    # Made-up maps that are right everywhere: half of the slices have no tumor, and these the first look answers alone.
    found = card.cascade.out_of_fold
    assert (found.slices, found.clear, found.skipped_clear, found.skipped, found.lost) == (24, 12, 12, 12, 0)
    assert found.verdicts_equal == 1.0
    assert 0 < card.cascade.limit <= card.threshold
    assert card.cascade.neighbors == 0
    assert card.cascade.chosen_on.startswith("out of fold, 6 patients, 3 folds: the highest of 11 limits")
    assert card.cascade.served.is_close
    assert card.parity["int8"].against == "torch fp32, all members on every slice"
    # Its maps out of fold are right everywhere too; the figures say whose rules these patients chose.
    of_set = {metric.set: metric for metric in card.metrics if metric.name == "patient_dice_median"}
    assert set(of_set) == {"test (used for no choice)", "out of fold; these patients chose scaling and rules"}
    assert of_set["out of fold; these patients chose scaling and rules"].value == 1.0
    assert of_set["out of fold; these patients chose scaling and rules"].rule.startswith("6 patients, 3 folds; ")
    engine = load_engine(out, "openvino", threads=1)
    pixels = np.stack([case.pixels() for case in list_cases(heads, EXCLUDED)])
    assert engine.infer(pixels).is_first_look.shape == (4,)


def test_no_cascade_is_written_where_the_first_look_misses_what_the_others_see(
    ensemble, fake_run, heads, tmp_path, capsys
):
    whole, runs = ensemble
    blind = fake_run("blind", lambda case: np.full((SIDE, SIDE), 2, np.uint8), stages=[{"epochs": 1, "size": 64}])
    shutil.rmtree(runs[0])
    out = tmp_path / "models" / "quick"
    words = ["cascade", str(whole), "--first", "tiny-64", "--out", str(out), "--data", str(heads)]
    assert main([*words, "--folds", str(blind.folder), str(runs[1])]) == 1
    said = capsys.readouterr().err
    assert "With tiny-64 asked first no limit passes the gate in each fold" in said
    assert "of 24 slices of 6 patients the first look answers 24 alone" in said and "CascadeFigures" not in said
    assert "the gate is a Dice within 0.002, 99.5% of verdicts equal and no larger tumor lost. Ask about more" in said
    assert not out.exists()


def test_facts_cannot_fix_what_the_members_and_the_ensemble_say(ensemble, heads, tmp_path, capsys):
    whole, runs = ensemble
    out = tmp_path / "models" / "quick"
    words = ["cascade", str(whole), "--first", "tiny-64", "--out", str(out), "--data", str(heads), "--folds"]
    for fact, sentence in (
        ({"threshold": 0.3}, "threshold"),
        ({"input": {}}, "input of a cascade is that of its members"),
    ):
        (tmp_path / "facts.yaml").write_text(json.dumps(fact))
        assert main([*words, *map(str, runs), "--card", str(tmp_path / "facts.yaml")]) == 1
        assert sentence in capsys.readouterr().err
    assert not out.exists()

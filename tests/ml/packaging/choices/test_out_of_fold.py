"""What is chosen on out-of-fold maps, and figures of rules that the measured patients had no part in."""

import numpy as np
import pytest

from ml.cards import Card, PackageError
from ml.packaging.choices.folds import read_folds
from ml.packaging.choices.out_of_fold import CHOSEN_SET, NESTED_SET, choose_on_folds, level_logits
from tests.ml.packaging.choices.conftest import PATIENTS, tumor_at


def choose(run):
    found = read_folds(run.folder, run.data)
    card = Card("cv", None, found.architecture, found.convention, 0.5, 0, {})
    return choose_on_folds(found, card, level_logits(-9.0, 9.0))


def metrics(choice, words):
    return {metric.name: metric for metric in choice.metrics if metric.rule.endswith(words)}


def test_perfect_maps_have_perfect_figures_of_both_kinds(fake_run):
    choice = choose(fake_run())
    stacked, single = metrics(choice, "slices stacked, with the depth rule"), metrics(choice, "each slice alone")
    assert {metric.set for metric in choice.metrics} == {NESTED_SET}
    assert stacked["patient_dice_mean"].value == single["patient_dice_mean"].value == 1
    assert stacked["patient_dice_mean"].ci95 == (1, 1)
    assert stacked["patient_dice_mean"].patients == 6
    assert "hd95_median" in stacked and "slice_auc" in single
    assert choice.temperature.set == "out of fold: 6 patients, 3 folds"
    assert choice.temperature.patients == 6
    assert choice.volumes is None  # six patients tell no error of a seventh


def test_the_scaling_makes_confidence_honest(fake_run):
    random = np.random.default_rng(2)

    def overconfident(case):
        """Half of the pixels with 0.9 are tumor, and a hundredth of those with 0.1."""
        q = np.full(case.truth().shape, 25, dtype=np.uint8)
        q[case.truth()] = 230
        rows, columns = np.nonzero(~case.truth())
        drawn = random.permutation(len(rows))[: np.count_nonzero(case.truth())]
        q[rows[drawn], columns[drawn]] = 230
        return q

    choice = choose(fake_run(answer=overconfident))
    z = np.log(230 / 25)
    assert 1 / (1 + np.exp(-(z / choice.scaling.temperature + choice.scaling.offset))) == pytest.approx(0.5, abs=0.02)
    assert choice.temperature.ece_after < choice.temperature.ece_before
    assert (choice.temperature.temperature, choice.temperature.offset) == (
        choice.scaling.temperature,
        choice.scaling.offset,
    )


def odd_fold(case):
    """The patients of fold 0 are found at 0.3 alone; elsewhere a halo of 0.55 is wrong."""
    truth = case.truth()
    if case.patient in PATIENTS[:2]:
        return tumor_at(truth, inside=120, outside=0)
    halo = np.zeros_like(truth)
    rows, columns = np.nonzero(truth)
    if len(rows):
        halo[max(0, rows.min() - 6) : rows.max() + 7, max(0, columns.min() - 6) : columns.max() + 7] = True
    return np.where(truth, 230, np.where(halo, 140, 0)).astype(np.uint8)


def test_nested_figures_come_from_the_other_folds_rules(fake_run):
    choice = choose(fake_run(answer=odd_fold))
    stacked = metrics(choice, "slices stacked, with the depth rule")
    # Fold 0 is judged by a threshold above the others' halo, which it lies below: two of six patients are missed.
    assert stacked["patient_dice_mean"].value <= 4 / 6
    # Chosen on everybody it looks better than that.
    assert choice.rule.figures.patient_dice > stacked["patient_dice_mean"].value
    assert "with the rules of the other folds" in choice.chosen_on


def test_one_finished_fold_alone_is_measured_on_itself_and_says_so(fake_run):
    choice = choose(fake_run(finished=(1,)))
    assert {metric.set for metric in choice.metrics} == {CHOSEN_SET}
    assert "2 of 6 patients, fold 1 of 3" in choice.metrics[0].rule
    assert "rules of the other folds" not in choice.chosen_on


def test_folds_without_tumor_cannot_choose(fake_run, monkeypatch):
    run = fake_run()
    found = read_folds(run.folder, run.data)
    blind = [np.zeros_like(truth) for truth in found.truths]
    object.__setattr__(found, "truths", tuple(blind))
    card = Card("cv", None, found.architecture, found.convention, 0.5, 0, {})
    with pytest.raises(PackageError, match="6 patients, 3 folds lack one kind"):
        choose_on_folds(found, card, level_logits())


def test_levels_have_their_logits_and_the_ends_those_that_are_given():
    logits = level_logits(-11.0, 9.5)
    assert (logits[0], logits[255], len(logits)) == (-11.0, 9.5, 256)
    assert logits[51] == pytest.approx(np.log(0.2 / 0.8))
    assert (np.diff(logits) > 0).all()

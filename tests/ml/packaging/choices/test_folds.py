"""A cross-validation's finished folds are read, and named where they cannot choose."""

import json
from dataclasses import astuple

import numpy as np
import pytest

from ml.cards import PackageError
from ml.cards.fields import encode
from ml.datasets import DatasetError
from ml.networks import Checkpoint
from ml.packaging.choices.folds import check_checkpoint, read_folds, with_common_folds
from tests.ml.packaging.choices.conftest import PATIENTS, configuration, split_of_heads


def test_every_finished_fold_is_read_with_its_patients(fake_run):
    run = fake_run()
    found = read_folds(run.folder, run.data)
    assert (found.finished, found.description) == ((0, 1, 2), "6 patients, 3 folds")
    assert [case.patient for case in found.cases[::4]] == list(PATIENTS[:6])
    assert found.folds.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert all(np.array_equal(q >= 128, truth) for q, truth in zip(found.maps, found.truths, strict=True))
    assert found.convention.size == (64, 64)


@pytest.mark.parametrize(
    ("finished", "words"), [((0, 2), "4 of 6 patients, folds 0, 2 of 3"), ((1,), "2 of 6 patients, fold 1 of 3")]
)
def test_unfinished_folds_are_left_out_and_said_so(fake_run, finished, words):
    run = fake_run(finished=finished)
    found = read_folds(run.folder, run.data)
    assert (found.finished, found.description) == (finished, words)
    assert len(found.patients) == 6


def test_a_run_without_a_finished_fold_is_refused(fake_run):
    run = fake_run(finished=())
    with pytest.raises(PackageError, match=r"No fold of .* is finished"):
        read_folds(run.folder, run.data)


def test_another_folder_is_refused(fake_run, tmp_path):
    run = fake_run()
    with pytest.raises(PackageError, match=r"no run of `python -m ml crossval`: it has no split\.json"):
        read_folds(tmp_path, run.data)
    document = json.loads((run.folder / "split.json").read_text())
    (run.folder / "split.json").write_text(json.dumps({**document, "folds": []}))
    with pytest.raises(PackageError, match="a split without folds"):
        read_folds(run.folder, run.data)


def test_other_data_are_refused(fake_run, small_data):
    with pytest.raises(DatasetError, match="made of other data"):
        read_folds(fake_run().folder, small_data)


def test_missing_and_damaged_maps_are_refused(fake_run):
    run = fake_run()
    path = run.folder / "fold-1" / "maps.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match="has not the maps of this fold"):
        read_folds(run.folder, run.data)
    path.unlink()
    with pytest.raises(PackageError, match=r"fold-1 has no maps\.npz"):
        read_folds(run.folder, run.data)


def test_maps_of_another_kind_are_refused(fake_run):
    run = fake_run(answer=lambda case: case.truth().astype(np.float32))
    with pytest.raises(DatasetError, match="other arrays than maps of 8 bits"):
        read_folds(run.folder, run.data)


def test_runs_with_other_folds_are_refused(fake_run, heads):
    other = split_of_heads(heads, {0: PATIENTS[:3], 1: PATIENTS[3:6]})
    runs = [
        read_folds(run.folder, run.data)
        for run in (
            fake_run("a"),
            fake_run("b"),
            fake_run("c", split=other, finished=(0, 1)),
        )
    ]
    assert [run.finished for run in with_common_folds(runs[:2])] == [(0, 1, 2)] * 2
    with pytest.raises(PackageError, match="c and a divided the patients otherwise"):
        with_common_folds([runs[0], runs[2]])


def test_runs_are_joined_on_the_folds_that_all_have_finished(fake_run):
    runs = [
        read_folds(run.folder, run.data) for run in (fake_run("a", finished=(0, 1)), fake_run("b", finished=(1, 2)))
    ]
    for run, found in zip(runs, with_common_folds(runs), strict=True):
        assert found.description == "2 of 6 patients, fold 1 of 3"
        assert [case.patient for case in found.cases] == ["patient_2"] * 4 + ["patient_3"] * 4
        assert set(found.folds.tolist()) == {1}
        assert len(found.maps) == len(found.truths) == 8
        place = run.cases.index(found.cases[0])
        assert found.maps[0] is run.maps[place]
    none = read_folds(*astuple(fake_run("c", finished=(0,))))
    with pytest.raises(PackageError, match="c and b have finished no fold in common"):
        with_common_folds([none, runs[1]])


@pytest.mark.parametrize(
    ("data", "recipe", "message"),
    [
        ({}, {}, None),
        ({"data_sha256": "0" * 64}, {}, "trained on other data than cv"),
        ({"validation_patients": ["patient_1"]}, {}, "kept 1 patients for validation"),
        ({}, {"name": "other"}, "checkpoint's recipe is other"),
        ({}, {"network": {"name": "scratch", "width": 8}}, "checkpoint's network is"),
        ({}, {"stages": [{"epochs": 1, "size": 96}]}, "checkpoint's input is"),
    ],
)
def test_a_checkpoint_that_the_folds_say_nothing_about_is_refused(fake_run, data, recipe, message):
    run = fake_run()
    found = read_folds(run.folder, run.data)
    made = configuration(**recipe)
    facts = {"data_sha256": found.split.data_sha256, "validation_patients": [], **data}
    checkpoint = Checkpoint({}, 1, None, None, encode(made.architecture), made.model_dump(mode="json"), facts)
    if message is None:
        check_checkpoint(found, checkpoint)
        return
    with pytest.raises(PackageError, match=message):
        check_checkpoint(found, checkpoint)


def test_a_published_checkpoint_is_refused(fake_run):
    run = fake_run()
    with pytest.raises(PackageError, match="does not say how it was trained"):
        check_checkpoint(read_folds(run.folder, run.data), Checkpoint({}, 1, 0.5, 0.5))

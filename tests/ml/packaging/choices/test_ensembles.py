"""`python -m ml ensemble`: the card of packages that are joined, what it is chosen on, and what is refused."""

import json
import shutil

import numpy as np
import pytest

from ml.__main__ import main
from ml.cards import CardError, PackageError, load_card
from ml.datasets import list_cases
from ml.digests import sha256_of
from ml.engines import load_engine
from ml.engines.ensemble import LOGIT_LIMIT
from ml.packaging.ensembles import Ensemble, average_maps, make_ensemble
from tests.ml.engines.test_ensemble import write_member
from tests.ml.packaging.choices.conftest import EXCLUDED, MEMBERS, PATIENTS, recipe_of, split_of_heads, tumor_at


@pytest.fixture
def members(tmp_path):
    """Two packages without int8."""
    return tuple(write_member(tmp_path / "models", name, seed, 64) for seed, name in enumerate(("one", "two")))


def test_an_ensemble_is_a_card_that_names_its_members(members, tmp_path, capsys):
    out = tmp_path / "models" / "both"
    (tmp_path / "facts.yaml").write_text("{version: 2.0.0, title: Both, threshold: 0.4, training: {data: drawn}}")
    words = ["ensemble", *map(str, members), "--out", str(out), "--card", str(tmp_path / "facts.yaml")]
    assert main(words) == 0
    assert "one and two" in capsys.readouterr().out
    assert [path.name for path in out.iterdir()] == ["card.json"]
    card = load_card(out)
    assert [(member.name, member.card_sha256) for member in card.members] == [
        (folder.name, sha256_of(folder / "card.json")) for folder in members
    ]
    assert (card.architecture.network, card.architecture.encoder) == ("ensemble", "one + two")
    assert (card.version, card.threshold, card.training.data, dict(card.files)) == ("2.0.0", 0.4, "drawn", {})
    assert load_engine(out, "torch").name.startswith("ensemble-torch")


def test_an_ensemble_does_not_replace_a_member(members, tmp_path, capsys):
    for out in (members[0], tmp_path / "elsewhere" / "two"):
        assert main(["ensemble", *map(str, members), "--out", str(out)]) == 1
        assert "has the name of one of the models that it joins" in capsys.readouterr().err
    assert (members[0] / "model.safetensors").is_file() and not (tmp_path / "elsewhere").exists()


def test_whom_one_member_knows_is_not_excluded_from_all(members, tmp_path):
    for folder, trained, excluded in zip(members, (["a"], ["a", "b"]), (["b", "c"], ["c", "d"]), strict=True):
        card = json.loads((folder / "card.json").read_text())
        card["training"] |= {"training_patients": trained, "excluded_patients": excluded, "validation_patients": None}
        (folder / "card.json").write_text(json.dumps(card))
    card = make_ensemble(Ensemble(members=members, out=tmp_path / "models" / "both"))
    assert card.training.training_patients == ("a", "b")
    assert card.training.excluded_patients == ("c", "d")


def test_kept_maps_are_averaged_as_the_engine_averages():
    random = np.random.default_rng(4)
    first, second = (random.integers(0, 256, (2, 8, 8), dtype=np.uint8) for _ in range(2))
    first[0, 0, 0] = second[0, 0, 0] = 0
    p = np.clip(np.arange(256) / 255, 0.5 / 255, 254.5 / 255)
    table = np.log(p / (1 - p)).astype(np.float32)
    averaged = np.stack(average_maps([first, second], [table, 0.5 * table - 1]))
    mean = (table[first] + 0.5 * table[second] - 1) / 2
    expected = np.rint(255 / (1 + np.exp(-mean)))
    assert np.array_equal(averaged, expected)
    floor = np.full(256, -LOGIT_LIMIT, dtype=np.float32)
    assert not np.stack(average_maps([first, second], [floor, floor])).any()


def test_rules_are_chosen_out_of_fold_and_int8_is_compared_with_torch(
    quantized_members, heads, fake_run, tmp_path, capsys
):
    shutil.copytree(quantized_members / "models", tmp_path / "models")
    runs = [
        fake_run(
            f"cv{side}", lambda case, seed=seed: tumor_at(case.truth(), 180 + 10 * seed, 20 * seed), **recipe_of(side)
        ).folder
        for seed, side in MEMBERS
    ]
    folders = [tmp_path / "models" / f"tiny-{side}" for _, side in MEMBERS]
    out = tmp_path / "models" / "both"
    words = ["ensemble", *map(str, folders), "--out", str(out), "--data", str(heads), "--test"]
    assert main([*words, "--folds", *map(str, runs)]) == 0
    card = load_card(out)
    assert card.chosen_on.startswith("out of fold, 6 patients, 3 folds: threshold of 13")
    assert "scaling and rules chosen out of fold on 6 patients, 3 folds" in card.training.split
    assert (card.training.patients, card.training.test_patients) == (6, EXCLUDED)
    assert card.temperature.set == "out of fold: 6 patients, 3 folds"
    sets = {metric.set for metric in card.metrics}
    assert sets == {"test (used for no choice)", "out of fold; scaling and rules chosen on the other folds"}
    assert any(metric.rule.endswith("ensemble-openvino-int8") for metric in card.metrics)
    assert (card.parity["int8"].patients, card.parity["int8"].slices) == (1, 4)
    served = load_engine(out, "openvino")
    assert served.name == "ensemble-openvino-int8"
    pixels = list_cases(heads)[0].pixels()[None]
    assert served.probability_map(pixels).shape == (1, 64, 64)
    # An ensemble is measured again by making it again.
    assert main(["package", str(out), "--out", str(out), "--calibrate", str(heads)]) == 1
    assert "make it again with `python -m ml ensemble`" in capsys.readouterr().err


def refuse(message, error=PackageError, **plan):
    before = set(plan["out"].parent.rglob("*"))
    with pytest.raises(error, match=message):
        make_ensemble(Ensemble(**plan))
    assert set(plan["out"].parent.rglob("*")) == before


def test_members_that_cannot_be_joined_are_refused(members, tmp_path):
    out = tmp_path / "models" / "both"
    refuse("two or more different packages; one are given", members=members[:1], out=out)
    refuse("two or more different packages; one, one are given", members=(members[0], members[0]), out=out)
    three = write_member(tmp_path / "models", "three", 3, 64, classes=3)
    refuse("three has 3 classes and one 1", CardError, members=(members[0], three), out=out)
    make_ensemble(Ensemble(members=members, out=out))
    refuse("both is an ensemble itself", CardError, members=(members[0], out), out=tmp_path / "models" / "all")


def test_members_that_would_not_be_found_are_refused(members, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    out = tmp_path / "elsewhere" / "both"
    refuse("one would not be found beside", members=members, out=out)
    card = make_ensemble(Ensemble(members=members, out=out, directories=(tmp_path / "models",)))
    assert len(card.members) == 2
    other = shutil.copytree(members[0], tmp_path / "elsewhere" / "one")
    changed = json.loads((other / "card.json").read_text()) | {"threshold": 0.3}
    (other / "card.json").write_text(json.dumps(changed))
    refuse("one would not be found", members=members, out=out, directories=(tmp_path / "models",))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ("input: {size: [32, 32]}", "The input of an ensemble is that of its members"),
        ("version: [2]", "version is list"),
        ("title: fine", "nothing to test on: give --data"),
    ],
)
def test_facts_that_do_not_fit_are_refused(members, tmp_path, facts, message):
    (tmp_path / "facts.yaml").write_text(facts)
    out = tmp_path / "models" / "both"
    refuse(message, members=members, out=out, facts=tmp_path / "facts.yaml", is_tested=True)


def test_folds_that_are_not_the_members_are_refused(members, heads, fake_run, tmp_path):
    out = tmp_path / "models" / "both"
    run = fake_run()
    refuse("give the data set with --data", members=members, out=out, folds=(run.folder,) * 2)
    refuse("2 members need as many runs", members=members, out=out, folds=(run.folder,), data=heads)
    refuse("cv is no cross-validation of one", members=members, out=out, folds=(run.folder,) * 2, data=heads)
    other = fake_run("other", split=split_of_heads(heads, {0: PATIENTS[:3], 1: PATIENTS[3:6]}), finished=(0, 1))
    refuse("other and cv divided the patients", members=members, out=out, folds=(run.folder, other.folder), data=heads)

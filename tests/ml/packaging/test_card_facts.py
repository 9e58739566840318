"""What stands on a card: facts before the checkpoint, the checkpoint before the defaults."""

from dataclasses import asdict, replace

import pytest

from ml.cards import CardError
from ml.networks import Checkpoint
from ml.packaging.card_facts import card_of_facts, read_facts
from ml.training.errors import ConfigurationError
from ml.training.recipes import load_recipe

RECIPE = load_recipe("unet-resnet34", ["network.encoder_weights=null", "stages.0.size=64"])
PUBLISHED = Checkpoint({}, 25, 0.7, 0.8)
OWN = Checkpoint(
    {},
    7,
    0.7,
    0.8,
    architecture=asdict(RECIPE.architecture),
    configuration=RECIPE.model_dump(mode="json"),
    data={
        "data_sha256": "a" * 64,
        "split_seed": 4,
        "train_patients": ["a", "b"],
        "validation_patients": ["c"],
        "test_patients": ["e"],
        "excluded_patients": ["d"],
    },
)


def test_published_checkpoint_has_the_defaults_and_none_of_its_own_figures():
    card = card_of_facts("plain", {}, PUBLISHED)
    assert (card.architecture.encoder, card.input.size) == ("vgg16", (256, 256))
    assert (card.threshold, card.min_tumor_pixels, card.metrics) == (0.5, 30, ())
    assert card.training.epochs is None


def test_own_checkpoint_says_how_it_was_made():
    card = card_of_facts("own", {}, OWN)
    assert (card.architecture.encoder, card.input.size) == ("resnet34", (64, 64))
    training = card.training
    assert (training.validation_patients, training.test_patients, training.excluded_patients) == (
        ("c",),
        ("e",),
        ("d",),
    )
    assert (training.patients, training.seed, training.epochs) == (2, 1, 7)
    assert training.split == "by patient, seed 4: 2 trained on, 1 to choose on, 2 kept out of both"
    assert training.recipe["name"] == "unet-resnet34"


def test_facts_may_state_a_part_of_architecture_and_input():
    card = card_of_facts("plain", {"architecture": {"encoder": "resnet34"}, "input": {"size": [128, 128]}}, PUBLISHED)
    assert (card.architecture.network, card.architecture.encoder, card.architecture.in_channels) == (
        "unet",
        "resnet34",
        3,
    )
    assert (card.input.size, card.input.channels[1], len(card.input.mean)) == ((128, 128), "FLAIR", 3)
    others = card_of_facts("plain", {"input": {"channels": ["T1", "T2", "FLAIR"]}}, PUBLISHED).input
    assert (others.grey, card.input.grey) == (None, "FLAIR repeated")  # which said where FLAIR is
    assert card_of_facts("own", {"input": {"grey": "as it is"}}, OWN).input.size == (64, 64)


@pytest.mark.parametrize("planes", [None, (1,)])
def test_one_channel_needs_its_plane(planes):
    one = {"size": [64, 64], "channels": ["FLAIR"], "mean": [0.0], "std": [1.0]} | ({"planes": [1]} if planes else {})
    facts = {"architecture": {"in_channels": 1}, "input": one}
    if planes:
        assert card_of_facts("gray", facts, PUBLISHED).input.planes == planes
    else:
        with pytest.raises(CardError, match=r"input\.planes is None; it must be 1 of the planes 0, 1 and 2 .*as \[1\]"):
            card_of_facts("gray", facts, PUBLISHED)


@pytest.mark.parametrize(
    ("sides", "facts", "is_tested", "expected"),
    [
        ({}, {}, True, (("e",), ("d",))),
        ({"test_patients": []}, {}, False, (None, ("d",))),
        ({"test_patients": []}, {}, True, (("d",), None)),
        ({"test_patients": []}, {"training": {"test_patients": ["d"]}}, False, (("d",), None)),
        ({"excluded_patients": ["d", "f"]}, {"training": {"test_patients": ["f"]}}, True, (("f",), ("d",))),
    ],
)
def test_who_was_merely_excluded_is_a_test_patient_only_where_asked_for(sides, facts, is_tested, expected):
    checkpoint = replace(OWN, data={**OWN.data, **sides})
    training = card_of_facts("own", facts, checkpoint, is_tested=is_tested).training
    assert (training.test_patients, training.excluded_patients) == expected


@pytest.mark.parametrize(
    ("sides", "facts", "known"),
    [
        ({}, {"training": {"test_patients": ["e", "b"]}}, "'b' is to be tested on and trained or chose the model"),
        ({}, {"training": {"test_patients": ["c"]}}, "'c' is to be tested on"),
        (
            {
                "train_patients": ["BraTS-GLI-00001-000"],
                "test_patients": [],
                "excluded_patients": ["BraTS-GLI-00001-001"],
            },
            {},
            "'BraTS-GLI-00001-001' is to be tested on",
        ),
    ],
)
def test_whom_the_model_knows_is_no_test(sides, facts, known):
    checkpoint = replace(OWN, data={**OWN.data, **sides})
    with pytest.raises(CardError, match=known):
        card_of_facts("own", facts, checkpoint, is_tested=True)


ENCODER = {
    "encoder": "resnet34",
    "source": "resnet34.pth",
    "source_sha256": "b" * 64,
    "licence": "BSD-3-Clause",
    "source_input": "RGB",
    "input": "RGB",
    "changes": ["first layer rewritten for the input"],
}


def test_card_quotes_what_the_encoder_started_from():
    started = replace(OWN, data={**OWN.data, "encoder": ENCODER})
    card = card_of_facts("own", {}, started)
    assert card.training.encoder.changes == ("first layer rewritten for the input",)
    assert card.to_json()["training"]["encoder"] == ENCODER
    # A run that was not resumed keeps a tuple in its checkpoint.
    kept = replace(OWN, data={**OWN.data, "encoder": ENCODER | {"changes": tuple(ENCODER["changes"])}})
    assert card_of_facts("own", {}, kept) == card
    assert card_of_facts("own", {}, OWN).training.encoder is None
    assert card_of_facts("own", {}, replace(OWN, data={**OWN.data, "encoder": None})).training.encoder is None
    with pytest.raises(CardError, match=r"training\.encoder\.source_sha256 is int"):
        card_of_facts("own", {}, replace(OWN, data={**OWN.data, "encoder": ENCODER | {"source_sha256": 1}}))


def test_facts_go_first_and_add_to_the_training():
    facts = {"version": "2.0.0", "threshold": 0.4, "training": {"data": "drawn", "seed": 9}}
    card = card_of_facts("own", facts, OWN)
    assert (card.version, card.threshold, card.min_tumor_pixels) == ("2.0.0", 0.4, 30)
    assert (card.training.data, card.training.seed, card.training.epochs) == ("drawn", 9, 7)


@pytest.mark.parametrize("training", [None, ["a"], "text"])
def test_training_that_is_no_object_is_refused(training):
    with pytest.raises(CardError, match="training is"):
        card_of_facts("own", {"training": training}, OWN)


def test_checkpoint_with_half_of_its_data_is_refused():
    data = {key: value for key, value in OWN.data.items() if key != "excluded_patients"}
    with pytest.raises(CardError, match="data have no excluded_patients"):
        card_of_facts("own", {}, replace(OWN, data=data))


def test_checkpoint_of_a_foreign_configuration_is_refused():
    configuration = {**OWN.configuration, "wings": 2}
    with pytest.raises(ConfigurationError, match="the checkpoint: the key 'wings' is unknown"):
        card_of_facts("own", {}, replace(OWN, configuration=configuration))


def test_text_that_looks_like_a_number_or_a_date_stays_as_it_is_written(tmp_path):
    path = tmp_path / "facts.yaml"
    path.write_text(
        "version: 1.10\ntitle: 2024-05-01\nlicence: null\nthreshold: 0.4\nlimits: [No, 3]\n"
        "training: {data: 2021, patients: 3, training_patients: [007, 1e3, P1], recipe: null}\n"
        "input: {neighbors: 0}\n",
        encoding="utf-8",
    )
    facts = read_facts(path)
    assert facts == {
        "version": "1.10",
        "title": "2024-05-01",
        "licence": None,
        "threshold": 0.4,
        "limits": ["No", "3"],
        "training": {"data": "2021", "patients": 3, "training_patients": ["007", "1e3", "P1"], "recipe": None},
        "input": {"neighbors": 0},
    }
    assert card_of_facts("mine", facts, PUBLISHED).version == "1.10"

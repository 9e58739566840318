"""The shipped packages: whole, honest, and one model in both of their forms on scans they were not trained on."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from ml.cards import Card, list_packages, load_card, verify_files
from ml.datasets import list_cases
from ml.engines import load_engine
from ml.masks import apply_rule, rule_on_grid, tumor_mask
from ml.ood.sequences import is_same

WEIGHTS = Path(__file__).parents[2] / "ml" / "weights"
PACKAGES = [folder.name for folder in list_packages([WEIGHTS])]
# Those with weights of their own.
NETWORKS = [name for name in PACKAGES if not load_card(WEIGHTS / name).members]
SLICES_OF_A_KIND = 10


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> Path:
    """Each package that ships."""
    return WEIGHTS / request.param


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Path:
    """Each package that ships and is no ensemble."""
    return WEIGHTS / request.param


@pytest.fixture
def card(package: Path) -> Card:
    return load_card(package)


def test_shipped_package_is_whole_and_says_what_it_is(package, card):
    verify_files(package, card)
    assert card.licence
    assert card.limits
    assert all(metric.aggregation and metric.set for metric in card.metrics)
    parity = card.parity["int8"]
    assert parity.slices >= 250
    assert parity.warnings_equal is None or parity.warnings_equal >= 0.99
    assert parity.verdicts_equal >= 0.99
    assert abs(parity.patient_dice_delta) <= 0.005
    assert card.temperature.ece_foreground_after < card.temperature.ece_foreground_before


def test_card_reports_patients_that_nothing_was_chosen_on(card):
    test = set(card.training.test_patients)
    assert len(test) == 13
    assert not test & set(card.training.validation_patients or ())
    by_set = {(metric.set.split(" (")[0].split(";")[0], metric.name) for metric in card.metrics}
    for name in ("patient_dice_mean", "patient_dice_median", "slice_dice_mean", "slice_iou_mean", "slice_sensitivity"):
        assert ("test", name) in by_set
        assert ("out of fold", name) in by_set
    assert card.metrics[0].set.startswith("test")
    assert all(metric.patients == len(test) for metric in card.metrics if metric.set.startswith("test"))


@pytest.mark.data
def test_the_test_patients_are_those_fixed_beforehand(card, real_data):
    from ml.datasets import read_patients

    assert set(card.training.test_patients) == set(read_patients(real_data / "lgg" / "test.txt"))


def test_black_slice_has_no_tumor(package):
    engine = load_engine(package, "openvino")
    q = engine.probability_map(np.zeros((1, 256, 256, 3), dtype=np.uint8))
    assert not tumor_mask(q, engine.card.threshold, engine.card.min_tumor_pixels).any()


@pytest.mark.data
def test_int8_gives_the_verdicts_and_masks_of_torch_on_untrained_patients(network, real_data):
    from ml.engines.torch import TorchEngine

    served = load_engine(network, "openvino")
    card = served.card
    reference = TorchEngine.from_package(network, device="cpu")
    cases = list_cases(real_data / "lgg", card.training.test_patients)
    shuffled = [cases[index] for index in np.random.default_rng(7).permutation(len(cases))]
    with_tumor = islice((case for case in shuffled if case.truth().any()), SLICES_OF_A_KIND)
    without = islice((case for case in shuffled if not case.truth().any()), SLICES_OF_A_KIND)
    equal_verdicts, dice = 0, []
    for case in (*with_tumor, *without):
        pixels, truth = case.pixels()[None], case.truth()
        masks = [
            apply_rule(
                engine.probability_map(pixels), rule_on_grid(card, card.threshold, *truth.shape), is_stack=False
            ).tumor[0]
            for engine in (served, reference)
        ]
        equal_verdicts += masks[0].any() == masks[1].any()
        if truth.any():
            dice.append([2 * (mask & truth).sum() / (mask.sum() + truth.sum()) for mask in masks])
    served_dice, reference_dice = np.mean(dice, axis=0)
    assert equal_verdicts >= 2 * SLICES_OF_A_KIND - 1
    assert abs(served_dice - reference_dice) <= 0.01


@pytest.mark.data
def test_an_ensemble_finds_what_its_members_find(real_data):
    """Six slices of a test patient, each whole package through its engines."""
    engines = [load_engine(WEIGHTS / name, "openvino") for name in PACKAGES if name not in NETWORKS]
    [patient] = {engine.card.training.test_patients[0] for engine in engines}
    cases = list_cases(real_data / "lgg", [patient])
    pixels = np.stack([case.pixels() for case in cases[len(cases) // 2 - 3 : len(cases) // 2 + 3]])
    alone = {name: load_engine(WEIGHTS / name, "openvino").probability_map(pixels) for name in NETWORKS}
    for engine in engines:
        joined = engine.probability_map(pixels).astype(int)
        apart = np.stack([alone[member.name] for member in engine.card.members])
        assert joined.max() > 200
        assert (joined[(apart > 200).all(axis=0)] > 128).mean() > 0.99
        assert (joined[(apart == 0).all(axis=0)] == 0).all()


def number_of(name: str) -> int:
    """The slice's place in its stack: by their names the middle ones are those of both ends."""
    return int(name.rpartition("_")[2])


@pytest.mark.data
def test_sequences_of_patients_that_no_network_saw_are_told(network, real_data, figure):
    """Stacks of six slices of the test patients: FLAIR and the model's order pass, other ones are warned about."""
    engine = load_engine(network, "openvino")
    cases = list_cases(real_data / "lgg", engine.card.training.test_patients)
    ways = {"in order": (0, 1, 2), "FLAIR": (1, 1, 1), "T1": (0, 0, 0), "post": (2, 2, 2), "other order": (1, 0, 2)}
    told: dict[str, list[bool]] = {way: [] for way in ways}
    for patient in engine.card.training.test_patients:
        slices = sorted((case for case in cases if case.patient == patient), key=lambda case: number_of(case.name))
        middle = np.stack([case.pixels() for case in slices[len(slices) // 2 - 3 : len(slices) // 2 + 3]])
        for way, channels in ways.items():
            # Where a sequence is missing FLAIR stands in for it, and is no other sequence.
            if way in ("T1", "post", "other order") and any(is_same(one, channels[1], 1) for one in middle):
                continue
            codes = engine.infer(np.ascontiguousarray(middle[..., channels])).warnings
            told[way].append(bool({"not_flair", "channel_order"} & set(codes)))
    shares = {way: float(np.mean(flags)) for way, flags in told.items()}
    figure(f"{network.name}: stacks warned about: " + ", ".join(f"{way} {share:.0%}" for way, share in shares.items()))
    # Of 26 that are right; an all-clear of theirs becomes "not assessed".
    assert sum(told["in order"]) + sum(told["FLAIR"]) <= 3
    assert min(shares["T1"], shares["post"], shares["other order"]) >= 0.6


def test_card_says_how_well_sequences_and_other_images_are_told(card):
    for half in (card.sequences.gray, card.sequences.color):
        right, *wrong = half.classes
        assert half.slices_warned[right] <= 0.01
        assert half.stacks_warned[right] <= 0.01
        assert min(half.stacks_warned[name] for name in wrong) >= 0.7
    check = card.familiarity
    assert (check.warned_share + check.warned_share_grey) / 2 <= 0.02
    assert min(check.warned_by_kind.values()) >= 0.9

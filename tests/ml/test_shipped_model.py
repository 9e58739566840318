"""The shipped package: whole, honest, and one model in both of its forms on scans it was not trained on."""

from pathlib import Path

import numpy as np
import pytest

from ml.cards import load_card, verify_files
from ml.datasets import list_cases
from ml.engines import load_engine
from ml.masks import tumor_mask

SHIPPED = Path(__file__).parents[2] / "ml" / "weights" / "unet-vgg16-lgg"
SLICES_OF_A_KIND = 20


def test_shipped_package_is_whole_and_says_what_it_is():
    card = load_card(SHIPPED)
    verify_files(SHIPPED, card)
    assert card.licence
    assert card.limits
    assert all(metric.aggregation and metric.set for metric in card.metrics)
    parity = card.parity["int8"]
    assert parity.slices >= 250
    assert parity.warnings_equal is None or parity.warnings_equal >= 0.99
    assert parity.verdicts_equal >= 0.99
    assert abs(parity.patient_dice_delta) <= 0.005
    assert card.temperature.ece_foreground_after < card.temperature.ece_foreground_before


def test_card_reports_patients_that_nothing_was_chosen_on():
    card = load_card(SHIPPED)
    test, validation = set(card.training.test_patients), set(card.training.validation_patients)
    assert len(test) == 13
    assert not test & validation
    by_set = {(metric.set.split()[0], metric.name) for metric in card.metrics}
    for name in ("patient_dice_mean", "patient_dice_median", "slice_dice_mean", "slice_iou_mean", "slice_sensitivity"):
        assert ("test", name) in by_set
        assert ("validation", name) in by_set
    assert card.metrics[0].set.startswith("test")
    assert all(metric.patients == len(test) for metric in card.metrics if metric.set.startswith("test"))


@pytest.mark.data
def test_the_test_patients_are_those_fixed_beforehand(real_data):
    from ml.datasets import read_patients

    card = load_card(SHIPPED)
    assert set(card.training.test_patients) == set(read_patients(real_data / "lgg" / "test.txt"))


def test_black_slice_has_no_tumor():
    engine = load_engine(SHIPPED, "openvino")
    q = engine.probability_map(np.zeros((1, 256, 256, 3), dtype=np.uint8))
    assert not tumor_mask(q, engine.card.threshold, engine.card.min_tumor_pixels).any()


@pytest.mark.data
def test_int8_gives_the_verdicts_and_masks_of_torch_on_untrained_patients(real_data):
    from ml.engines.torch import TorchEngine

    served = load_engine(SHIPPED, "openvino")
    card = served.card
    reference = TorchEngine.from_package(SHIPPED, device="cpu")
    cases = list_cases(real_data / "lgg", card.training.validation_patients)
    order = np.random.default_rng(7).permutation(len(cases))
    with_tumor = [cases[index] for index in order if cases[index].truth().any()][:SLICES_OF_A_KIND]
    without = [cases[index] for index in order if not cases[index].truth().any()][:SLICES_OF_A_KIND]
    equal_verdicts, dice = 0, []
    for case in (*with_tumor, *without):
        pixels, truth = case.pixels()[None], case.truth()
        masks = [
            tumor_mask(engine.probability_map(pixels), card.threshold, card.min_tumor_pixels)[0]
            for engine in (served, reference)
        ]
        equal_verdicts += masks[0].any() == masks[1].any()
        if truth.any():
            dice.append([2 * (mask & truth).sum() / (mask.sum() + truth.sum()) for mask in masks])
    served_dice, reference_dice = np.mean(dice, axis=0)
    assert equal_verdicts >= 2 * SLICES_OF_A_KIND - 1
    assert abs(served_dice - reference_dice) <= 0.01


@pytest.mark.data
def test_sequences_of_validation_patients_are_told(real_data):
    """Stacks of six slices of three patients: FLAIR and the model's order pass, other ones are warned about."""
    engine = load_engine(SHIPPED, "openvino")
    cases = list_cases(real_data / "lgg", engine.card.training.validation_patients)
    ways = {"in order": (0, 1, 2), "FLAIR": (1, 1, 1), "T1": (0, 0, 0), "post": (2, 2, 2), "other order": (1, 0, 2)}
    told: dict[str, list[tuple[str, ...]]] = {way: [] for way in ways}
    for patient in ("TCGA_DU_5854_19951104", "TCGA_DU_A5TR_19970726", "TCGA_HT_7680_19970202"):
        slices = [case for case in cases if case.patient == patient]
        middle = np.stack([case.pixels() for case in slices[len(slices) // 2 - 3 : len(slices) // 2 + 3]])
        for way, channels in ways.items():
            told[way].append(engine.infer(np.ascontiguousarray(middle[..., channels])).warnings)
    assert not any("not_flair" in codes or "channel_order" in codes for codes in told["in order"] + told["FLAIR"])
    assert sum("not_flair" in codes for codes in told["T1"] + told["post"]) >= 5
    assert sum("channel_order" in codes for codes in told["other order"]) >= 2


def test_card_says_how_well_sequences_and_other_images_are_told():
    card = load_card(SHIPPED)
    for half in (card.sequences.gray, card.sequences.color):
        right, *wrong = half.classes
        assert half.slices_warned[right] <= 0.01
        assert half.stacks_warned[right] <= 0.01
        assert min(half.stacks_warned[name] for name in wrong) >= 0.75
    check = card.familiarity
    assert max(check.warned_share, check.warned_share_grey) <= 0.02
    assert min(check.warned_by_kind.values()) >= 0.9

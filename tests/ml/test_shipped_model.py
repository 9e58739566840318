"""The shipped package: whole, light, and the same model as its checkpoint on scans it was not trained on."""

from pathlib import Path

import numpy as np
import pytest

from ml.cards import INT8_GRAPH_FILE, INT8_WEIGHTS_FILE, load_card, verify_files
from ml.datasets import list_cases
from ml.engines import load_engine
from ml.masks import tumor_mask

SHIPPED = Path(__file__).parents[2] / "ml" / "weights" / "unet-vgg16-lgg"
SLICES_OF_A_KIND = 20


def test_shipped_package_is_whole_and_says_what_it_is():
    card = load_card(SHIPPED)
    verify_files(SHIPPED, card, (INT8_GRAPH_FILE, INT8_WEIGHTS_FILE))
    assert card.licence
    assert card.limits
    assert all(metric.aggregation and metric.set for metric in card.metrics)
    parity = card.parity["int8"]
    assert parity.slices == 300
    assert parity.verdicts_equal >= 0.99
    assert parity.patient_dice_delta >= -0.005


def test_black_slice_has_no_tumor():
    engine = load_engine(SHIPPED, "openvino")
    q = engine.probability_map(np.zeros((1, 256, 256, 3), dtype=np.uint8))
    assert not tumor_mask(q, engine.card.threshold, engine.card.min_tumor_pixels).any()


@pytest.mark.data
def test_int8_gives_the_verdicts_and_masks_of_torch_on_untrained_patients(real_data):
    from ml.engines.torch import TorchEngine

    served = load_engine(SHIPPED, "openvino")
    card = served.card
    reference = TorchEngine.from_checkpoint(real_data / "bootstrap" / "unet_vgg16_lgg.pth", card, device="cpu")
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

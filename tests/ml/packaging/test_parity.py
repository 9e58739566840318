"""The parity gate: what counts as agreement of a served engine with the reference."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from ml.cards import DoubtRule
from ml.datasets import list_cases
from ml.engines import Inference
from ml.packaging.parity import compare_engines, describe_parity


class Brightness:
    """An engine that takes for tumor what is bright; several slices at once go through a form of its own."""

    def __init__(self, card, among_others=lambda q: q):
        self.card = card
        self._among_others = among_others

    def infer(self, pixels, context=None):
        q = np.where(pixels.min(axis=3) >= 150, 255, 0).astype(np.uint8)
        return Inference(self._among_others(q) if len(q) > 1 else q)


def test_an_engine_agrees_with_itself(small_model):
    engine = Brightness(small_model.card)
    parity = compare_engines(engine, engine, list_cases(small_model.data))
    assert (parity.patient_dice_delta, parity.slice_dice_delta, parity.verdicts_equal) == (0.0, 0.0, 1.0)
    assert parity.is_close
    words = "100.00% of verdicts are equal, mean patient Dice differs by +0.0000"
    assert describe_parity(parity).endswith(words)
    assert describe_parity(replace(parity, patient_dice_delta=None)).endswith("by nothing, for there is no tumor")


def test_another_answer_among_others_than_alone_does_not_pass(small_model):
    reference = Brightness(small_model.card)
    cases = list_cases(small_model.data)
    other = compare_engines(Brightness(small_model.card, np.zeros_like), reference, cases)
    tumor_share = np.mean([case.truth().any() for case in cases])
    assert (other.verdicts_equal, other.is_close) == (1 - tumor_share, False)
    rounded = compare_engines(Brightness(small_model.card, lambda q: q - (q > 0)), reference, cases)
    assert rounded.is_close


def test_other_verdicts_do_not_pass(small_model):
    reference = Brightness(small_model.card)
    blind = SimpleNamespace(card=small_model.card, infer=lambda pixels: Inference(np.zeros(pixels.shape[:3], np.uint8)))
    parity = compare_engines(blind, reference, list_cases(small_model.data))
    assert parity.verdicts_equal == 0.5
    assert not parity.is_close


def test_a_doubt_that_one_engine_alone_has_is_another_verdict(small_model):
    card = replace(small_model.card, threshold=0.5, doubt=DoubtRule(0.2, 4))
    cases = list_cases(small_model.data)

    def faint(level):
        return SimpleNamespace(
            card=card, infer=lambda pixels: Inference(np.full(pixels.shape[:3], level, dtype=np.uint8))
        )

    assert compare_engines(faint(60), faint(60), cases).doubt_equal == 1
    other = compare_engines(faint(60), faint(40), cases)
    assert (other.doubt_equal, other.verdicts_equal) == (0, 1)

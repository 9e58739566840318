"""An engine that lets others go first gives the same answers as the engine behind it."""

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from ml.engines import Engine, Inference
from ml.engines.context import Context
from ml.engines.ensemble import EnsembleEngine
from ml.engines.wrapper import EngineWrapper
from ml.ood.sequences import SequenceEvidence
from tests.support.level_engine import LevelEngine, cascade_of, slices_with
from worker.evaluation.considerate_engine import ROUNDS, ConsiderateEngine


class AnswersByBrightness(EngineWrapper):
    """Every field follows from its slice alone; of this model no slice is answered by a first look."""

    def infer(self, pixels: NDArray[np.uint8], context: Context | None = None) -> Inference:
        level = pixels[:, 0, 0, 0]
        features = np.stack([level, 2.0 * level], axis=1).astype(np.float32)
        return Inference(
            pixels[..., 0],
            features,
            level > 3,
            SequenceEvidence(features, (1.0, 2.0), (3.0, 4.0)),
            is_of_training=level > 5,
            is_bright=level > 7,
        )


def test_the_pieces_of_a_cascade_have_their_neighbors_beside_them() -> None:
    def engine() -> EnsembleEngine:
        return cascade_of(0.1, LevelEngine(0), LevelEngine(1), neighbors=1)

    pixels, context = slices_with(*[0, 0, 0, 255] * 4), Context.of_stack(16)
    whole = engine().infer(pixels, context)
    found = ConsiderateEngine(engine(), lambda: None, threads=1).infer(pixels, context)
    assert whole.is_first_look is not None and found.is_first_look is not None
    assert whole.is_first_look.tolist() == [True, True, False, False] + 3 * [False, True, False, False]
    assert found.is_first_look.tolist() == whole.is_first_look.tolist()
    assert np.array_equal(found.probability_u8, whole.probability_u8)


def test_a_group_is_answered_in_pieces_between_which_others_go_first(engine: Engine) -> None:
    plain, asides = AnswersByBrightness(engine), []
    pixels = np.tile(np.arange(9, dtype=np.uint8)[:, None, None, None], (1, 4, 4, 3))

    found = ConsiderateEngine(plain, lambda: asides.append(None), threads=2).infer(pixels)

    whole = plain.infer(pixels)
    assert len(asides) == -(-9 // (2 * ROUNDS))
    assert found.sequences is not None and whole.sequences is not None
    assert np.array_equal(found.sequences.log_odds, whole.sequences.log_odds)
    assert found.sequences.stack_limits == whole.sequences.stack_limits
    for item in fields(Inference):
        if item.name != "sequences":
            assert np.array_equal(getattr(found, item.name), getattr(whole, item.name)), item.name
    turned = found.take(np.arange(9)[::-1])
    assert turned.probability is None and turned.sequences is not None
    assert np.array_equal(turned.probability_u8, pixels[::-1, ..., 0])
    assert np.array_equal(turned.sequences.log_odds, whole.sequences.log_odds[::-1])

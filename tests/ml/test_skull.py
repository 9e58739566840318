"""The rim around a brain without its skull: in what the network sees, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from ml.cards import Cascade, load_card
from ml.datasets.case import Case
from ml.datasets.loading import LoadedCase
from ml.engines import Inference
from ml.engines.context import Context
from ml.engines.ensemble import EnsembleEngine
from ml.evaluation.run import score_cases
from ml.ood.sequences import SEQUENCE_UNCHECKED
from ml.scans.readers.skull import is_skull_stripped
from ml.skull import BRIGHTNESS, draw_rim, infer_stripped, stripped_warnings
from tests.support.level_engine import LevelEngine
from webapp.domain.settings import PROJECT_ROOT

SIDE = 160


class BrightnessEngine:
    """Its probability is the brightness."""

    name = "brightness"

    def __init__(self) -> None:
        self.card = replace(load_card(PROJECT_ROOT / "ml" / "weights" / "unet-lite0-lgg"), doubt=None)

    def infer(self, pixels: np.ndarray, context: Context | None = None) -> Inference:
        return Inference(pixels[..., 0].copy())


def head(*, has_skull: bool, air: int = 0, slices: int = 10) -> np.ndarray:
    """A brain of 70 with dark ventricles; around it a dark skull and a bright scalp. uint8 (N, H, W, 3)."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    radius = np.hypot(y / 1.2, x)
    plane = np.full((SIDE, SIDE), air, np.uint8)
    if has_skull:
        plane[radius < 62] = 140
        plane[radius < 57] = 15
    plane[radius < 50] = 70
    plane[radius < 12] = 20
    return np.repeat(np.repeat(plane[None, ..., None], slices, 0), 3, -1)


def test_a_brain_alone_is_told_from_a_head_and_from_one_in_noisy_air() -> None:
    assert is_skull_stripped(head(has_skull=False))
    assert not is_skull_stripped(head(has_skull=True))
    noisy = np.maximum(head(has_skull=False), np.random.default_rng(1).integers(0, 3, (10, SIDE, SIDE, 1), np.uint8))
    assert not is_skull_stripped(noisy)
    for empty in (np.zeros((5, SIDE, SIDE, 3), np.uint8), np.full((1, 16, 16, 3), 255, np.uint8)):
        assert not is_skull_stripped(empty)


def test_the_rim_lies_around_the_brain_and_leaves_it_and_the_scan_alone() -> None:
    brain = head(has_skull=False, slices=2)
    brain[1] = 0
    before = brain.copy()
    drawn = draw_rim(brain)
    assert np.array_equal(brain, before)
    is_rim = (drawn != brain).any(axis=-1)
    assert not is_rim[1].any()
    assert (drawn[0][is_rim[0]] == BRIGHTNESS).all()
    assert not (brain[0][is_rim[0]]).any(), "no voxel of the brain is changed, its dark ventricles included"
    row = np.flatnonzero(is_rim[0, SIDE // 2])
    lit = np.flatnonzero(brain[0, SIDE // 2, :, 0])
    assert len(row) == 2 * SIDE // 40
    assert row[0] < lit[0] - 2 and row[-1] > lit[-1] + 2


def test_the_network_sees_the_rim_and_its_look_is_not_asked_for_the_sequence() -> None:
    engine = BrightnessEngine()
    brain = head(has_skull=False, slices=3)
    found = infer_stripped(engine, brain)
    assert found.sequences is None
    assert np.array_equal(found.probability_u8, engine.infer(draw_rim(brain)).probability_u8)
    assert not np.array_equal(found.probability_u8, engine.infer(brain).probability_u8)
    assert stripped_warnings(engine, None) == (SEQUENCE_UNCHECKED,)
    assert stripped_warnings(engine, True) == stripped_warnings(engine, False) == ()


def test_of_a_cascade_all_members_are_asked_about_every_slice_of_a_brain_alone() -> None:
    second = LevelEngine(1)
    card = replace(BrightnessEngine().card, cascade=Cascade(0.9, neighbors=1))
    dark = head(has_skull=False, slices=6)
    found = infer_stripped(EnsembleEngine(card, [LevelEngine(0), second]), dark)
    assert (second.asked, found.is_first_look.tolist()) == (6, [False] * 6)


def test_a_brain_without_room_for_a_rim_is_seen_in_a_whole_picture() -> None:
    engine = BrightnessEngine()
    brain = head(has_skull=False, slices=3)
    brain[2] = 0
    lit = np.flatnonzero(brain.max(axis=(0, 1, 3)))
    box = slice(lit[0], lit[-1] + 1)
    cropped = np.ascontiguousarray(brain[:, box, box])
    found = infer_stripped(engine, cropped)
    assert found.probability_u8.shape == cropped.shape[:3]
    is_brain = cropped.max(axis=-1) > 5
    np.testing.assert_array_equal(found.probability_u8[is_brain], engine.infer(cropped).probability_u8[is_brain])
    alone = [infer_stripped(engine, cropped[index : index + 1]).probability_u8[0] for index in range(3)]
    np.testing.assert_array_equal(found.probability_u8, np.stack(alone))


@pytest.mark.parametrize("chunk", [1, 4])
def test_an_evaluation_tells_slices_with_and_without_a_skull_apart(tmp_path, chunk: int) -> None:
    engine = BrightnessEngine()
    pixels = head(has_skull=False, slices=1)[0]
    cases = [Case("P1", tmp_path / f"{index}.png", None) for index in range(4)]
    loaded = {
        case.image: LoadedCase(case, pixels, None, is_skull_stripped=index < 2) for index, case in enumerate(cases)
    }
    results = [
        item
        for group in score_cases(engine, cases, 0.5, chunk=chunk, read=lambda case: loaded[case.image])
        for item in group
    ]
    maps = [item.probability_u8 for item in results]
    assert np.array_equal(maps[0], maps[1]) and np.array_equal(maps[2], maps[3])
    assert not np.array_equal(maps[1], maps[2])

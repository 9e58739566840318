"""A package of a network that takes neighbors is calibrated, checked and compared on slices in their stacks, too."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import openvino as ov
import pytest
from PIL import Image
from torch import nn

from ml.datasets import list_cases
from ml.engines import Inference
from ml.packaging import quantization
from ml.packaging.ood_fit import HeldOut, fit
from ml.packaging.parity import compare_engines
from ml.packaging.quantization import write_int8
from ml.packaging.sequence_fit import fit_sequences
from ml.packaging.surroundings import Surroundings, ask_middle
from ml.preprocessing import normalize, to_model_grid
from tests.support.level_engine import LevelEngine

LEVELS = (0, 90, 240)  # of a patient's slices: the one in the middle alone is below the threshold


@pytest.fixture
def cases(tmp_path):
    """Two patients of three numbered slices and one without a number, 16 x 16; a tumor pixel a slice."""
    for patient in ("P1", "P2"):
        folder = tmp_path / patient
        folder.mkdir()
        for name, level in (*((f"{patient}_{number}", level) for number, level in enumerate(LEVELS)), ("lone", 200)):
            pixels = np.zeros((16, 16, 3), dtype=np.uint8)
            pixels[..., 1] = 200
            pixels[3, 4, 0] = level
            Image.fromarray(pixels).save(folder / f"{name}.png")
            mask = np.zeros((16, 16), dtype=np.uint8)
            mask[3, 4] = 255
            Image.fromarray(mask).save(folder / f"{name}_mask.png")
    return list_cases(tmp_path)


def named(cases, name):
    return next(case for case in cases if case.name == name)


def test_a_slice_is_given_alone_and_between_its_neighbors(cases):
    around = Surroundings(cases, 1)
    alone, in_stack = around.ways(named(cases, "P1_1"))
    assert alone[:, 3, 4, 0].tolist() == [90]
    assert in_stack[:, 3, 4, 0].tolist() == [0, 90, 240]
    assert [way[:, 3, 4, 0].tolist() for way in around.ways(named(cases, "P1_2"))] == [[240], [90, 240, 240]]
    assert [len(way) for way in around.ways(named(cases, "lone"))] == [1]
    assert [len(way) for way in Surroundings(cases, 0).ways(named(cases, "P1_1"))] == [1]
    assert [len(way) for way in Surroundings().ways(named(cases, "P1_1"))] == [1]


def test_a_neighbor_of_another_size_is_none(cases):
    taller = named(cases, "P1_0").image
    Image.fromarray(np.zeros((17, 16, 3), dtype=np.uint8)).save(taller)
    assert [len(way) for way in Surroundings(cases, 1).ways(named(cases, "P1_1"))] == [1]


def test_the_middle_alone_is_asked(cases):
    engine = LevelEngine(0, neighbors=1)
    found = [ask_middle(engine, way).probability_u8[:, 3, 4] for way in Surroundings(cases, 1).all_ways(cases)]
    assert engine.asked == len(found) == 14
    ways = Surroundings(cases, 1).all_ways([named(cases, "P1_1")])
    assert [ask_middle(engine, way).probability_u8[:, 3, 4].tolist() for way in ways] == [[90], [240]]


class Forgetful(LevelEngine):
    """Answers every slice as if it came alone."""

    def infer(self, pixels, context=None, **options):
        return super().infer(pixels if context is None else pixels[context.asked], **options)


def test_engines_are_compared_in_stacks_too(cases):
    served, forgetful = LevelEngine(0, neighbors=1), Forgetful(0, neighbors=1)
    assert compare_engines(forgetful, served, cases).verdicts_equal == 1, "alone they agree"
    parity = compare_engines(forgetful, served, cases, Surroundings(cases, 1))
    assert parity.slices == 8
    assert parity.verdicts_equal == 0.75, "of each patient the slice of 90 shows a tumor beside its neighbor of 240"
    assert compare_engines(served, served, cases, Surroundings(cases, 1)).is_close


def test_int8_is_calibrated_on_slices_alone_and_in_their_stacks(cases, tmp_path, monkeypatch):
    network = nn.Conv2d(9, 1, 1)
    network.features = lambda inputs: inputs.mean(dim=(2, 3))
    convention = replace(LevelEngine(0, neighbors=1).card.input, size=(16, 16))
    given = []
    monkeypatch.setattr(quantization, "ExportedNetwork", lambda network: TwoOutputs())
    monkeypatch.setattr(quantization.nncf, "Dataset", given.extend)
    monkeypatch.setattr(quantization.nncf, "quantize", lambda model, *args, **options: model)
    monkeypatch.setattr(ov, "save_model", lambda model, path: None)
    middle = named(cases, "P1_1")
    write_int8(network, convention, [middle], tmp_path, Surroundings(cases, 1))
    alone, in_stack = given
    assert np.array_equal(alone, to_model_grid(middle.pixels()[None], convention))
    slices = [normalize(named(cases, f"P1_{number}").pixels()[None], convention)[0] for number in range(3)]
    assert np.array_equal(in_stack, np.concatenate(slices)[None])
    given.clear()
    write_int8(network, convention, [middle], tmp_path)
    assert len(given) == 1


class TwoOutputs(nn.Module):
    """The exported form of a network of nine channels."""

    def forward(self, inputs):
        return inputs[:, :1], inputs.mean(dim=(2, 3))


class Recording:
    """An engine whose features are the means of the channels of what it is asked for; it keeps what it was given."""

    name, card = "recording", None

    def __init__(self):
        self.stacks = []

    def infer(self, pixels, context=None):
        if context is not None:
            assert (context.stop - context.start, len(pixels)) == (1, 3)
            self.stacks.append(pixels)
            pixels = pixels[context.asked]
        return Inference(np.zeros(pixels.shape[:3], np.uint8), pixels.mean(axis=(1, 2)).astype(np.float32))


def heads(patients=5, slices=3):
    """Cases without files: noise in three channels of their own brightness, inside a dark border."""
    random = np.random.default_rng(1)
    cases = []
    for patient in range(patients):
        for number in range(slices):
            pixels = np.zeros((64, 64, 3), dtype=np.uint8)
            noise = random.integers(0, 60, size=(48, 48, 1))
            pixels[8:56, 8:56] = noise + np.array([40, 90, 150])
            cases.append(Head(f"P{patient}", f"P{patient}_{number}", pixels))
    return cases


class Head(SimpleNamespace):
    """A case; equal to itself alone."""

    def __init__(self, patient, name, pixels):
        super().__init__(patient=patient, name=name, image=SimpleNamespace(parent=patient), pixels=lambda: pixels)

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def test_the_input_check_is_fitted_in_stacks_too():
    cases, alone, both = heads(), Recording(), Recording()
    around = Surroundings(cases, 1)
    _, facts = fit(alone, cases[:9], HeldOut(cases[9:]), 1, 4)
    _, in_stacks = fit(both, cases[:9], HeldOut(cases[9:]), 1, 4, around)
    assert not alone.stacks
    assert (in_stacks.training_slices, in_stacks.validation_slices) == (
        2 * facts.training_slices, 2 * facts.validation_slices,
    )  # fmt: skip
    # 9 in color, 3 of them in gray of each of three channels; 6 held out in color and gray.
    assert len(both.stacks) == 9 + 3 * 3 + 2 * 6


def test_the_sequence_check_is_fitted_in_stacks_whose_slices_are_all_of_one_sequence():
    cases, engine = heads(), Recording()
    found = fit_sequences(engine, cases, 1, surroundings=Surroundings(cases, 1))
    assert found is not None
    for stack in engine.stacks:
        brightness = stack[:, 8:56, 8:56].mean(axis=(1, 2))  # (3, C)
        assert np.abs(brightness - brightness[1]).max() < 5, "neighbors have the channels of their slice"
    _, alone = fit_sequences(Recording(), cases, 1)
    assert found[1].gray.slices == 2 * alone.gray.slices
    assert found[1].color.slices == 2 * alone.color.slices

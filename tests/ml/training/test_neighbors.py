"""A network that takes a slice's neighbors in the stack: trained, packaged and served alike."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ml.cards import WEIGHTS_FILE, load_card
from ml.datasets import list_cases
from ml.engines import Inference
from ml.engines.context import Context
from ml.engines.openvino import OpenVinoEngine
from ml.engines.torch import TorchEngine
from ml.networks import build_network, load_network
from ml.packaging import measuring
from ml.packaging.packages import make_package
from ml.packaging.quantization import Calibration
from ml.preprocessing import normalize, place_on_grid
from ml.training.recipes import load_recipe
from ml.training.samples import SliceCache, TrainingDataset, ValidationDataset
from tests.ml.training.conftest import one_thread

WITH_NEIGHBORS = ("network.neighbors=1", "augmentation.neighbor_dropout=0.2")


@pytest.fixture(scope="module")
def configuration(recipe):
    return load_recipe(str(recipe), WITH_NEIGHBORS)


@pytest.fixture(scope="module")
def package(train, brains, tmp_path_factory):
    """Of a run on four of six heads."""
    folder = tmp_path_factory.mktemp("neighbors")
    assert train(folder / "run", *WITH_NEIGHBORS, "stages.0.epochs=4") == 0
    with pytest.MonkeyPatch.context() as patch, one_thread():
        # The input check draws 500 pictures; it is tested with the package of tests/ml/conftest.py.
        patch.setattr(measuring, "add_checks", lambda folder, card, *given: card)
        make_package(folder / "run" / "best.pth", folder / "near", calibrate=brains, calibration=Calibration(slices=4))
    return folder / "near"


@pytest.fixture(scope="module")
def stack(brains):
    """The three slices of a head on the grid, uint8 (3, 32, 32, 3)."""
    return np.stack([case.pixels()[::2, ::2] for case in list_cases(brains)[:3]])


def test_samples_lie_between_their_neighbors_and_at_the_ends_between_themselves(brains, configuration):
    cases = list_cases(brains)
    slices = SliceCache(cases, configuration, 32)
    of_patient = [index for index, case in enumerate(cases) if case.patient == cases[0].patient]
    low, middle, high = (slices[index].image for index in of_patient)
    for index, expected in zip(
        of_patient, ((low, low, middle), (low, middle, high), (middle, high, high)), strict=True
    ):
        assert np.array_equal(slices.with_neighbors(index), np.stack(expected))
    inputs, labels, _ = ValidationDataset(slices)[of_patient[1]]
    assert inputs.shape == (9, 32, 32)
    for part, image in zip(np.split(inputs.numpy(), 3), (low, middle, high), strict=True):
        assert np.array_equal(part, normalize(image[None], slices.convention)[0])
    assert np.array_equal(labels.numpy(), slices[of_patient[1]].labels)
    drawn, _ = TrainingDataset(slices, configuration, configuration.stages[0], 0)[0]
    assert drawn.shape == (9, 32, 32)


def test_a_networks_encoder_begins_as_if_it_had_no_neighbors(configuration, tmp_path):
    architecture = load_recipe("unet-lite0-lgg", ["network.neighbors=1", "network.encoder_weights=null"]).architecture
    assert architecture.in_channels == 9
    encoder = build_network(load_recipe("unet-lite0-lgg", ["network.encoder_weights=null"]).architecture).encoder
    torch.save(encoder.state_dict(), tmp_path / "encoder.pth")
    begun = build_network(architecture, str(tmp_path / "encoder.pth")).encoder.state_dict()
    for name, value in encoder.state_dict().items():
        if value.shape == begun[name].shape:
            assert torch.equal(begun[name], value)
        else:
            assert torch.equal(begun[name][:, 3:6], value)
            assert not begun[name][:, :3].any()
            assert not begun[name][:, 6:].any()


@pytest.mark.long
def test_the_card_says_how_far_a_slice_is_looked_around(package):
    card = load_card(package)
    assert (card.input.neighbors, card.neighbors, card.sees_stacks) == (1, 1, True)
    assert (card.architecture.in_channels, len(card.input.channels)) == (9, 3)
    assert json.loads((package / "card.json").read_text())["input"]["neighbors"] == 1


@pytest.mark.long
def test_an_engine_gives_the_network_each_slice_between_its_neighbors(package, stack):
    card = load_card(package)
    engine = TorchEngine.from_package(package, device="cpu")
    network = load_network(card.architecture, load_file(package / WEIGHTS_FILE))
    grid = normalize(place_on_grid(stack, card.input), card.input)  # (3, 3, h, w)
    rows = [np.concatenate(grid[places]) for places in ([0, 0, 1], [0, 1, 2], [1, 2, 2])]
    with torch.inference_mode():
        expected = torch.sigmoid(network(torch.from_numpy(np.stack(rows))))[:, 0].numpy()
    found = engine.infer(stack, Context.of_stack(3), is_exact=True).probability
    assert np.allclose(found, expected, atol=1e-5)
    alone = engine.infer(stack, is_exact=True).probability
    assert np.array_equal(engine.infer(stack[1:2], is_exact=True).probability[0], alone[1])
    assert not np.array_equal(alone, found), "what lies beside a slice must count"
    other = stack.copy()
    other[2] = 255 - other[2]
    changed = engine.infer(other, Context.of_stack(3)).probability_u8
    same = engine.infer(stack, Context.of_stack(3)).probability_u8
    assert np.array_equal(changed[0], same[0])
    assert not np.array_equal(changed[1], same[1])


@pytest.mark.long
def test_the_compiled_form_agrees_whatever_the_pieces(package, stack):
    long = np.concatenate([stack, stack[::-1], stack])
    context = Context.of_stacks([range(5), range(5, 9)])
    reference = TorchEngine.from_package(package, device="cpu").infer(long, context).probability_u8
    engine = OpenVinoEngine(package)
    engine.warm_up()
    whole = engine.infer(long, context)
    assert np.abs(whole.probability_u8.astype(int) - reference).mean() < 3
    for size in (1, 2, 4):
        parts = [engine.infer(long[given], of_piece) for given, of_piece in context.pieces(size, 1)]
        assert np.array_equal(Inference.join(parts).probability_u8, whole.probability_u8)

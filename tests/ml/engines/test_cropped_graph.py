"""The graph for crops: what it answers is what the graph for the whole slice answers, wherever the brain lies."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ml.cards import load_card
from ml.engines.cropped_graph import places
from ml.engines.crops import Crop, find_crop, sizes_of_crops
from ml.engines.openvino import OpenVinoEngine
from ml.scans import Limits, read_scan
from ml.synthetic.phantoms import render
from tests.support.small_model import SHIPPED

SIDE = load_card(SHIPPED).input.size[0]
HEAD = SIDE // 2


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """The shipped model's int8 form on crops, and on whole slices."""
    found = []
    for crops in (sizes_of_crops((SIDE, SIDE)), ()):
        package = shutil.copytree(SHIPPED, tmp_path_factory.mktemp("models") / SHIPPED.name)
        card = json.loads((package / "card.json").read_text())
        (package / "card.json").write_text(json.dumps(card | {"crops": crops}))
        found.append(OpenVinoEngine(package))
    return found


@pytest.fixture(scope="module")
def brain(tmp_path_factory):
    """A phantom with lesions, uint8 (4, HEAD, HEAD, 3)."""
    path = tmp_path_factory.mktemp("scans") / "stack.tif"
    path.write_bytes(render("stack"))
    slices = read_scan(path, Limits()).pixels[4:8]
    return np.stack([np.asarray(Image.fromarray(pixels).resize((HEAD, HEAD))) for pixels in slices])


@pytest.mark.parametrize(("top", "left"), [(0, 0), (30, 52), (HEAD, HEAD), (75, 6)])
def test_a_crop_is_answered_as_the_whole_slice_is(engines, brain, top, left):
    stack = np.zeros((len(brain), SIDE, SIDE, 3), dtype=np.uint8)
    stack[:, top : top + HEAD, left : left + HEAD] = brain
    crop = find_crop(stack[0], engines[0].card.crops)
    assert crop.height * crop.width < SIDE**2 / 1.9
    cropped, whole = (engine.infer(stack) for engine in engines)
    assert (whole.probability_u8 > 127).sum() > 0.02 * SIDE**2
    assert np.abs(cropped.probability_u8.astype(int) - whole.probability_u8).max() <= 12
    assert abs(int((cropped.probability_u8 > 127).sum()) - int((whole.probability_u8 > 127).sum())) < 10
    # The input check sees the same means.
    np.testing.assert_allclose(cropped.features, whole.features, atol=0.15 * whole.features.std())
    assert np.array_equal(cropped.is_out_of_distribution, whole.is_out_of_distribution)


def test_a_crop_before_a_whole_slice_is_answered_without_a_warm_up(engines, brain):
    engine = OpenVinoEngine(SHIPPED, threads=1)
    assert engine.card.crops
    stack = np.zeros((2, SIDE, SIDE, 3), dtype=np.uint8)
    stack[0, 30 : 30 + HEAD, 30 : 30 + HEAD] = brain[0]
    stack[1] = np.random.default_rng(1).integers(50, 200, (SIDE, SIDE, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        engine.infer(stack).probability_u8.astype(int), engines[0].infer(stack).probability_u8, atol=1
    )


def test_places_put_a_crop_among_the_black_and_take_it_out_again():
    crop = Crop(16, 32, 48, 32)  # 3 x 2 places of a grid of 5 x 6
    paste, cut = places(crop, (80, 96))
    values = np.arange(100, 106)
    black = np.arange(30)
    whole = np.concatenate([values, black])[paste].reshape(5, 6)
    assert np.array_equal(whole[1:4, 2:4], values.reshape(3, 2))
    whole[1:4, 2:4] = 6 * np.arange(1, 4)[:, None] + np.arange(2, 4)
    assert np.array_equal(whole.ravel(), black)
    assert np.array_equal(black[cut].reshape(3, 2), whole[1:4, 2:4])

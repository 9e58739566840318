"""Temperature scaling: a known one is found, the head is divided exactly, and the card says what it did."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ml.cards import Architecture, InputConvention
from ml.datasets import list_cases
from ml.networks import build_network
from ml.packaging.temperature import LogitCounts, count_logits, describe_scaling, fit_temperature, scale_head


def draw(temperature, pixels=400_000):
    """Pixels whose logits are `temperature` times too large (or too small), counted as `count_logits` does."""
    random = np.random.default_rng(8)
    honest = random.normal(-2, 2, pixels)
    truth = random.random(pixels) < 1 / (1 + np.exp(-honest))
    edges = np.arange(-32, 32 + 1 / 64, 1 / 64)
    logits = np.clip(temperature * honest, -31.9, 31.9)
    counts = [np.histogram(part, edges)[0] for part in (logits, logits[truth])]
    return LogitCounts(np.array(counts, dtype=np.int64), (edges[:-1] + edges[1:]) / 2)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_known_temperature_is_found(temperature):
    assert fit_temperature(draw(temperature)) == pytest.approx(temperature, rel=0.02)


def test_calibration_error_falls_and_the_card_has_both():
    found = draw(2.5)
    scaled = replace(found, centers=found.centers / 2.5)
    words = describe_scaling(found, scaled, 2.5, (), "validation")
    assert (words.temperature, words.set, words.patients) == (2.5, "validation", 0)
    assert words.ece_before > 5 * words.ece_after
    assert words.ece_foreground_before > 5 * words.ece_foreground_after
    assert words.ece_after < 0.005


def test_where_one_class_alone_is_there_nothing_is_scaled():
    found = draw(2.5)
    everything = found.counts[0]
    for tumor in (np.zeros_like(everything), everything):
        assert fit_temperature(replace(found, counts=np.stack([everything, tumor]))) == 1


@pytest.mark.parametrize("architecture", ["scratch", "unet"])
@pytest.mark.parametrize("classes", [1, 4])
def test_scaled_head_divides_every_logit(architecture, classes):
    options = {"width": 4} if architecture == "scratch" else {}
    torch.manual_seed(1)
    network = build_network(Architecture(architecture, "resnet18", 3, classes, options))
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        before = network(x)
        scaled = scale_head(network, 2.5)(x)
        assert torch.equal(network(x), before)  # a copy was scaled
    torch.testing.assert_close(scaled, before / 2.5)


class Shown(nn.Module):
    """The logit is four times the first channel: what a test draws."""

    def forward(self, x):
        return 4 * x[:, :1]


def test_logits_are_counted_on_the_models_grid(small_data):
    convention = InputConvention((64, 64), ("a", "b", "c"), mean=(0.5,) * 3, std=(0.125,) * 3)
    cases = list_cases(small_data)[:4]
    found = count_logits(Shown(), convention, cases)
    pixels = np.stack([case.pixels()[..., 0] for case in cases])
    truth = np.stack([case.truth() for case in cases])
    logits = 4 * (pixels / 255 - 0.5) / 0.125
    assert found.counts.sum(axis=1).tolist() == [pixels.size, truth.sum()]
    for row, chosen in ((0, logits), (1, logits[truth])):
        mean = (found.counts[row] * found.centers).sum() / found.counts[row].sum()
        assert mean == pytest.approx(chosen.mean(), abs=1 / 64)

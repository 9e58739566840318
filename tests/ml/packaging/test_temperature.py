"""Temperature and offset: known ones are found, the head does them exactly, and the card says what they did."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ml.cards import Architecture, InputConvention
from ml.datasets import list_cases
from ml.networks import build_network
from ml.networks.logits import tumor_logit
from ml.packaging.temperature import (
    LogitCounts,
    Scaling,
    count_logits,
    describe_scaling,
    fit_scaling,
    saturated_logits,
    scale_head,
)


def draw(temperature, offset=0.0, pixels=400_000):
    """Pixels whose honest logits are z / temperature + offset, counted by z as `count_logits` does."""
    random = np.random.default_rng(8)
    honest = random.normal(-2, 2, pixels)
    truth = random.random(pixels) < 1 / (1 + np.exp(-honest))
    edges = np.arange(-32, 32 + 1 / 64, 1 / 64)
    logits = np.clip(temperature * (honest - offset), -31.9, 31.9)
    counts = [np.histogram(part, edges)[0] for part in (logits, logits[truth])]
    return LogitCounts(np.array(counts, dtype=np.int64), (edges[:-1] + edges[1:]) / 2)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("offset", [-1.5, 0.0, 0.5])
def test_known_temperature_and_offset_are_found(temperature, offset):
    found = fit_scaling(draw(temperature, offset))
    assert found.temperature == pytest.approx(temperature, rel=0.02)
    assert found.offset == pytest.approx(offset, abs=0.03)


def test_what_is_certainly_0_fits_nothing():
    found = draw(2.5, -1.0)
    counts = np.concatenate([[[10**9], [10**6]], found.counts], axis=1)
    certain = LogitCounts(counts, np.concatenate([[-np.inf], found.centers]))
    assert fit_scaling(certain) == fit_scaling(found)


def test_calibration_error_falls_and_the_card_has_both():
    found = draw(2.5, -1.0)
    scaling = Scaling(2.5, -1.0)
    words = describe_scaling(found, replace(found, centers=scaling.of(found.centers)), scaling, 7, "validation")
    assert (words.temperature, words.offset, words.set, words.patients) == (2.5, -1.0, "validation", 7)
    assert words.ece_before > 5 * words.ece_after
    assert words.ece_foreground_before > 5 * words.ece_foreground_after
    assert words.ece_after < 0.005


def test_where_one_class_alone_is_there_nothing_is_scaled():
    found = draw(2.5)
    everything = found.counts[0]
    for tumor in (np.zeros_like(everything), everything):
        assert fit_scaling(replace(found, counts=np.stack([everything, tumor]))) == Scaling()


@pytest.mark.parametrize("architecture", ["scratch", "unet"])
@pytest.mark.parametrize("classes", [1, 2])
def test_scaled_head_is_exact(architecture, classes):
    options = {"width": 4} if architecture == "scratch" else {}
    torch.manual_seed(1)
    network = build_network(Architecture(architecture, "resnet18", 3, classes, options))
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        before = network(x)
        scaled = tumor_logit(scale_head(network, Scaling(2.5, -0.75))(x))
        assert torch.equal(network(x), before)  # a copy was scaled
    torch.testing.assert_close(scaled, tumor_logit(before) / 2.5 - 0.75)


def test_offset_of_several_classes_is_that_of_tumor():
    torch.manual_seed(1)
    network = build_network(Architecture("scratch", "none", 3, 4, {"width": 4}))
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        divided, scaled = (scale_head(network, scaling)(x) for scaling in (Scaling(2.5), Scaling(2.5, -0.75)))
    torch.testing.assert_close(tumor_logit(scaled), tumor_logit(divided) - 0.75)


def test_saturated_pixels_have_the_mean_of_their_logits():
    centers = np.array([-10.0, -8.0, 0.0, 7.0, 9.0])
    counts = np.array([[3, 1, 5, 1, 1], [0, 0, 2, 1, 1]])
    assert saturated_logits(LogitCounts(counts, centers)) == (-9.5, 8.0)
    lowest, highest = saturated_logits(LogitCounts(counts[:, 2:3], centers[2:3]))
    assert lowest == -highest == pytest.approx(np.log(0.5 / 254.5))


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

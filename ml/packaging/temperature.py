"""Temperature scaling: one number that calibrates a network's probabilities, folded into its last layer.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017. It keeps the ranking of pixels and so the ROC curves; a
threshold changes its meaning and is chosen afterwards.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import nn

from ml.cards import InputConvention, TemperatureScaling
from ml.datasets import Case
from ml.metrics.calibration import LEVELS, calibrate
from ml.metrics.data_set import FOREGROUND_LEVEL
from ml.networks.logits import tumor_logit
from ml.preprocessing import place_labels_on_grid, quantize, to_model_grid

# Logits are counted in bins of 1/64 from -32 to 32; beyond that the 8-bit probability is 0 or 255.
_LIMIT, _STEP = 32.0, 1 / 64
_BOUNDS = (0.2, 5.0)


@dataclass(frozen=True)
class LogitCounts:
    """Histograms of pixels by logit. counts: int64 (2, bins), all pixels and those of the truth; centers: (bins,)."""

    counts: NDArray[np.int64]
    centers: NDArray[np.float64]


def scale_head(network: nn.Module, temperature: float) -> nn.Module:
    """A copy whose logits are those of `network` divided by `temperature`, by its last convolution."""
    scaled = copy.deepcopy(network)
    last = [layer for layer in scaled.get_submodule("segmentation_head").modules() if isinstance(layer, nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight /= temperature
        if last.bias is not None:
            last.bias /= temperature
    return scaled


@torch.inference_mode()
def count_logits(network: nn.Module, convention: InputConvention, cases: Sequence[Case]) -> LogitCounts:
    """Run the network on every case, on the model's grid. Raises DatasetError."""
    bins = round(2 * _LIMIT / _STEP)
    counts = np.zeros((2, bins), dtype=np.int64)
    for case in cases:
        inputs = torch.from_numpy(to_model_grid(case.pixels()[None], convention))
        logits = tumor_logit(network(inputs))[0, 0].numpy()  # (h, w)
        place = np.clip((logits + _LIMIT) / _STEP, 0, bins - 1).astype(np.int64)
        truth = place_labels_on_grid(case.labels(), convention.size) > 0
        counts[0] += np.bincount(place.ravel(), minlength=bins)
        counts[1] += np.bincount(place[truth], minlength=bins)
    return LogitCounts(counts, -_LIMIT + (np.arange(bins, dtype=np.float64) + 0.5) * _STEP)


def fit_temperature(found: LogitCounts) -> float:
    """The temperature with the smallest negative log likelihood over pixels; 1 where they are all of one class."""
    everything, tumor = found.counts
    if not tumor.sum() or tumor.sum() == everything.sum():
        return 1.0

    def negative_log_likelihood(log_temperature: float) -> float:
        scaled = found.centers / np.exp(log_temperature)
        # -log p = softplus(-z), -log (1 - p) = softplus(z)
        return float((tumor * np.logaddexp(0, -scaled) + (everything - tumor) * np.logaddexp(0, scaled)).sum())

    return float(np.exp(minimize_scalar(negative_log_likelihood, bounds=np.log(_BOUNDS), method="bounded").x))


def describe_scaling(
    before: LogitCounts, after: LogitCounts, temperature: float, cases: Sequence[Case], set_name: str
) -> TemperatureScaling:
    """What the card says: the calibration error before and after, on the cases that the temperature was fitted on."""

    def ece(found: LogitCounts, lowest_level: int) -> float | None:
        histogram = np.zeros((2, LEVELS), dtype=np.int64)
        levels = quantize(1 / (1 + np.exp(-found.centers)))
        for row in range(2):
            np.add.at(histogram[row], levels, found.counts[row])
        error = calibrate(histogram, lowest_level).ece
        return None if error is None else round(error, 5)

    return TemperatureScaling(
        temperature=round(temperature, 4),
        ece_before=ece(before, 0),
        ece_after=ece(after, 0),
        ece_foreground_before=ece(before, FOREGROUND_LEVEL),
        ece_foreground_after=ece(after, FOREGROUND_LEVEL),
        patients=len({case.patient for case in cases}),
        set=set_name,
    )

"""Temperature scaling with an offset: calibrates a network's probabilities, folded into its last layer.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017; with an offset it is Platt's scaling (Advances in Large
Margin Classifiers, 1999), which a training needs that drew slices with tumor more often. It keeps the ranking of pixels
and so the ROC curves; a threshold changes its meaning and is chosen afterwards.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import nn

from ml.cards import InputConvention, TemperatureScaling
from ml.datasets import Case
from ml.engines.ensemble import LOGIT_LIMIT
from ml.metrics.calibration import LEVELS, calibrate
from ml.metrics.data_set import FOREGROUND_LEVEL
from ml.networks.logits import tumor_logit
from ml.preprocessing import place_labels_on_grid, quantize, to_model_grid

# Logits are counted in bins of 1/64 from -32 to 32; beyond that the 8-bit probability is 0 or 255.
_LIMIT, _STEP = 32.0, 1 / 64
# Slices of a cross-validation on which a network shows what logits its saturated probabilities have; these differ
# little.
SATURATION_SLICES = 16
# Of 1 / temperature, and of the offset.
_BOUNDS = ((0.2, 5.0), (-6.0, 6.0))


@dataclass(frozen=True)
class LogitCounts:
    """Histograms of pixels by logit. counts: int64 (2, bins), all pixels and those of the truth; centers: (bins,).

    A center of minus infinity is a probability of 0 that no scaling changes.
    """

    counts: NDArray[np.int64]
    centers: NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """Logits z become z / temperature + offset."""

    temperature: float = 1.0
    offset: float = 0.0

    def of(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Float64 of any shape; minus infinity stays as it is."""
        return logits / self.temperature + self.offset

    def round(self) -> "Scaling":
        """With the digits that a card has."""
        return Scaling(round(self.temperature, 4), round(self.offset, 4))


def scale_head(network: nn.Module, scaling: Scaling) -> nn.Module:
    """A copy whose last convolution does the scaling: with one class of its logit, else of every class's.

    The offset is of the logit of tumor: with several classes, the first of which is background, it is added to the
    others.
    """
    scaled = copy.deepcopy(network)
    last = [layer for layer in scaled.get_submodule("segmentation_head").modules() if isinstance(layer, nn.Conv2d)][-1]
    if last.bias is None:
        raise ValueError("The network's last convolution has no bias that an offset could be added to.")
    with torch.no_grad():
        last.weight /= scaling.temperature
        last.bias /= scaling.temperature
        last.bias[min(1, len(last.bias) - 1) :] += scaling.offset
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


def fit_scaling(found: LogitCounts) -> Scaling:
    """The scaling with the smallest negative log likelihood over pixels; none where they are all of one class."""
    fits = np.isfinite(found.centers)
    centers, (everything, tumor) = found.centers[fits], found.counts[:, fits].astype(np.float64)
    total = everything.sum()
    if not tumor.sum() or tumor.sum() == total:
        return Scaling()

    def negative_log_likelihood(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scaled = values[0] * centers + values[1]
        # -log p = softplus(-z), -log (1 - p) = softplus(z); its derivative by z is p less the share of tumor.
        loss = tumor * np.logaddexp(0, -scaled) + (everything - tumor) * np.logaddexp(0, scaled)
        slope = everything / (1 + np.exp(-scaled)) - tumor
        return float(loss.sum() / total), np.array([(slope * centers).sum(), slope.sum()]) / total

    # Convex; the pixels in doubt are few among all, so the default tolerances would stop too early.
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000}
    best = minimize(
        negative_log_likelihood, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=_BOUNDS, options=options
    ).x
    return Scaling(float(1 / best[0]), float(best[1])).round()


def saturated_logits(found: LogitCounts) -> tuple[float, float]:
    """The mean logit of the pixels whose 8-bit probability is 0, and of those with 255, which tell none themselves.

    The end of what 8 bits tell where there is no such pixel.
    """
    levels = quantize(1 / (1 + np.exp(-found.centers)))

    def mean(level: int, fallback: float) -> float:
        weights = found.counts[0] * (levels == level)
        return float((weights * found.centers).sum() / weights.sum()) if weights.sum() else fallback

    return mean(0, -LOGIT_LIMIT), mean(255, LOGIT_LIMIT)


def describe_scaling(
    before: LogitCounts, after: LogitCounts, scaling: Scaling, patients: int, set_name: str
) -> TemperatureScaling:
    """What the card says: the calibration error before and after, on the patients that the scaling was fitted on."""

    def ece(found: LogitCounts, lowest_level: int) -> float | None:
        histogram = np.zeros((2, LEVELS), dtype=np.int64)
        levels = quantize(1 / (1 + np.exp(-found.centers)))
        for row in range(2):
            np.add.at(histogram[row], levels, found.counts[row])
        error = calibrate(histogram, lowest_level).ece
        return None if error is None else round(error, 5)

    return TemperatureScaling(
        temperature=scaling.temperature,
        ece_before=ece(before, 0),
        ece_after=ece(after, 0),
        ece_foreground_before=ece(before, FOREGROUND_LEVEL),
        ece_foreground_after=ece(after, FOREGROUND_LEVEL),
        patients=patients,
        set=set_name,
        offset=scaling.offset,
    )

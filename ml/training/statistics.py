"""Statistics of batch normalization, taken again over slices as they are served.

While training they are a moving average over augmented slices with tumor more often than in the data, of weights that
were not yet the averaged ones (Izmailov et al., 2018, arXiv:1803.05407, section 3.2, for averaged weights).
"""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

SEED_OFFSET = 1_000_003  # of the slices that are drawn for it, so that no epoch has the same draw


def refresh_statistics(network: nn.Module, batches: Iterable[torch.Tensor], frozen: nn.Module | None = None) -> None:
    """Replace running means and variances by those over all batches, each weighted alike, in place.

    batches: float32 (N, C, h, w), one size alone. frozen: a part whose statistics stay.
    """
    kept = set() if frozen is None else set(frozen.modules())
    layers = [part for part in network.modules() if isinstance(part, _BatchNorm) and part not in kept]
    if not layers:
        return
    network.eval()
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over the batches
        layer.train()
    try:
        with torch.inference_mode():
            for inputs in batches:
                network(inputs.to(memory_format=torch.channels_last))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        network.eval()

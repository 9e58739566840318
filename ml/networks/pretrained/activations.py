"""What an encoder's layers put out on brain slices: within half precision, and for VGG brought to a deviation of 1.

VGG16 without batch normalization passes the scale of its input on: activations of the published weights reach 12,000,
and a decoder, an average or half precision (at most 65504) has to cope with that.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ml.networks.checkpoints import CheckpointError
from ml.networks.pretrained.conventions import MEAN, STD
from ml.synthetic.phantom_anatomy import Lesion, draw_slice

# Kept below half precision's largest number by this factor: other scans are brighter.
_LARGEST = 65504 / 4
_DRAWN = 4


def draw_inputs() -> torch.Tensor:
    """Drawn brain slices as a network takes them, float32 (N, 3, 256, 256)."""
    lesion = Lesion(0.27, -0.08, 0.25, 0.3)
    pixels = np.stack([draw_slice(seed, 0, 0.05, lesion if seed % 2 else None)[0] for seed in range(_DRAWN)])
    return prepare_inputs(pixels)


def prepare_inputs(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 (N, h, w, 3) -> float32 (N, 3, h, w), x = (v / 255 - mean) / std of ImageNet."""
    mean, std = (np.array(values, dtype=np.float32) for values in (MEAN, STD))
    inputs = (pixels.astype(np.float32) / 255 - mean) / std
    return torch.from_numpy(np.ascontiguousarray(inputs.transpose(0, 3, 1, 2)))


def rescale_layers(layers: nn.Sequential, inputs: torch.Tensor) -> None:
    """Scale each convolution, in place, so that its output has a standard deviation of 1 on `inputs`.

    layers: convolutions, ReLU and pooling, which all commute with a positive factor: every feature map stays the same
    up to one factor a layer. Raises CheckpointError for other layers, and for a layer that puts out one number only.
    """
    scale = 1.0  # of the layer's input to what it was before
    x = inputs
    with torch.inference_mode():
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                if layer.bias is not None:
                    layer.bias.mul_(scale)
                deviation = float(layer(x).std())
                if not np.isfinite(deviation) or deviation == 0:
                    raise CheckpointError("A layer of the encoder is the same for every input; give sound weights.")
                layer.weight.div_(deviation)
                if layer.bias is not None:
                    layer.bias.div_(deviation)
                scale /= deviation
            elif not isinstance(layer, nn.ReLU | nn.MaxPool2d | nn.AvgPool2d):
                raise CheckpointError(f"A layer of the kind {type(layer).__name__} cannot be rescaled exactly.")
            x = layer(x)


def check_half_precision(encoder: nn.Module, inputs: torch.Tensor) -> float:
    """The largest absolute output of any layer. Raises CheckpointError where half precision could not hold it."""
    largest: dict[str, float] = {}

    def watch(name: str) -> None:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: object) -> None:
            if isinstance(output, torch.Tensor):
                largest[name] = float(output.abs().max())

        handles.append(modules[name].register_forward_hook(hook))

    modules = {name: module for name, module in encoder.named_modules() if not list(module.children())}
    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name in modules:
        watch(name)
    try:
        with torch.inference_mode():
            encoder.eval()(inputs)
    finally:
        for handle in handles:
            handle.remove()
    weights = {name: float(weight.detach().abs().max()) for name, weight in encoder.named_parameters()}
    for name, value in [*largest.items(), *weights.items()]:
        if not value < _LARGEST:  # NaN too
            raise CheckpointError(
                f"{name} of the encoder reaches {value:.0f} on a brain slice, and half precision ends at 65504; give"
                " weights with batch normalization, or of a VGG, which are rescaled."
            )
    return max(largest.values())

"""Batch normalization folded into the convolution before it: the same function with fewer operations.

A VGG16 from random weights needs batch normalization to train; published checkpoints and packages hold the plain one.
At inference y = gamma (conv(x) - mean) / sqrt(var + eps) + beta is itself a convolution, so nothing is lost.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ml.cards import Architecture
from ml.networks.build import load_network

_SUFFIX = "_bn"


def folded_architecture(architecture: Architecture) -> Architecture:
    """The architecture after `fold`: encoder "vgg16_bn" becomes "vgg16"; others stay as they are."""
    if not architecture.encoder.startswith("vgg"):
        return architecture
    return replace(architecture, encoder=architecture.encoder.removesuffix(_SUFFIX))


def fold(network: nn.Module, architecture: Architecture) -> dict[str, torch.Tensor]:
    """Weights of `folded_architecture(architecture)` that compute what `network` computes in evaluation mode."""
    plain = folded_architecture(architecture)
    weights = {key: value.detach().float().cpu() for key, value in network.state_dict().items()}
    if plain == architecture:
        return weights
    trained = load_network(architecture, weights)
    return load_network(plain, _without_normalization(trained.get_submodule("encoder.features"), weights)).state_dict()


def _without_normalization(layers: nn.Module, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights with the encoder's layers renumbered: one without normalization has fewer of them."""
    kept = {key: value for key, value in weights.items() if not key.startswith("encoder.features.")}
    position = 0
    members = list(layers.children())
    for layer, following in zip(members, [*members[1:], None], strict=True):
        if isinstance(layer, nn.BatchNorm2d):
            continue
        if isinstance(layer, nn.Conv2d):
            fused = fuse_conv_bn_eval(layer, following) if isinstance(following, nn.BatchNorm2d) else layer
            kept[f"encoder.features.{position}.weight"] = fused.weight.detach()
            if fused.bias is not None:
                kept[f"encoder.features.{position}.bias"] = fused.bias.detach()
        position += 1
    return kept

"""Networks by their card's architecture, and the weights that fit them. Imports torch."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from torch import nn

from ml.cards import Architecture, PackageError

# The published checkpoints are smp.Unet("vgg16", classes=1): U-Net (Ronneberger et al., 2015, arXiv:1505.04597) on a
# VGG16 encoder (Simonyan and Zisserman, 2015, arXiv:1409.1556).
UNET_VGG16 = Architecture(network="unet", encoder="vgg16", in_channels=3, classes=1)


class CheckpointError(PackageError):
    """A checkpoint cannot be read, or its weights are another network's."""


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint: the weights in single precision, and what it says about its training."""

    weights: Mapping[str, torch.Tensor]
    epoch: int | None
    val_iou: float | None
    val_dice: float | None


def build_network(architecture: Architecture) -> nn.Module:
    """The network with random weights; float32 (N, in_channels, h, w) -> logits (N, classes, h, w), h and w by 32.

    Raises CheckpointError for an architecture that this version does not know.
    """
    if (architecture.network, architecture.encoder) != ("unet", "vgg16"):
        raise CheckpointError(
            f"The network {architecture.network!r} with the encoder {architecture.encoder!r} is unknown; 'unet' with"
            " 'vgg16' is known."
        )
    return smp.Unet(
        "vgg16", encoder_weights=None, in_channels=architecture.in_channels, classes=architecture.classes
    ).eval()


def load_weights(network: nn.Module, weights: Mapping[str, torch.Tensor]) -> nn.Module:
    """Put `weights` into `network`, every one of them and no other. Raises CheckpointError, which names the first."""
    expected = network.state_dict()
    missing = [key for key in expected if key not in weights]
    unknown = [key for key in weights if key not in expected]
    reshaped = [key for key in expected if key in weights and expected[key].shape != weights[key].shape]
    if missing or unknown or reshaped:
        raise CheckpointError(
            "The checkpoint's weights are another network's: of this architecture"
            f" {len(missing)} weights are missing, {len(reshaped)} have another shape and {len(unknown)} are unknown"
            f" (first: {(missing or reshaped or unknown)[0]}); give a checkpoint of the architecture on the card."
        )
    network.load_state_dict(dict(weights), strict=True)
    return network.eval()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read `{"model_state_dict", "epoch", "val_iou", "val_dice"}` without running any code that the file carries.

    Half precision becomes single. Raises CheckpointError.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path.name} cannot be read as a checkpoint of plain tensors ({type(error).__name__}); give the .pth file"
            " as it was published."
        ) from error
    state = content.get("model_state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise CheckpointError(f'{path.name} has no "model_state_dict" of tensors; give a checkpoint that has one.')
    weights = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    broken = next((key for key, value in weights.items() if not torch.isfinite(value).all()), None)
    if broken is not None:
        raise CheckpointError(f"{path.name} has infinite or NaN weights in {broken}; give a sound checkpoint.")
    return Checkpoint(weights, *(_number(content.get(key)) for key in ("epoch", "val_iou", "val_dice")))


def _number(value: object) -> float | int | None:
    return value if isinstance(value, int | float) else None

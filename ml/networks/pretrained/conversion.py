"""A file of published weights made an encoder of ours: matched, rewritten for our input, rescaled, checked."""

import warnings
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from torch import nn

from ml.cards import EncoderSource
from ml.digests import sha256_of
from ml.networks.checkpoints import CheckpointError
from ml.networks.pretrained.activations import check_half_precision, draw_inputs, rescale_layers
from ml.networks.pretrained.conventions import CONVENTIONS, check_convention, rewrite_input
from ml.networks.pretrained.matching import match_tensors
from ml.networks.pretrained.store import PretrainedEncoder
from ml.networks.pretrained.weight_files import is_ordered, read_tensors
from ml.networks.random_values import SkippedRandomValues

# Formats of the frameworks whose published weights take RGB with ImageNet's mean and deviation.
_TORCH_SUFFIXES = {".safetensors", ".pth", ".pt", ".bin"}
_NOT_STATED = "not stated"


def convert_encoder(
    path: Path,
    encoder: str,
    *,
    convention: str | None = None,
    licence: str = _NOT_STATED,
    inputs: torch.Tensor | None = None,
) -> PretrainedEncoder:
    """The weights of `path` for smp's encoder of that name, and their card.

    convention: a name of CONVENTIONS, None to recognize it. inputs: float32 (N, 3, h, w), slices for the scale of the
    layers and the check of half precision; None for drawn ones. Raises CheckpointError.
    """
    with SkippedRandomValues():
        network = build_encoder(encoder)
    tensors = read_tensors(path)
    matched = match_tensors(tensors, network.state_dict(), encoder, is_ordered=is_ordered(path))
    first, shift = _first_layer(network)
    default = "imagenet" if path.suffix.lower() in _TORCH_SUFFIXES else None
    name = check_convention(matched[first], convention, default)
    network.load_state_dict(rewrite_input(matched, first, shift, CONVENTIONS[name]))
    changes = [] if name == "imagenet" else ["first layer rewritten for the input"]
    slices = draw_inputs() if inputs is None else inputs
    layers = getattr(network, "features", None)
    if isinstance(layers, nn.Sequential) and not any(isinstance(part, nn.BatchNorm2d) for part in layers):
        rescale_layers(layers, slices)
        changes.append("each layer scaled to a standard deviation of 1 on brain slices")
    check_half_precision(network, slices)
    card = EncoderSource(
        encoder=encoder,
        source=path.name,
        source_sha256=sha256_of(path),
        licence=licence,
        source_input=CONVENTIONS[name].title,
        input=CONVENTIONS["imagenet"].title,
        changes=tuple(changes),
    )
    return PretrainedEncoder({key: value.clone() for key, value in network.state_dict().items()}, card)


def build_encoder(name: str) -> nn.Module:
    """smp's encoder with random weights, in evaluation mode. Raises CheckpointError for an unknown name."""
    try:
        with warnings.catch_warnings():
            # As in ml.networks.build, which cannot be imported from here.
            warnings.filterwarnings("ignore", message="`timm-` encoders are deprecated", category=DeprecationWarning)
            encoder: nn.Module = smp.encoders.get_encoder(name, weights=None)
    except KeyError as error:
        raise CheckpointError(
            f"The encoder {name!r} is unknown; choose one of segmentation-models-pytorch's, such as 'vgg16' or"
            " 'timm-tf_efficientnet_lite0'."
        ) from error
    return encoder.eval()


def _first_layer(encoder: nn.Module) -> tuple[str, str]:
    """Names of the kernel that sees the image, and of what can take up a constant (see `rewrite_input`)."""
    first = next((n for n, m in encoder.named_modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3), None)
    if first is None:
        raise CheckpointError("The encoder has no convolution of three channels, so its input cannot be rewritten.")
    state = list(encoder.state_dict())
    if f"{first}.bias" in state:
        return f"{first}.weight", f"{first}.bias"
    after = state[state.index(f"{first}.weight") :]
    shift = next((name for name in after if name.endswith("running_mean")), None)
    if shift is None:
        raise CheckpointError("The encoder's first layer has neither a bias nor a batch normalization after it.")
    return f"{first}.weight", shift

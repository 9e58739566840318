"""From an architecture to a network with random (or ImageNet's) weights, or with those of a checkpoint."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from torch import nn

from ml.cards import Architecture
from ml.networks.checkpoints import CheckpointError, load_weights
from ml.networks.plain_unet import PlainUnet
from ml.networks.pretrained import load_encoder
from ml.networks.random_values import SkippedRandomValues

# The published checkpoints are smp.Unet("vgg16", classes=1): U-Net (Ronneberger et al., 2015, arXiv:1505.04597) on a
# VGG16 encoder (Simonyan and Zisserman, 2015, arXiv:1409.1556).
UNET_VGG16 = Architecture(network="unet", encoder="vgg16", in_channels=3, classes=1)

# U-Net++: Zhou et al., 2018, arXiv:1807.10165.
_PRETRAINED: Mapping[str, Callable[..., nn.Module]] = {"unet": smp.Unet, "unetplusplus": smp.UnetPlusPlus}
# Published weights that segmentation-models-pytorch downloads.
IMAGENET = "imagenet"
NETWORKS = (*_PRETRAINED, "scratch")
ENCODERS: tuple[str, ...] = tuple(sorted(smp.encoders.encoders))
# What `Architecture.options` may hold, by network.
_OPTIONS = {
    "unet": {"decoder_attention_type", "decoder_channels"},
    "unetplusplus": {"decoder_attention_type", "decoder_channels"},
    "scratch": {"width"},
}


def build_network(architecture: Architecture, encoder_weights: str | None = None) -> nn.Module:
    """The network in evaluation mode; `encoder_weights`: "imagenet", or a path, where training starts from such ones.

    Raises CheckpointError for an architecture that this version does not know, and where weights that are to be fetched
    cannot be.
    """
    _check(architecture)
    options = dict(architecture.options)
    if architecture.network == "scratch":
        return PlainUnet(architecture.in_channels, architecture.classes, **options).eval()
    build = _PRETRAINED[architecture.network]
    arguments: dict[str, object] = {
        "in_channels": architecture.in_channels,
        "classes": architecture.classes,
        **options,
    }
    if encoder_weights is None:
        return _with_random_weights(build, architecture.encoder, arguments).eval()
    if encoder_weights != IMAGENET:
        return _with_encoder_of_file(build, architecture, Path(encoder_weights), arguments).eval()
    return _with_published_encoder(build, architecture.encoder, encoder_weights, arguments).eval()


def load_network(architecture: Architecture, weights: Mapping[str, torch.Tensor]) -> nn.Module:
    """The network in evaluation mode with `weights`, every one of them; raises CheckpointError where they do not fit.

    No random ones are drawn for them to replace: of a VGG16 that takes a second.
    """
    with SkippedRandomValues():
        network = build_network(architecture)
    return load_weights(network, weights)


def _check(architecture: Architecture) -> None:
    if architecture.network not in NETWORKS:
        raise CheckpointError(f"The network {architecture.network!r} is unknown; choose of {', '.join(NETWORKS)}.")
    if architecture.network in _PRETRAINED and architecture.encoder not in ENCODERS:
        raise CheckpointError(
            f"The encoder {architecture.encoder!r} is unknown; choose one of segmentation-models-pytorch's, such as"
            " 'vgg16' or 'resnet34'."
        )
    unknown = sorted(architecture.options.keys() - _OPTIONS[architecture.network])
    if unknown:
        raise CheckpointError(f"The network {architecture.network!r} has no option {unknown[0]!r}; leave it out.")


def _with_random_weights(build: Callable[..., nn.Module], encoder: str, arguments: dict[str, object]) -> nn.Module:
    with warnings.catch_warnings():
        # The library's names that begin with `timm-` are old; cards and checkpoints have them, and it is pinned.
        warnings.filterwarnings("ignore", message="`timm-` encoders are deprecated", category=DeprecationWarning)
        return build(encoder, encoder_weights=None, **arguments)


def _with_encoder_of_file(
    build: Callable[..., nn.Module], architecture: Architecture, path: Path, arguments: dict[str, object]
) -> nn.Module:
    network = _with_random_weights(build, architecture.encoder, arguments)
    weights = dict(load_encoder(path, architecture.encoder).weights)
    encoder = network.get_submodule("encoder")
    expected = encoder.state_dict()
    for name, value in weights.items():
        if value.ndim == 4 and value.shape[1] == 3 and expected[name].shape[1] == 1:
            # One channel stands in all three: the kernels are added, as segmentation-models-pytorch does.
            weights[name] = value.sum(1, keepdim=True)
        elif value.ndim == 4 and value.shape[1] == 3 and (wanted := expected[name].shape[1]) > 3:
            # A slice between its neighbors, which tell nothing before training.
            beside = (wanted - 3) // 2
            weights[name] = nn.functional.pad(value, (0, 0, 0, 0, beside, beside))
    encoder.load_state_dict(weights)
    return network


def _with_published_encoder(
    build: Callable[..., nn.Module], encoder: str, weights: str, arguments: dict[str, object]
) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the download warns of tokens and symbolic links
            return build(encoder, encoder_weights=weights, **arguments)
    except KeyError as error:
        raise CheckpointError(f"{error.args[0]}; set network.encoder_weights=null to start at random.") from error
    except Exception as error:  # hub, HTTP, socket and proxy libraries each raise their own
        raise CheckpointError(
            f"The weights {weights!r} of the encoder {encoder!r} could not be fetched ({type(error).__name__}): they"
            " are downloaded from the internet once. Connect, or set network.encoder_weights to a folder that"
            " `python -m ml encoder` made of a file of weights, or to null to start at random."
        ) from error

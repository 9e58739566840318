"""What published encoders take for input, rewritten into what ours take: x = (v / 255 - mean) / std, RGB, ImageNet's.

With x' = a_c x_c + b_c the first convolution can take x: its kernel times a per channel, and the constant that b gives
goes into its bias, or into the mean of the batch normalization after it. Exact but for the border, where the zeros of
the padding stand for another color than before.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ml.networks.checkpoints import CheckpointError

# Of ImageNet (Deng et al., 2009), as ml.training.configuration has them.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Convention:
    """x' = (v - mean) / std per channel, v from 0 to 255; the numbers in the order of the file's own channels."""

    title: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    is_bgr: bool = False


CONVENTIONS: Mapping[str, Convention] = {
    "imagenet": Convention(
        "RGB, (v / 255 - mean) / std of ImageNet", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    ),
    "inception": Convention("RGB, v / 127.5 - 1", (127.5,) * 3, (127.5,) * 3),
    # TPU's EfficientNet-Lite (Google, 2020): efficientnet_lite_builder.py, MEAN_RGB 127, STDDEV_RGB 128.
    "lite": Convention("RGB, (v - 127) / 128", (127.0,) * 3, (128.0,) * 3),
    # The Visual Geometry Group's Caffe models, and Keras's copies of them.
    "caffe": Convention("BGR, v - (103.939, 116.779, 123.68)", (103.939, 116.779, 123.68), (1.0,) * 3, is_bgr=True),
    "unit": Convention("RGB, v / 255", (0.0,) * 3, (255.0,) * 3),
}

# The first filter's upper left weight of each channel, in the file's order, tells published weights apart.
_FINGERPRINTS: tuple[tuple[tuple[float, float, float], str], ...] = (
    # VGG16 of the Visual Geometry Group, as Keras publishes it.
    ((0.42947057, 0.55037946, 0.48001540), "caffe"),
    # EfficientNet-Lite0 of Google's TPU repository, as it was ported to PyTorch.
    ((-1.11033607, -2.11620235, -0.38250870), "lite"),
)


def rewrite_input(
    weights: Mapping[str, torch.Tensor], first: str, shift: str, convention: Convention
) -> dict[str, torch.Tensor]:
    """Weights whose first layer takes our input. first: name of its kernel (out, 3, h, w).

    shift: the name of its bias, or of the running mean of the batch normalization that follows a layer without one.
    """
    kernel = weights[first].double()
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in (convention.mean, convention.std))
    if convention.is_bgr:
        kernel, mean, std = kernel.flip(1), mean.flip(0), std.flip(0)
    ours_mean, ours_std = (torch.tensor(values, dtype=torch.float64) for values in (MEAN, STD))
    # v = 255 (std x + mean): x' = (255 ours_std / std) x + (255 ours_mean - mean) / std
    factor = 255 * ours_std / std  # (3,)
    offset = (255 * ours_mean - mean) / std  # (3,)
    constant = (kernel.sum((2, 3)) * offset).sum(1)  # (out,)
    sign = -1 if shift.endswith("running_mean") else 1
    return {
        **weights,
        first: (kernel * factor[:, None, None]).float(),
        shift: (weights[shift].double() + sign * constant).float(),
    }


def check_convention(kernel: torch.Tensor, name: str | None, default: str | None) -> str:
    """The name of the input's convention. kernel: (out, 3, h, w), as the file has it; name: what was asked for.

    Raises CheckpointError where the kernel is known to take another one (BGR given as RGB), and where nothing says it.
    """
    known = identify_kernel(kernel)
    if name is None:
        name = known or default
    if name is None:
        raise CheckpointError(
            f"Nothing says what input these weights take; say it with --input, one of {', '.join(CONVENTIONS)}."
        )
    if name not in CONVENTIONS:
        raise CheckpointError(f"The input {name!r} is unknown; choose of {', '.join(CONVENTIONS)}.")
    if known is not None and known != name:
        raise CheckpointError(
            f"The first kernel is known: it takes {CONVENTIONS[known].title}, not {CONVENTIONS[name].title}; leave out"
            f" --input, or give --input {known}."
        )
    return name


def identify_kernel(kernel: torch.Tensor) -> str | None:
    """The convention of a known first kernel; None for others. Raises CheckpointError for one with swapped channels."""
    corner = kernel[0, :, 0, 0].double()
    for values, name in _FINGERPRINTS:
        wanted = torch.tensor(values, dtype=torch.float64)
        if torch.allclose(corner, wanted, atol=1e-4):
            return name
        if torch.allclose(corner.flip(0), wanted, atol=1e-4):
            raise CheckpointError(
                "The first kernel is a known one with its channels in reverse: somebody has swapped RGB and BGR in this"
                " file; give the weights as they were published."
            )
    return None

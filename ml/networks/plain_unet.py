"""A plain 2-D U-Net of our own: convolution, batch normalization, ReLU, twice a level; no pretrained parts.

Ronneberger et al., 2015 (arXiv:1505.04597), with padding, so that the answer has the input's size, and with batch
normalization (Ioffe and Szegedy, 2015, arXiv:1502.03167), as in the network of the LGG data's authors (Buda et al.,
Computers in Biology and Medicine 109, 2019).
"""

from collections.abc import Sequence

import torch
from torch import nn

DEFAULT_WIDTH = 32
_LEVELS = 5  # five feature maps, each half the size of the one before: sides are divisible by 16


def _double_convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    def convolution(source: int) -> tuple[nn.Module, ...]:
        # No bias: the normalization adds its own.
        return (
            nn.Conv2d(source, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    return nn.Sequential(*convolution(in_channels), *convolution(out_channels))


class Encoder(nn.Module):
    """The contracting path."""

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        sources = (in_channels, *widths[:-1])
        self.blocks = nn.ModuleList(_double_convolution(*pair) for pair in zip(sources, widths, strict=True))
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(N, C, h, w) -> maps (N, widths[k], h / 2^k, w / 2^k)."""
        features = []
        for level, block in enumerate(self.blocks):
            x = block(x if level == 0 else self.pool(x))
            features.append(x)
        return features


class Decoder(nn.Module):
    """The expanding path."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        pairs = [(widths[level], widths[level - 1]) for level in range(len(widths) - 1, 0, -1)]
        self.ups = nn.ModuleList(nn.ConvTranspose2d(deep, wide, kernel_size=2, stride=2) for deep, wide in pairs)
        self.blocks = nn.ModuleList(_double_convolution(2 * wide, wide) for _, wide in pairs)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Maps of the encoder -> (N, widths[0], h, w)."""
        x = features[-1]
        for up, block, skipped in zip(self.ups, self.blocks, reversed(features[:-1]), strict=True):
            x = block(torch.cat([up(x), skipped], dim=1))
        return x


class PlainUnet(nn.Module):
    """float32 (N, in_channels, h, w) -> logits (N, classes, h, w)."""

    def __init__(self, in_channels: int = 3, classes: int = 1, width: int = DEFAULT_WIDTH) -> None:
        """`width`: channels of the first level; each level has twice as many."""
        super().__init__()
        widths = [width * 2**level for level in range(_LEVELS)]
        self.encoder = Encoder(in_channels, widths)
        self.decoder = Decoder(widths)
        self.segmentation_head = nn.Conv2d(width, classes, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.segmentation_head(self.decoder(self.encoder(x)))
        return logits

"""A network as it is served: the logit of tumor, and beside it the features that the input check looks at."""

import torch
from torch import nn

from ml.networks.logits import tumor_logit

# Of the encoder's maps, from the finest: on the first model these separated brains from drawn images as well as all
# of its maps did, or better, with a fifth of the features (docs/models.md).
_MAPS = 3
_PARTS = ("encoder", "decoder", "segmentation_head")


class ExportedNetwork(nn.Module):
    """Wraps a network of `build_network`; the encoder runs once for both answers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """float32 (N, C, h, w) -> logit of tumor (N, 1, h, w), and features (N, D).

        Features: the mean over height and width of every channel of the encoder's three finest maps.
        """
        encoder, decoder, head = (self.network.get_submodule(part) for part in _PARTS)
        maps = encoder(x)
        logits = head(decoder(maps))
        return tumor_logit(logits), pool_features(maps, x)


def pool_features(maps: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Maps of an encoder, (N, C_k, h_k, w_k) each -> (N, sum of C_k). One that is the input `x` itself is left out."""
    made = [stage for stage in maps if stage is not x]
    return torch.cat([stage.mean(dim=(2, 3)) for stage in made[:_MAPS]], dim=1)

"""Networks by their card's architecture, and the weights that fit them. Imports torch.

`build` makes a network, `plain_unet` is a U-Net of our own, `checkpoints` reads published weights, `folding` turns the
VGG16 that is trained (with batch normalization) into the plain one that is published.

Every network has `encoder(x) -> list of feature maps`, `decoder(feature maps)` and `segmentation_head(x)`, and takes
float32 (N, in_channels, h, w), h and w by 32, to logits (N, classes, h, w).
"""

from ml.networks.build import ENCODERS, UNET_VGG16, build_network, load_network
from ml.networks.checkpoints import Checkpoint, CheckpointError, load_weights, read_checkpoint

__all__ = [
    "ENCODERS",
    "UNET_VGG16",
    "Checkpoint",
    "CheckpointError",
    "build_network",
    "load_network",
    "load_weights",
    "read_checkpoint",
]

"""Pretrained encoders from files, so that training from ImageNet's weights needs no internet. Imports torch.

`weight_files` reads tensors from a file (`keras_files` from Keras's), `matching` finds the encoder's among them,
`conventions` rewrites the first layer for our input, `activations` checks (and for VGG rescales) what the layers put
out, `conversion` does all of it, `store` keeps the result with its card.
"""

from ml.networks.pretrained.conversion import convert_encoder
from ml.networks.pretrained.store import PretrainedEncoder, load_encoder, write_encoder

__all__ = ["PretrainedEncoder", "convert_encoder", "load_encoder", "write_encoder"]

"""Which of a file's tensors are an encoder's: by name where the names agree, else in order, every shape checked.

In order only where the file keeps the network's: safetensors are sorted by name, where layers of one shape could change
places unseen.
"""

from collections.abc import Mapping

import torch

from ml.networks.checkpoints import CheckpointError

# Counts the batches that statistics were taken from; no part of what the network computes.
_COUNTER = "num_batches_tracked"
_MISMATCH = "give the weights of this encoder, or name the one that they belong to with --encoder"


def match_tensors(
    tensors: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], encoder: str, *, is_ordered: bool
) -> dict[str, torch.Tensor]:
    """The encoder's weights under its own names. expected: its state_dict, of which names and shapes count.

    is_ordered: whether `tensors` are in the network's order. What the file has besides (a classifier) is left out.
    Raises CheckpointError, which names the first tensor that is missing or has another shape.
    """
    wanted = {name: value for name, value in expected.items() if not name.endswith(_COUNTER)}
    available = {name: value for name, value in tensors.items() if not name.endswith(_COUNTER)}
    shared = wanted.keys() & available.keys()
    # Half of the names and more: an encoder with these names that lacks layers is told by the layer that is missing.
    has_names = 2 * len(shared) > len(wanted)
    if not has_names and not is_ordered:
        raise CheckpointError(
            f"The weights are sorted by name, and of the {len(wanted)} names of {encoder} they have {len(shared)}, so"
            f" nothing says which layer is which; {_MISMATCH}, or save them as .pth in the network's order."
        )
    match = _by_name if has_names else _in_order
    found = match(available, wanted, encoder)
    counters = {name: torch.zeros_like(value) for name, value in expected.items() if name.endswith(_COUNTER)}
    return {**found, **counters}


def _by_name(
    available: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], encoder: str
) -> dict[str, torch.Tensor]:
    for name, value in wanted.items():
        if name not in available:
            raise CheckpointError(f"The weights lack {name} of {encoder}; {_MISMATCH}.")
        _check_shape(name, name, available[name], value, encoder)
    return {name: available[name] for name in wanted}


def _in_order(
    available: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], encoder: str
) -> dict[str, torch.Tensor]:
    """Names of another library: the n-th tensor of the file is the n-th of the encoder."""
    if len(available) < len(wanted):
        missing = list(wanted)[len(available)]
        raise CheckpointError(
            f"The weights have {len(available)} tensors and {encoder} has {len(wanted)} (the first that is missing:"
            f" {missing}); {_MISMATCH}."
        )
    found = {}
    for (name, value), (source, tensor) in zip(wanted.items(), available.items(), strict=False):
        _check_shape(name, source, tensor, value, encoder)
        # A weight for a bias of the same length would fit by its shape alone.
        if name.rpartition(".")[2] != source.rpartition(".")[2]:
            raise CheckpointError(f"The weights have {source} where {encoder} has {name}; {_MISMATCH}.")
        found[name] = tensor
    return found


def _check_shape(name: str, source: str, tensor: torch.Tensor, expected: torch.Tensor, encoder: str) -> None:
    if tensor.shape != expected.shape:
        raise CheckpointError(
            f"{name} of {encoder} has the shape {tuple(expected.shape)}, and {source} of the weights"
            f" {tuple(tensor.shape)}; {_MISMATCH}."
        )

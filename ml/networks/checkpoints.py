"""Checkpoints as they are published, and weights that fit a network or are refused."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ml.atomic_files import fresh_file
from ml.cards import PackageError

# Where a training framework keeps the weights inside what it saves: the published form, Lightning.
_STATE_KEYS = ("model_state_dict", "state_dict")
# What wrappers put before every name: DataParallel, torch.compile, Lightning modules.
WRAPPERS = ("module.", "_orig_mod.", "model.", "network.")


class CheckpointError(PackageError):
    """A checkpoint cannot be read, or its weights are another network's."""


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint: the weights in single precision, and what it says about its training.

    architecture: as on a card; configuration: the whole training's; data: digest, patients and seed. All three only
    where `python -m ml train` wrote it.
    """

    weights: Mapping[str, torch.Tensor]
    epoch: int | None
    val_iou: float | None
    val_dice: float | None
    architecture: Mapping[str, Any] | None = None
    configuration: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None


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

    Lightning's `state_dict` is read, too, and names with the prefixes of wrappers. Half precision becomes single.
    Raises CheckpointError.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path.name} cannot be read as a checkpoint of plain tensors ({type(error).__name__}); give the .pth file"
            " as it was published."
        ) from error
    content = content if isinstance(content, dict) else {}
    state = next((content[key] for key in _STATE_KEYS if key in content), None)
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise CheckpointError(f'{path.name} has no "model_state_dict" of tensors; give a checkpoint that has one.')
    named = strip_wrappers(state)
    weights = {key: value.float() if value.is_floating_point() else value for key, value in named.items()}
    broken = next((key for key, value in weights.items() if not torch.isfinite(value).all()), None)
    if broken is not None:
        raise CheckpointError(f"{path.name} has infinite or NaN weights in {broken}; give a sound checkpoint.")
    epoch = _number(content.get("epoch"))
    return Checkpoint(
        weights,
        epoch=None if epoch is None else int(epoch),
        val_iou=_number(content.get("val_iou")),
        val_dice=_number(content.get("val_dice")),
        architecture=_mapping(content.get("architecture")),
        configuration=_mapping(content.get("configuration")),
        data=_mapping(content.get("data")),
    )


def strip_wrappers(tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """The tensors with their names less the prefixes that all of them share."""
    shared = next((prefix for prefix in WRAPPERS if tensors and all(name.startswith(prefix) for name in tensors)), None)
    if shared is None:
        return tensors
    return strip_wrappers({name.removeprefix(shared): value for name, value in tensors.items()})


def write_checkpoint(
    path: Path,
    weights: Mapping[str, torch.Tensor],
    figures: Mapping[str, float | None],
    facts: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the published form in half precision, whole or not at all. figures: epoch, val_iou, val_dice.

    facts: `architecture`, `configuration` and `data` of Checkpoint, plain values alone. Raises OSError, and
    CheckpointError where a weight is no number of half precision: such a file could not be read again.
    """
    state = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    broken = next((key for key, value in state.items() if not torch.isfinite(value).all()), None)
    if broken is not None:
        raise CheckpointError(f"{broken} has weights that are NaN or beyond 65504, the largest half-precision number.")
    # A file, not a path: torch writes the path's name into the archive.
    with fresh_file(path) as partial, partial.open("wb") as file:
        torch.save({"model_state_dict": state, **figures, **facts}, file)


def _number(value: object) -> float | int | None:
    return value if isinstance(value, int | float) else None


def _mapping(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, dict) else None

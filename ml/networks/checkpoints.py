"""Checkpoints as they are published, and weights that fit a network or are refused."""

import _codecs
import logging
import math
import numbers
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ml.atomic_files import fresh_file
from ml.cards import PackageError

# Where a training framework keeps the weights inside what it saves: the published form, Lightning, many scripts.
_STATE_KEYS = ("model_state_dict", "state_dict", "model")
# What modules of modules put before every name: Lightning's, mostly.
WRAPPERS = ("model.", "network.", "net.")
# What DataParallel (or AveragedModel) and torch.compile put into names, also in their middle where only a part of the
# network was wrapped; and AveragedModel's own count.
_WRAPPED = ("module", "_orig_mod")
_COUNT = "n_averaged"
# What Lightning's WeightAveraging keeps beside the averages, which are in "state_dict": the weights before averaging.
_BEFORE_AVERAGING = "current_model_state"
# What stands before the names of a whole network's weights; such words say nothing about the network itself.
_HOLDERS = (*_WRAPPED, *(prefix.removesuffix(".") for prefix in WRAPPERS), "ema", "ema_model", "model_ema")
# Of a network's weights those that no optimizer changes; lists of averages leave them out.
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")

# NumPy's numbers beside the weights, a Dice of sklearn's for one: under their names of NumPy 2 and of NumPy 1.
_SCALAR = np._core.multiarray.scalar  # type: ignore[attr-defined]  # no public name makes one from a pickle
_NUMBERS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    np.dtype,
    *(kind for kind in vars(np.dtypes).values() if isinstance(kind, type) and kind is not np.dtypes.ObjectDType),
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    _codecs.encode,
]
_UNSAFE = re.compile(r"GLOBAL ([\w.]+)")

logger = logging.getLogger(__name__)


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
    """Put `weights` into `network`, every one of them and no other. Raises CheckpointError, which names the first.

    Of a module that holds the whole network beside other things (a Lightning module: a loss's weights, the input's mean
    and deviation) the network's are taken, and the log names the others.
    """
    expected = network.state_dict()
    weights = _part_of_module(weights, expected)
    missing = [key for key in expected if key not in weights]
    unknown = [key for key in weights if key not in expected]
    reshaped = [key for key in expected if key in weights and expected[key].shape != weights[key].shape]
    if missing or unknown or reshaped:
        raise CheckpointError(
            "The checkpoint's weights are another network's: of this architecture"
            f" {len(missing)} weights are missing, {len(reshaped)} have another shape and {len(unknown)} are unknown"
            f" (first: {(missing or reshaped or unknown)[0]}); give a checkpoint of the architecture on the card, or"
            " state the checkpoint's own with --card FACTS.yaml, as architecture: {network: unet, encoder: resnet34}"
            " (docs/models.md)."
        )
    network.load_state_dict(dict(weights), strict=True)
    return network.eval()


def _part_of_module(
    weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> Mapping[str, torch.Tensor]:
    """The weights below the one prefix that holds exactly the expected ones; all of them where there is none.

    Raises CheckpointError where several hold them: a student and its teacher, say.
    """
    first = next(iter(expected))
    prefixes = [key.removesuffix(first) for key in weights if key.endswith(f".{first}")]
    parts = {
        prefix: {key.removeprefix(prefix): weights[key] for key in weights if key.startswith(prefix)}
        for prefix in prefixes
    }
    whole = {
        prefix: part
        for prefix, part in parts.items()
        if part.keys() == expected.keys() and all(part[key].shape == expected[key].shape for key in expected)
    }
    if len(whole) > 1:
        raise CheckpointError(
            f"The checkpoint holds {len(whole)} networks of this architecture ({', '.join(sorted(whole))}); save the"
            " weights of the one that is meant: torch.save(model.state_dict(), FILE)."
        )
    for prefix, part in whole.items():
        others = sorted(key for key in weights if not key.startswith(prefix))
        if others:
            logger.warning(
                "Of the checkpoint the %d weights of %s are taken; left out: %s%s.",
                len(part),
                prefix.removesuffix("."),
                ", ".join(others[:5]),
                f" and {len(others) - 5} more" if len(others) > 5 else "",
            )
        return part
    return weights


def read_checkpoint(path: Path) -> Checkpoint:
    """Read `{"model_state_dict", "epoch", "val_iou", "val_dice"}` without running any code that the file carries.

    Lightning's `state_dict` is read, too, and names with the prefixes of wrappers. Half precision becomes single.
    Raises CheckpointError, also where the file holds the network's weights twice: a moving average beside them, say.
    """
    content = load_plain(path)
    content = content if isinstance(content, dict) else {}
    taken = next((key for key in _STATE_KEYS if key in content), None)
    state = content if taken is None else content[taken]
    if not isinstance(state, dict) or not state:
        raise CheckpointError(f'{path.name} has no "model_state_dict" of tensors; give a checkpoint that has one.')
    other = next((pair for pair in state.items() if not _is_weight(*pair)), None)
    if other is not None:
        raise CheckpointError(
            f'{path.name} has no "model_state_dict" of tensors: {str(other[0])[:80]!r} is {type(other[1]).__name__};'
            " give a checkpoint that has one."
        )
    copy = None if taken is None else _find_copy({key: content[key] for key in content if key != taken}, state)
    if copy is not None:
        raise CheckpointError(
            f"{path.name} holds the network's weights twice, as {taken} and as {copy}, and does not say which are"
            " meant: a moving average or the best epoch may be beside the last one; save the weights of one alone:"
            " torch.save(model.state_dict(), FILE)."
        )
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


def load_plain(path: Path) -> object:
    """What `torch.save` wrote: tensors, plain values and NumPy's numbers. No code of the file is run.

    Raises CheckpointError, which names what else the file holds.
    """
    try:
        # torch warns of an old pickle protocol before it refuses the file; the error below says more.
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        found = _UNSAFE.search(str(error))
        if found is None and "TorchScript" in str(error):
            raise CheckpointError(
                f"{path.name} is a TorchScript archive, which holds code, and code of a file is never run; save its"
                " weights alone where it comes from: torch.save(torch.jit.load(FILE).state_dict(), NEW)."
            ) from error
        if found is None:
            reason = type(error).__name__
            raise CheckpointError(
                f"{path.name} cannot be read as a checkpoint of plain tensors ({reason}): it is damaged, or holds code,"
                " which is never run; give the .pth file as it was published."
            ) from error
        raise CheckpointError(
            f"{path.name} holds more than tensors and numbers: a {found[1]}, and code of a file is never run; save its"
            " weights alone where they come from: torch.save(model.state_dict(), FILE)."
        ) from error


def strip_wrappers(tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """The tensors with their names less what wrappers put into them, and less the prefixes that all of them share."""
    named = {
        ".".join(part for part in name.split(".") if part not in _WRAPPED): value
        for name, value in tensors.items()
        if name.rpartition(".")[2] != _COUNT
    }
    return _strip_shared(named)


def _find_copy(content: Mapping[Any, object], state: Mapping[str, torch.Tensor]) -> str | None:
    """Where else in a checkpoint the network of `state` is, with other numbers: keys, joined by points. None: nowhere.

    Known by the names of its weights, or, in a list, by their shapes in their order (averages of torch-ema, diffusers).
    """
    names = _bare(state)
    trained = [value.shape for name, value in names.items() if not name.endswith(_STATISTICS)]
    for key, value in content.items():
        if key == _BEFORE_AVERAGING:
            continue
        if isinstance(value, list | tuple) and all(isinstance(item, torch.Tensor) for item in value):
            if len(value) > 1 and [item.shape for item in value] == trained:
                return str(key)
        elif isinstance(value, Mapping):
            if _is_copy(names, _bare({name: item for name, item in value.items() if _is_weight(name, item)})):
                return str(key)
            deeper = _find_copy(value, state)
            if deeper is not None:
                return f"{key}.{deeper}"
    return None


def _is_copy(names: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Whether `other` has most of these weights, and not the same numbers: state may hold a loss's weights, too."""
    shared = names.keys() & other.keys()
    return 2 * len(shared) > len(names) and not all(torch.equal(names[key], other[key]) for key in shared)


def _bare(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors with their names as the network itself calls them."""
    bare = {}
    for name, value in tensors.items():
        parts = [part for part in name.split(".") if part not in _WRAPPED]
        while len(parts) > 1 and parts[0] in _HOLDERS:
            parts = parts[1:]
        bare[".".join(parts)] = value
    return bare


def in_half_precision(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights in half precision, but single where one of a tensor is beyond 65504: a running variance may grow so.

    Raises CheckpointError where a weight is NaN or infinite: such a file could not be read again.
    """
    broken = next((key for key, value in weights.items() if not torch.isfinite(value).all()), None)
    if broken is not None:
        raise CheckpointError(f"{broken} has weights that are NaN or infinite.")
    halves = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    return {key: half if torch.isfinite(half).all() else weights[key].float() for key, half in halves.items()}


def _strip_shared(tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    shared = next((prefix for prefix in WRAPPERS if tensors and all(name.startswith(prefix) for name in tensors)), None)
    if shared is None:
        return tensors
    return _strip_shared({name.removeprefix(shared): value for name, value in tensors.items()})


def write_checkpoint(
    path: Path,
    weights: Mapping[str, torch.Tensor],
    figures: Mapping[str, float | None],
    facts: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the published form in half precision, whole or not at all. figures: epoch, val_iou, val_dice.

    facts: `architecture`, `configuration` and `data` of Checkpoint, plain values alone. Raises OSError, and
    CheckpointError as `in_half_precision`.
    """
    state = in_half_precision(weights)
    # A file, not a path: torch writes the path's name into the archive.
    with fresh_file(path) as partial, partial.open("wb") as file:
        torch.save({"model_state_dict": state, **figures, **facts}, file)


def _number(value: object) -> float | None:
    """A finite number, also NumPy's or a tensor's; None for anything else."""
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    return float(value) if isinstance(value, numbers.Real) and math.isfinite(value) else None


def _is_weight(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, torch.Tensor)


def _mapping(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, dict) else None

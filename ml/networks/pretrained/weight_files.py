"""Tensors from a file of weights: safetensors, PyTorch's .pth, ONNX, Keras's .h5. No code of a file is run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ml.networks.checkpoints import CheckpointError, load_plain, strip_wrappers
from ml.networks.pretrained.keras_files import read_keras

if TYPE_CHECKING:
    from openvino import Node

# Where a training framework keeps the weights inside what it saves.
_STATE_KEYS = ("state_dict", "model_state_dict", "model")
# Where a whole segmentation network has its encoder.
_ENCODERS = ("encoder.", "backbone.")

Tensors = Mapping[str, torch.Tensor]


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a file, floating ones in single precision, in the network's order where `is_ordered`.

    Raises CheckpointError for a format that is not known, and where the file is damaged or holds more than tensors.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        known = ", ".join(sorted(_READERS))
        raise CheckpointError(f"{path.name} is of no known format of weights; give one of {known}.")
    if not path.is_file():
        raise CheckpointError(f"There is no file {path}; give the file of an encoder's weights.")
    tensors = {
        name: value.float() if value.is_floating_point() else value for name, value in _find_encoder(read(path)).items()
    }
    if not tensors:
        raise CheckpointError(f"{path.name} holds no weights; give the file of an encoder's weights.")
    broken = next((name for name, value in tensors.items() if not torch.isfinite(value).all()), None)
    if broken is not None:
        raise CheckpointError(f"{path.name} has infinite or NaN weights in {broken}; give a sound file.")
    return tensors


def is_ordered(path: Path) -> bool:
    """Whether a file of this kind keeps the network's order; safetensors are sorted by name."""
    return path.suffix.lower() != ".safetensors"


def _read_safetensors(path: Path) -> Tensors:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path.name} cannot be read as safetensors ({error}); fetch it again.") from error


def _read_torch(path: Path) -> Tensors:
    state = _find_state(load_plain(path))
    if state is None:
        raise CheckpointError(f"{path.name} has no state_dict of tensors; save the encoder's state_dict.")
    return state


def _find_state(content: object) -> Tensors | None:
    """The mapping of names to tensors in what `torch.load` returned."""
    if not isinstance(content, Mapping):
        return None
    inner = (content[key] for key in _STATE_KEYS if isinstance(content.get(key), Mapping))
    state: Mapping[object, object] = next(inner, content)
    tensors = {str(name): value for name, value in state.items() if isinstance(value, torch.Tensor)}
    return tensors or None


def _read_onnx(path: Path) -> Tensors:
    """Kernels and biases of the convolutions, in the graph's order, as `conv0.weight`, `conv0.bias`, ..."""
    import openvino

    try:
        model = openvino.Core().read_model(path)
        operations = model.get_ordered_ops()
    except RuntimeError as error:
        raise CheckpointError(f"{path.name} cannot be read as ONNX ({_first_line(error)}); fetch it again.") from error
    tensors: dict[str, torch.Tensor] = {}
    convolutions = [node for node in operations if node.get_type_name() == "Convolution"]
    for index, node in enumerate(convolutions):
        kernel = _constant_of(node.input(1).get_source_output().get_node())
        if kernel is None:
            raise CheckpointError(f"{path.name}: the kernel of {node.get_friendly_name()} is no constant.")
        tensors[f"conv{index}.weight"] = kernel  # (out, in, h, w)
        bias = _bias_after(node)
        if bias is not None:
            tensors[f"conv{index}.bias"] = bias.flatten()  # (out,)
    return tensors


def _bias_after(convolution: "Node") -> torch.Tensor | None:
    """What a following addition adds to each channel; None without one."""
    for target in convolution.output(0).get_target_inputs():
        node = target.get_node()
        if node.get_type_name() == "Add":
            constants = [_constant_of(port.get_source_output().get_node()) for port in node.inputs()]
            return next((constant for constant in constants if constant is not None), None)
    return None


def _constant_of(node: "Node") -> torch.Tensor | None:
    """The numbers of a constant, also behind a conversion or a reshape; None where the node computes something."""
    while node.get_type_name() in {"Convert", "Reshape", "Unsqueeze", "Squeeze"}:
        node = node.input(0).get_source_output().get_node()
    if node.get_type_name() != "Constant":
        return None
    return torch.from_numpy(np.array(node.data, dtype=np.float32))


def _find_encoder(tensors: Tensors) -> Tensors:
    """Names without the prefixes of wrappers, and of a whole network those of its encoder alone, without its prefix."""
    named = strip_wrappers(tensors)
    for prefix in _ENCODERS:
        inside = {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
        if inside:
            return _find_encoder(inside)
    return named


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]


_READERS: Mapping[str, Callable[[Path], Tensors]] = {
    ".safetensors": _read_safetensors,
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".bin": _read_torch,
    ".onnx": _read_onnx,
    ".h5": read_keras,
}

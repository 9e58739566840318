"""Kernels and biases of convolutions from Keras's .h5 files, in the network's order.

HDF5 knows links to other files, data that lie outside the file, and filters that are loaded from libraries: a file with
any of them is refused.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ml.networks.checkpoints import CheckpointError

if TYPE_CHECKING:
    import h5py

# The names of Keras, and of Keras 1, which wrote the published files. What is called otherwise belongs to layers that a
# VGG does not have.
_PARTS = {"kernel": "weight", "W": "weight", "W_1": "weight", "bias": "bias", "b": "bias", "b_1": "bias"}
# HDF5's own filters: deflate, shuffle, Fletcher's sum (H5Zpublic.h).
_FILTERS = {1, 2, 3}
# Of one kernel, since a declared shape costs a file nothing: the largest of a VGG has 2.4 million.
_MOST_VALUES = 2**26


def read_keras(path: Path) -> dict[str, torch.Tensor]:
    """From `save_weights` or a whole model: `block1_conv1.weight` (out, in, h, w), `block1_conv1.bias` (out,), ...

    Dense layers, which a classifier has, are left out. Raises CheckpointError.
    """
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            root = _find(file, "model_weights", h5py.Group) if "model_weights" in file else file
            return {name: _read(dataset, name) for name, dataset in _list_convolutions(root)}
    # Whatever h5py makes of a damaged structure and of its texts.
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError) as error:
        raise CheckpointError(
            f"{path.name} cannot be read as HDF5 ({type(error).__name__}): it is cut or damaged; fetch it again."
        ) from error


def _list_convolutions(root: "h5py.Group") -> Iterator[tuple[str, "h5py.Dataset"]]:
    """Layer by layer in the network's order, which Keras keeps in attributes."""
    import h5py

    for layer in _names(root, "layer_names"):
        group = _find(root, layer, h5py.Group)
        found = {_key(layer, name): _find(group, name, h5py.Dataset) for name in _names(group, "weight_names")}
        dense = {name.rpartition(".")[0] for name, dataset in found.items() if dataset.ndim == 2}
        yield from ((name, dataset) for name, dataset in found.items() if name.rpartition(".")[0] not in dense)


def _key(layer: str, name: str) -> str:
    """`block1_conv1/kernel:0` or `block1_conv1_W_1:0` of the layer block1_conv1 -> `block1_conv1.weight`.

    A nested model is one layer; whose weights they are is said by their own names then.
    """
    parent, _, leaf = name.removesuffix(":0").rpartition("/")
    part = _PARTS.get(leaf.removeprefix(f"{layer}_"))
    if part is None:
        raise CheckpointError(
            f"{name} of the weights is neither a kernel nor a bias; of Keras's files only those of a VGG are read: give"
            " others as ONNX or .pth."
        )
    return f"{parent.rpartition('/')[2] or layer}.{part}"


def _names(group: "h5py.Group", attribute: str) -> list[str]:
    if attribute not in group.attrs:
        raise CheckpointError(
            f"{group.name} of the .h5 file has no {attribute}, which says the order of the layers; save the weights by"
            " Keras's save_weights in the HDF5 format, or give them as ONNX."
        )
    values = np.asarray(group.attrs[attribute]).ravel().tolist()
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _find(group: "h5py.Group", path: str, kind: type) -> Any:
    """The h5py.Group or h5py.Dataset at `a/b/c` below the group, in this very file. Raises CheckpointError."""
    import h5py

    found: Any = group
    for name in path.split("/"):
        link = found.get(name, getlink=True) if isinstance(found, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            raise CheckpointError(
                f"{path} of the .h5 file is missing, or a link, which is not followed; save all weights into one file."
            )
        found = found[name]
    if not isinstance(found, kind):
        raise CheckpointError(f"{path} of the .h5 file is no {kind.__name__.lower()}; give a file as Keras writes it.")
    return found


def _read(dataset: "h5py.Dataset", name: str) -> torch.Tensor:
    """One kernel (h, w, in, out) -> (out, in, h, w), or one bias (out,). Raises CheckpointError."""
    creation = dataset.id.get_create_plist()
    filters = {creation.get_filter(index)[0] for index in range(creation.get_nfilters())}
    if dataset.external or dataset.is_virtual or not filters <= _FILTERS:
        raise CheckpointError(
            f"The numbers of {name} lie outside the .h5 file or need a filter from a library, which is not followed;"
            " save all weights into one file."
        )
    if dataset.dtype.kind != "f" or prod(dataset.shape) > _MOST_VALUES:
        raise CheckpointError(
            f"{name} of the .h5 file has {dataset.shape} values of {dataset.dtype}; a layer has floating-point numbers,"
            f" {_MOST_VALUES} at most."
        )
    values = np.asarray(dataset[()], dtype=np.float32)
    return torch.from_numpy(np.ascontiguousarray(values.transpose(3, 2, 0, 1) if values.ndim == 4 else values))

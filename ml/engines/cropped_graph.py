"""The graph of a U-Net for a crop of the slice: its fine levels see the crop, its coarse levels the whole slice.

Zero padding encodes the distance to the border, mostly at coarse levels; these are cheap, so they see the whole slice.
At 1/16 of the grid the crop's feature maps are pasted into those of a black slice, and cut out again before the decoder
returns to finer levels. Never imports torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as operations

from ml.engines.crops import STRIDE, Crop


@dataclass(frozen=True)
class Border:
    """Where a graph for the whole grid passes from fine to coarse levels and back, by OpenVINO's friendly names.

    entries: nodes whose output is the first coarse map (1/16 of the grid).
    exits: pairs of a node with a coarse output and the node that upsamples it.
    """

    entries: tuple[str, ...]
    exits: tuple[tuple[str, str], ...]


def find_border(model: ov.Model, grid: tuple[int, int]) -> Border:
    """The border of a graph of static shapes (1, C, h, w) for a whole grid (height, width)."""
    coarse = (grid[0] // STRIDE, grid[1] // STRIDE)
    entries: list[str] = []
    exits: list[tuple[str, str]] = []
    for node in model.get_ordered_ops():
        size = _size_of(node)
        if size is None:
            continue
        # Only a concatenation has several maps as inputs; the second input of a convolution is its weights.
        for value in node.input_values() if node.get_type_name() == "Concat" else node.input_values()[:1]:
            before = _size_of(value.get_node())
            if before is None or before == size:
                continue
            if size == coarse and before[0] > coarse[0]:
                entries.append(node.get_friendly_name())
            if before == coarse and size[0] > coarse[0]:
                exits.append((value.get_node().get_friendly_name(), node.get_friendly_name()))
    return Border(tuple(dict.fromkeys(entries)), tuple(dict.fromkeys(exits)))


def outputs_at(model: ov.Model, border: Border) -> list[ov.Output]:
    """The outputs of the border's entries, in the order of `border.entries`."""
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    return [nodes[name].output(0) for name in border.entries]


def crop_graph(
    model: ov.Model, border: Border, size: tuple[int, int], black: Sequence[NDArray[np.float32]]
) -> ov.Model:
    """A copy of `model` for crops of `size` (height, width), both multiples of STRIDE.

    black: the maps of the border's entries for a black slice, float32 (1, C, h / 16, w / 16). The graph has two more
    inputs, the indices that `places` computes.
    """
    model = model.clone()
    coarse = black[0].shape[2:]
    rows, columns = size[0] // STRIDE, size[1] // STRIDE
    paste = operations.parameter([coarse[0] * coarse[1]], np.int32)
    cut = operations.parameter([rows * columns], np.int32)
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    for name, surroundings in zip(border.entries, black, strict=True):
        made = nodes[name].output(0)
        readers = list(made.get_target_inputs())
        channels = surroundings.shape[1]
        flat = operations.reshape(made, np.array([1, channels, -1]), special_zero=False)  # (1, C, rows * columns)
        around = operations.constant(surroundings.reshape(1, channels, -1).astype(np.float32))
        both = operations.concat([flat, around], axis=2)  # (1, C, rows * columns + h / 16 * w / 16)
        whole = operations.gather(both, paste, operations.constant(np.int64(2)))  # (1, C, h / 16 * w / 16)
        pasted = operations.reshape(whole, np.array([1, channels, *coarse]), special_zero=False)
        replacement = _quantized_as(nodes[name], pasted)
        for reader in readers:
            reader.replace_source_output(replacement.output(0))
    for maker, reader in border.exits:
        made = nodes[maker].output(0)
        channels = made.get_shape()[1]
        flat = operations.reshape(made, np.array([1, channels, -1]), special_zero=False)
        part = operations.gather(flat, cut, operations.constant(np.int64(2)))  # (1, C, rows * columns)
        parted = operations.reshape(part, np.array([1, channels, rows, columns]), special_zero=False)
        for target in made.get_target_inputs():
            if target.get_node().get_friendly_name() == reader:
                target.replace_source_output(parted.output(0))
    model.add_parameters([paste, cut])
    x = model.get_parameters()[0]
    x.set_partial_shape(ov.PartialShape([1, x.get_partial_shape()[1].get_length(), *size]))
    model.validate_nodes_and_infer_types()
    return model


def places(crop: Crop, grid: tuple[int, int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The two index inputs of `crop_graph`, int32, both in row-major order of the coarse grid.

    paste, (h / 16 * w / 16,): for each place of the grid its index in the crop's values followed by the black slice's.
    cut, (rows * columns,): for each place of the crop its index on the grid.
    """
    height, width = grid[0] // STRIDE, grid[1] // STRIDE
    top, left, rows, columns = (value // STRIDE for value in (crop.top, crop.left, crop.height, crop.width))
    whole = np.arange(height * width, dtype=np.int32).reshape(height, width)
    inside = np.s_[top : top + rows, left : left + columns]
    cut = whole[inside].copy()
    paste = whole + rows * columns
    paste[inside] = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    return paste.ravel(), cut.ravel()


def _size_of(node: ov.Node) -> tuple[int, int] | None:
    """Height and width of a node's output (1, C, h, w); None for outputs of another or of an unknown shape."""
    if node.get_output_size() == 0:
        return None
    shape = node.output(0).get_partial_shape()
    if not shape.is_static or len(shape) != 4:
        return None
    return shape[2].get_length(), shape[3].get_length()


def _quantized_as(made: ov.Node, pasted: ov.Node) -> ov.Node:
    """`pasted` behind the quantization of `made`, if any: without it the next layers would compute in float32."""
    source = made
    while source.get_type_name() == "MaxPool":
        source = source.input_value(0).get_node()
    if source.get_type_name() != "FakeQuantize":
        return pasted
    bounds = [source.input_value(index) for index in range(1, 5)]
    return operations.fake_quantize(pasted, *bounds, source.get_attributes()["levels"])

"""Post-training quantization of a network to OpenVINO int8, and the choice of the slices that calibrate it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nncf
import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from openvino import opset13 as operations
from torch import nn

from ml.cards import INT8_GRAPH_FILE, InputConvention
from ml.datasets import Case
from ml.networks.exported_network import ExportedNetwork
from ml.packaging.surroundings import ALONE, Surroundings
from ml.preprocessing import normalize_together, place_on_grid
from ml.synthetic.negatives import COUNT

OUTPUTS = ("logits", "features")


@dataclass(frozen=True)
class Calibration:
    """How a package is quantized: on half slices with tumor, half without, where the data allow it.

    other_images: negatives drawn for the figures of the out-of-distribution check.
    100 slices keep the slow bias correction at a minute or two; 300 with the fast one did worse (see `write_int8`).
    """

    slices: int = 100
    seed: int = 1
    other_images: int = COUNT


def choose_slices(cases: Sequence[Case], calibration: Calibration) -> tuple[Case, ...]:
    """Slices with and without tumor in equal numbers, drawn with the seed; all of a kind that has too few.

    They set the ranges of the activations: without tumor slices a tumor's activations would be clipped.
    """
    order = np.random.default_rng(calibration.seed).permutation(len(cases))
    with_tumor: list[Case] = []
    without: list[Case] = []
    half = -(-calibration.slices // 2)
    for index in order:
        kind = with_tumor if cases[index].labels().any() else without
        if len(kind) < half:
            kind.append(cases[index])
        if len(with_tumor) == len(without) == half:
            break
    return (*with_tumor, *without)[: calibration.slices]


def write_int8(
    network: nn.Module,
    convention: InputConvention,
    cases: Sequence[Case],
    folder: Path,
    surroundings: Surroundings = ALONE,
) -> None:
    """Quantize `network` on the slices of `cases` and write `int8.xml` and `int8.bin` into `folder`.

    Biases are corrected layer by layer, each on the outputs of the quantized layers before it (NNCF's slow way): of the
    settings tried on the first shipped model only this one kept the verdicts of slices close to the threshold (figures
    in docs/models.md). The input shape is fixed at (1, C, h, w): with dynamic shapes OpenVINO 2026.4 returned wrong
    int8 masks without an error. Outputs: the logit of tumor, and the pooled features of the out-of-distribution check.
    surroundings: a network that takes neighbors is calibrated on each slice alone and in its stack.
    """
    shape = [1, len(convention.channels) * convention.slices, *convention.size]
    # Two outputs: logits (1, 1, h, w) and features (1, D).
    model = ov.convert_model(torch.export.export(ExportedNetwork(network).eval(), (torch.zeros(shape),)))
    model.reshape(shape)
    for output, name in zip(model.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    upsample_by_scale(model)
    inputs = [_input_of(way, convention) for way in surroundings.all_ways(cases)]
    quantized = nncf.quantize(
        model,
        nncf.Dataset(inputs),
        subset_size=len(inputs),
        preset=nncf.QuantizationPreset.MIXED,
        fast_bias_correction=False,
        target_device=nncf.TargetDevice.CPU,
    )
    ov.save_model(quantized, folder / INT8_GRAPH_FILE)


def _input_of(way: NDArray[np.uint8], convention: InputConvention) -> NDArray[np.float32]:
    """A slice as the network takes it, alone or between its neighbors, uint8 (S, H, W, 3) -> float32 (1, C, h, w)."""
    grid = place_on_grid(way, convention)  # (S, h, w, C)
    return normalize_together(list(grid) * (convention.slices // len(grid)), convention)[None]


def upsample_by_scale(model: ov.Model) -> None:
    """Replace the fixed output sizes of upsampling ("to 64 x 64") by scales ("twice"), in place.

    The traced graph holds the sizes that it was traced with. With scales it computes the same values and can be
    reshaped to other static sizes, those of the crops to the brain.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Interpolate":
            continue
        source = node.input_value(0)
        before, after = source.get_shape(), node.output(0).get_shape()  # (1, C, h, w)
        facts = node.get_attributes()
        scaled = operations.interpolate(
            source,
            operations.constant(np.array([after[2] / before[2], after[3] / before[3]], dtype=np.float32)),
            mode=facts["mode"],
            shape_calculation_mode="scales",
            pads_begin=[0] * 4,
            pads_end=[0] * 4,
            coordinate_transformation_mode=facts["coordinate_transformation_mode"],
            nearest_mode=facts["nearest_mode"],
            antialias=facts["antialias"],
            cube_coeff=facts["cube_coeff"],
            axes=operations.constant(np.array([2, 3], dtype=np.int64)),
        )
        scaled.set_friendly_name(node.get_friendly_name())
        node.output(0).replace(scaled.output(0))
    model.validate_nodes_and_infer_types()

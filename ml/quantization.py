"""Post-training quantisation of a network to OpenVINO int8, and the choice of the slices that calibrate it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nncf
import numpy as np
import openvino as ov
import torch
from torch import nn

from ml.cards import INT8_GRAPH_FILE, InputConvention
from ml.datasets import Case
from ml.preprocessing import to_model_grid


@dataclass(frozen=True)
class Calibration:
    """How a package is quantised. Half of the slices have tumour, half have none, where the data allow it.

    100 slices keep the slow bias correction at a minute or two; 300 with the fast one did worse (see `write_int8`).
    """

    slices: int = 100
    seed: int = 1


def choose_slices(cases: Sequence[Case], calibration: Calibration) -> tuple[Case, ...]:
    """Tumour and tumour-free slices in equal numbers, drawn with the seed; of the rarer kind all, if there are too few.

    The ranges of activations are taken from these: without tumour slices the tumour's would be cut off.
    """
    order = np.random.default_rng(calibration.seed).permutation(len(cases))
    with_tumor: list[Case] = []
    without: list[Case] = []
    half = -(-calibration.slices // 2)
    for index in order:
        kind = with_tumor if cases[index].truth().any() else without
        if len(kind) < half:
            kind.append(cases[index])
        if len(with_tumor) == len(without) == half:
            break
    return (*with_tumor, *without)[: calibration.slices]


def write_int8(network: nn.Module, convention: InputConvention, cases: Sequence[Case], folder: Path) -> None:
    """Quantise `network` on the slices of `cases` and write `int8.xml` and `int8.bin` into `folder`.

    Biases are corrected layer by layer, each on the outputs of the quantised layers before it (NNCF's slow way): of the
    settings tried on the first shipped model only that kept the verdicts on slices close to the threshold (figures in
    docs/models.md). The input shape is fixed at (1, 3, h, w): with dynamic shapes OpenVINO 2026.4 gave wrong int8 masks
    without a word.
    """
    shape = [1, len(convention.channels), *convention.size]
    model = ov.convert_model(torch.export.export(network.eval(), (torch.zeros(shape),)))
    model.reshape(shape)
    inputs = [to_model_grid(case.pixels()[None], convention) for case in cases]
    quantized = nncf.quantize(
        model,
        nncf.Dataset(inputs),
        subset_size=len(inputs),
        preset=nncf.QuantizationPreset.MIXED,
        fast_bias_correction=False,
        target_device=nncf.TargetDevice.CPU,
    )
    ov.save_model(quantized, folder / INT8_GRAPH_FILE)

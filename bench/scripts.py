"""What one would write instead of using Glioscope: a folder of slices through the same weights, and Dice of each.

`run_plain` is the script of most public notebooks: torch in single precision, one slice after the other, a figure by
matplotlib for each. `run_batched` is a good engineer's: channels-last, batches of 8, no figures, in bfloat16 where that
is faster on this processor.
"""

import copy
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from bench.arithmetic import torch_limits
from bench.panels import save_panels
from ml import networks
from ml.cards import WEIGHTS_FILE, load_card
from ml.datasets import Case

BATCH = 8
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def load_network(package: Path) -> nn.Module:
    """The package's network in single precision."""
    return networks.load_network(load_card(package).architecture, load_file(package / WEIGHTS_FILE))


def run_plain(network: nn.Module, cases: Sequence[Case]) -> float:
    """Seconds for all cases."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number, case in enumerate(cases):
            pixels, truth = case.pixels(), case.truth()
            with torch.inference_mode():
                probability = torch.sigmoid(network(torch.from_numpy(_inputs(pixels)[None])))[0, 0].numpy()
            mask = probability >= 0.5
            _dice(mask, truth)
            save_panels(Path(folder) / f"{number}.png", pixels, probability, mask)
    return time.perf_counter() - began


def choose_type() -> torch.dtype:
    """bfloat16 or float32, whichever this processor multiplies faster."""
    limits = torch_limits()
    return torch.bfloat16 if limits["bfloat16"] > limits["float32"] else torch.float32


def run_batched(network: nn.Module, cases: Sequence[Case], kind: torch.dtype) -> float:
    """Seconds for all cases."""
    network = copy.deepcopy(network).to(memory_format=torch.channels_last, dtype=kind)
    began = time.perf_counter()
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        inputs = torch.from_numpy(np.stack([_inputs(case.pixels()) for case in batch]))
        with torch.inference_mode():
            logits = network(inputs.to(kind).contiguous(memory_format=torch.channels_last))
            masks = torch.sigmoid(logits[:, 0].float()).numpy() >= 0.5
        for mask, case in zip(masks, batch, strict=True):
            _dice(mask, case.truth())
    return time.perf_counter() - began


def _inputs(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) -> float32 (3, H, W)."""
    return ((pixels / np.float32(255) - MEAN) / STD).transpose(2, 0, 1).copy()


def _dice(mask: np.ndarray, truth: np.ndarray) -> float | None:
    total = mask.sum() + truth.sum()
    return 2 * (mask & truth).sum() / total if total else None

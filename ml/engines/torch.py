"""The torch engine: single precision on the CPU, which is the reference, or on CUDA; there in half where that passed.

Of a GPU asked for batches: halves, channels last (what its matrix units multiply), from pinned memory.
"""

import copy
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from ml.cards.card import WEIGHTS_FILE, Card, load_card, verify_files
from ml.engines import Inference
from ml.engines.crops import Crop
from ml.engines.inference import Answer, SliceInference
from ml.networks import build_network, load_weights, read_checkpoint
from ml.networks.serving import ServedNetwork
from ml.ood.detector import OodDetector, load_detector

# Slices in one pass. A GPU wants many; on a CPU one at a time is as fast and needs less memory.
_BATCH = {"cpu": 1, "cuda": 16}
# Of the card's `parity`: the form in half precision on a GPU.
HALF = "half"


class TorchEngine:
    """A network as torch computes it. Not thread-safe: one engine serves one thread at a time."""

    def __init__(
        self,
        network: nn.Module,
        card: Card,
        device: str | None = None,
        threads: int | None = None,
        detector: OodDetector | None = None,
        is_half: bool = False,
    ) -> None:
        """`device`: "cpu" or "cuda", None for CUDA where there is one. `threads` holds for the whole process.

        is_half: compute in half precision, from a copy of the network.
        """
        self.card = card
        self._device = device or default_device()
        self.name = f"torch-{self._device}" + ("-half" if is_half else "")
        if threads is not None:
            torch.set_num_threads(threads)
        self._precision = torch.float16 if is_half else torch.float32
        self._layout = torch.channels_last if is_half else torch.contiguous_format
        # Single precision means all of its 23 bits: cuDNN takes 10 of them where it may.
        torch.backends.cudnn.allow_tf32 = False
        network = copy.deepcopy(network) if is_half else network
        network = network.to(device=self._device, dtype=self._precision, memory_format=self._layout)
        self._network = ServedNetwork(network).eval()
        # Whole slices: the reference knows of no crops.
        self._inference = SliceInference(replace(card, crops=()), self._run, detector)

    @classmethod
    def from_package(cls, package: Path, device: str | None = None, threads: int | None = None) -> "TorchEngine":
        """Load `model.safetensors` of a package, checked against its card. Raises PackageError, naming the file.

        On CUDA in half precision where the card says that it passed the parity gate so.
        """
        card = load_card(package)
        verify_files(package, card, (WEIGHTS_FILE,))
        network = load_weights(build_network(card.architecture), load_file(package / WEIGHTS_FILE))
        device = device or default_device()
        return cls(network, card, device, threads, load_detector(package, card), may_be_half(card, device))

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Path, card: Card, device: str | None = None, threads: int | None = None
    ) -> "TorchEngine":
        """Load a published checkpoint, with the conventions of `card`. Raises CheckpointError."""
        network = load_weights(build_network(card.architecture), read_checkpoint(checkpoint).weights)
        return cls(network, card, device, threads)

    def warm_up(self) -> None:
        """Run each size of input once."""
        self._inference.warm_up()

    def probability_map(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: uint8 (N, H, W, 3). Returns q = round(255 p), uint8 (N, H, W), in the same grid."""
        return self.infer(pixels).q

    def infer(self, pixels: np.ndarray) -> Inference:
        """pixels: uint8 (N, H, W, 3). Returns the same q, and what the input check says where the package has one."""
        return self._inference.infer(pixels)

    def _run(self, inputs: Iterator[tuple[Crop, np.ndarray]]) -> Iterator[Answer]:
        """Whole slices, float32 (C, h, w), in batches."""
        while batch := [pixels for _, pixels in islice(inputs, _BATCH[self._device])]:
            yield from self._predict(np.stack(batch))

    @torch.inference_mode()
    def _predict(self, inputs: np.ndarray) -> list[Answer]:
        """inputs: float32 (n, C, h, w)."""
        batch = torch.from_numpy(inputs)
        if self._device == "cuda":
            batch = batch.pin_memory()
        batch = batch.to(self._device, self._precision, non_blocking=True, memory_format=self._layout)
        logits, features = self._network(batch)  # (n, 1, h, w), (n, D)
        probabilities = torch.sigmoid(logits[:, 0].float()).cpu().numpy()
        return list(zip(probabilities, features.float().cpu().numpy(), strict=True))


def default_device() -> str:
    """CUDA where torch finds a GPU that it can use."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def may_be_half(card: Card, device: str) -> bool:
    """Whether the device computes halves fast, and the card says that they passed the parity gate."""
    parity = card.parity.get(HALF)
    return device == "cuda" and parity is not None and parity.is_close

"""The torch engine: float32 on the CPU, the reference of every parity figure, or CUDA.

On CUDA it computes batches from pinned memory, in half precision with channels last (the layout of tensor cores) where
the card says that half precision passed the parity gate, else in float32.
"""

import copy
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from ml.cards import WEIGHTS_FILE, Card, load_card, verify_files
from ml.engines.crops import Crop
from ml.engines.inference import Answer, NetworkEngine
from ml.networks import load_network
from ml.networks.exported_network import ExportedNetwork
from ml.ood.detector import OodDetector, load_detector
from ml.ood.sequences import SequenceClassifier, load_classifier
from ml.ood.training_slices import TrainingSlices, load_training_slices

# Slices in one batch. On a CPU one at a time is as fast and needs less memory.
_BATCH = {"cpu": 1, "cuda": 16}
# Key of the card's `parity` for half precision on a GPU.
HALF = "half"


class TorchEngine(NetworkEngine):
    """A network in torch."""

    def __init__(
        self,
        network: nn.Module,
        card: Card,
        device: str | None = None,
        threads: int | None = None,
        detector: OodDetector | None = None,
        is_half: bool = False,
        classifier: SequenceClassifier | None = None,
        training: TrainingSlices | None = None,
    ) -> None:
        """device: "cpu" or "cuda", None for CUDA where there is a GPU. threads: of the CPU, for the whole process.

        is_half: compute in half precision, on a copy of the network.
        """
        super().__init__(card, (), detector, classifier, training)  # the reference computes whole slices, never crops
        self._device = device or default_device()
        self.name = f"torch-{self._device}" + ("-half" if is_half else "")
        if threads is not None:
            torch.set_num_threads(threads)
        self._precision = torch.float16 if is_half else torch.float32
        self._layout = torch.channels_last if is_half else torch.contiguous_format
        # TF32 keeps 10 of float32's 23 mantissa bits.
        torch.backends.cudnn.allow_tf32 = False
        network = copy.deepcopy(network) if is_half else network
        network = network.to(self._device, self._precision).to(memory_format=self._layout)
        self._network = ExportedNetwork(network).eval()

    @classmethod
    def from_package(cls, package: Path, device: str | None = None, threads: int | None = None) -> "TorchEngine":
        """Load `model.safetensors` of a package, checked against its card. Raises PackageError, naming the file."""
        card = load_card(package)
        verify_files(package, card, (WEIGHTS_FILE,))
        network = load_network(card.architecture, load_file(package / WEIGHTS_FILE))
        device = device or default_device()
        detector, classifier = load_detector(package, card), load_classifier(package, card)
        training = load_training_slices(package, card)
        return cls(network, card, device, threads, detector, may_be_half(card, device), classifier, training)

    def _run(self, inputs: Iterator[tuple[Crop, NDArray[np.float32]]], _count: int) -> Iterator[Answer]:
        """Whole slices, float32 (C, h, w), in batches."""
        while batch := [pixels for _, pixels in islice(inputs, _BATCH[self._device])]:
            yield from self._predict(np.stack(batch))

    @torch.inference_mode()
    def _predict(self, inputs: NDArray[np.float32]) -> list[Answer]:
        """inputs: float32 (n, C, h, w). Returns for each slice p, float32 (h, w), and its features, float32 (D,)."""
        batch = torch.from_numpy(inputs)
        if self._device == "cuda":
            batch = batch.pin_memory()
        batch = batch.to(self._device, self._precision, non_blocking=True, memory_format=self._layout)
        logits, features = self._network(batch)  # (n, 1, h, w), (n, D)
        probabilities = torch.sigmoid(logits[:, 0].float()).cpu().numpy()
        return list(zip(probabilities, features.float().cpu().numpy(), strict=True))


def default_device() -> str:
    """ "cuda" where torch finds a GPU that it can use, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def may_be_half(card: Card, device: str) -> bool:
    """Whether to compute in half precision: on a GPU, if the card says that it passed the parity gate."""
    parity = card.parity.get(HALF)
    return device == "cuda" and parity is not None and parity.is_close

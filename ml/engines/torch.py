"""The torch engine: single precision on the CPU, which is the reference, or on CUDA."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from ml.cards import WEIGHTS_FILE, Card, load_card, verify_files
from ml.engines import map_in_chunks
from ml.networks import build_network, load_weights, read_checkpoint

# Slices in one pass. A GPU wants many; on a CPU one at a time is as fast and needs less memory.
_CHUNK = {"cpu": 1, "cuda": 16}


class TorchEngine:
    """A network in single precision. Not thread-safe: one engine serves one thread at a time."""

    def __init__(self, network: nn.Module, card: Card, device: str | None = None, threads: int | None = None) -> None:
        """`device`: "cpu" or "cuda", None for CUDA where there is one. `threads` holds for the whole process."""
        self.card = card
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.name = f"torch-{self._device}"
        if threads is not None:
            torch.set_num_threads(threads)
        self._network = network.to(device=self._device, dtype=torch.float32).eval()

    @classmethod
    def from_package(cls, package: Path, device: str | None = None, threads: int | None = None) -> "TorchEngine":
        """Load `model.safetensors` of a package, checked against its card. Raises PackageError, naming the file."""
        card = load_card(package)
        verify_files(package, card, (WEIGHTS_FILE,))
        network = load_weights(build_network(card.architecture), load_file(package / WEIGHTS_FILE))
        return cls(network, card, device, threads)

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Path, card: Card, device: str | None = None, threads: int | None = None
    ) -> "TorchEngine":
        """Load a published checkpoint, with the conventions of `card`. Raises CheckpointError."""
        network = load_weights(build_network(card.architecture), read_checkpoint(checkpoint).weights)
        return cls(network, card, device, threads)

    def warm_up(self) -> None:
        """Run once on a black slice."""
        height, width = self.card.input.size
        self.probability_map(np.zeros((1, height, width, 3), dtype=np.uint8))

    def probability_map(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: uint8 (N, H, W, 3). Returns q = round(255 p), uint8 (N, H, W), in the same grid."""
        return map_in_chunks(pixels, self.card, _CHUNK[self._device], self._predict)

    @torch.inference_mode()
    def _predict(self, inputs: np.ndarray) -> np.ndarray:
        """inputs: float32 (n, 3, h, w). Returns probabilities, float32 (n, h, w)."""
        logits = self._network(torch.from_numpy(inputs).to(self._device))  # (n, 1, h, w)
        return torch.sigmoid(logits[:, 0]).cpu().numpy()

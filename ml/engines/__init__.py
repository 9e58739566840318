"""Engines: one model package, loaded and ready to answer with probability maps.

Every engine takes slices in the scan's own grid and answers in that grid. Importing this module imports no engine: the
one that is asked for is imported by `load_engine`, so a portal with the OpenVINO engine never loads torch.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from ml.cards import INT8_GRAPH_FILE, INT8_WEIGHTS_FILE, WEIGHTS_FILE, Card, load_card
from ml.preprocessing import to_model_grid, to_scan_grid

Kind = Literal["auto", "torch", "openvino"]
KINDS: tuple[Kind, ...] = ("auto", "torch", "openvino")


class EngineError(Exception):
    """An engine cannot be loaded or cannot answer; the message says what to do about it."""


class Engine(Protocol):
    """A loaded model. Not thread-safe: one engine serves one thread at a time."""

    name: str  # "openvino-int8", "torch-cpu" or "torch-cuda"
    card: Card

    def warm_up(self) -> None:
        """Run once on a black slice, so that the first real one is not the slow one."""

    def probability_map(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: uint8 (N, H, W, 3). Returns q = round(255 p), uint8 (N, H, W), in the same grid."""


def map_in_chunks(
    pixels: np.ndarray, card: Card, chunk: int, predict: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Both resizes around a network, `chunk` slices at a time: a long stack never lies in memory as floats.

    pixels: uint8 (N, H, W, 3). predict: float32 (n, 3, h, w) -> probabilities float32 (n, h, w), n <= chunk.
    Returns uint8 (N, H, W). Raises EngineError where the network answers with NaN.
    """
    count, height, width, _ = pixels.shape
    q = np.empty((count, height, width), dtype=np.uint8)
    for start in range(0, count, chunk):
        part = slice(start, start + chunk)
        probabilities = predict(to_model_grid(pixels[part], card.input))
        if not np.isfinite(probabilities).all():
            raise EngineError(f"The model {card.name} answered with NaN; its package or this processor is at fault.")
        q[part] = to_scan_grid(probabilities, height, width)
    return q


def load_engine(
    package: Path, kind: Kind = "auto", threads: int | None = None, cache_directory: Path | None = None
) -> Engine:
    """Load the package in the folder `package`, after its files are checked against the card.

    `threads`: of the CPU, None for all. `cache_directory`: where OpenVINO keeps compiled models, None for nowhere.
    Raises PackageError (card or files) and EngineError (kind unknown, library missing).
    """
    if kind not in KINDS:
        raise EngineError(f"The engine {kind!r} is unknown; choose one of {', '.join(KINDS)}.")
    card = load_card(package)
    chosen = _choose(package, card) if kind == "auto" else kind
    if chosen == "torch":
        if importlib.util.find_spec("torch") is None:
            raise EngineError("The torch engine needs torch; install requirements.txt, or choose the engine openvino.")
        from ml.engines.torch import TorchEngine

        return TorchEngine.from_package(package, threads=threads)
    from ml.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(package, threads=threads, cache_directory=cache_directory)


def _choose(package: Path, card: Card) -> Kind:
    """torch where there are a GPU, torch and the weights, or no int8 files; else OpenVINO."""
    has_weights = (package / WEIGHTS_FILE).is_file()
    has_int8 = {INT8_GRAPH_FILE, INT8_WEIGHTS_FILE} <= card.files.keys()
    if has_weights and (not has_int8 or _has_cuda()):
        return "torch"
    return "openvino"


def _has_cuda() -> bool:
    """Whether torch could use an NVIDIA GPU. Without a driver torch is not even imported: that takes seconds."""
    if not Path("/proc/driver/nvidia/version").exists() or importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()

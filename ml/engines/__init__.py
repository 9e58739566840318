"""Engines: a loaded model package that turns slices into probability maps.

Every engine takes slices in the scan's own grid and answers in that grid. `load_engine` imports the one that is asked
for, so a portal with the OpenVINO engine never loads torch.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ml.cards import INT8_GRAPH_FILE, INT8_WEIGHTS_FILE, WEIGHTS_FILE, Card, find_members, load_card
from ml.engines.context import Context
from ml.ood.sequences import SequenceEvidence, join
from ml.ood.warnings import input_warnings, warnings_of

Kind = Literal["auto", "torch", "openvino"]
KINDS: tuple[Kind, ...] = ("auto", "torch", "openvino")


class EngineError(Exception):
    """An engine cannot be loaded or cannot answer; the message says what to do about it."""


@dataclass(frozen=True)
class Inference:
    """A model's answer for N slices.

    probability_u8: round(255 p), uint8 (N, H, W), in the slices' own grid.
    features: float32 (N, D), the encoder's pooled features that the out-of-distribution check compares; None where the
    package was made without them.
    is_out_of_distribution: bool (N,), slices unlike the training data; None where the package has no check.
    is_bright: bool (N,), those of them whose background is bright; None without that check.
    sequences: what the sequence check says of the slices; None where the package has no such check.
    probability: float32 (N, H, W), the same map before it was rounded; None unless it was asked for.
    is_of_training: bool (N,), slices that the model was trained on, by their pixels; None where the package has no
    fingerprints of them.
    is_first_look: bool (N,), slices that the first member of a cascade answered alone; None for other models.
    """

    probability_u8: NDArray[np.uint8]
    features: NDArray[np.float32] | None = None
    is_out_of_distribution: NDArray[np.bool] | None = None
    sequences: SequenceEvidence | None = None
    probability: NDArray[np.float32] | None = None
    is_of_training: NDArray[np.bool] | None = None
    is_first_look: NDArray[np.bool] | None = None
    is_bright: NDArray[np.bool] | None = None

    @classmethod
    def join(cls, parts: Sequence["Inference"]) -> "Inference":
        """The answer for the slices of all parts, one part after the other; a field that a part lacks is None.

        parts: at least one, of slices of one size.
        """
        if len(parts) == 1:
            return parts[0]
        return cls(**{item.name: _joined([getattr(part, item.name) for part in parts]) for item in fields(cls)})

    def take(self, order: NDArray[np.intp]) -> "Inference":
        """The answer for these of the slices, in this order."""
        values = ((item.name, getattr(self, item.name)) for item in fields(self))
        return Inference(**{name: _taken(value, order) for name, value in values})

    @property
    def warnings(self) -> tuple[str, ...]:
        """The codes of the warnings of the scan that these slices are."""
        return self.warnings_beside(None)

    def warnings_beside(self, is_flair: bool | None) -> tuple[str, ...]:
        """The same, beside what the scan's file says: that it is FLAIR, or that it is not; None: it does not say."""
        return warnings_of(self.is_out_of_distribution, self.sequences, is_flair, self.is_bright)

    def input_warning_of(self, index: int, is_flair: bool | None) -> str | None:
        """The code of one slice's warning, by itself and beside what its file says of its sequence; None without.

        That it is out of distribution is no part of it.
        """
        evidence = None if self.sequences is None else self.sequences.of(index)
        is_bright = self.is_bright is not None and bool(self.is_bright[index])
        return next(iter(input_warnings(evidence, is_flair, is_bright)), None)


def _joined(values: Sequence[Any]) -> Any:
    """One field of several answers."""
    if any(value is None for value in values):
        return None
    return join(values) if isinstance(values[0], SequenceEvidence) else np.concatenate(values)


def _taken(value: Any, order: NDArray[np.intp]) -> Any:
    if value is None:
        return None
    return value.take(order) if isinstance(value, SequenceEvidence) else value[order]


class Engine(Protocol):
    """A loaded model. Not thread-safe: one engine serves one thread at a time."""

    # "openvino-int8", "torch-cpu", "torch-cuda", "torch-cuda-half"; of an ensemble with "ensemble-" before it.
    name: str
    card: Card

    def warm_up(self) -> None:
        """Run each size of input once, so that compiling does not delay the first slice."""

    def probability_map(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """pixels: uint8 (N, H, W, 3). Returns round(255 p), uint8 (N, H, W), in the same grid."""

    def infer(self, pixels: NDArray[np.uint8], context: Context | None = None) -> Inference:
        """pixels: uint8 (N, H, W, 3). Returns the same map, with features and the out-of-distribution check.

        context: where the slices lie, and which of them are asked for; None: all are, and none has neighbors.
        """


class ExactEngine(Engine, Protocol):
    """An engine of a network of its own, which no neighbor tells anything, and whose map can be had before rounding."""

    def infer(
        self,
        pixels: NDArray[np.uint8],
        context: Context | None = None,
        *,
        is_exact: bool = False,
        is_checked: bool = True,
    ) -> Inference:
        """As Engine's; is_exact: with `Inference.probability`; is_checked: with the checks of the input."""


def load_engine(
    package: Path,
    kind: Kind = "auto",
    threads: int | None = None,
    cache_directory: Path | None = None,
    directories: Sequence[Path] = (),
) -> Engine:
    """Load the package in the folder `package`; the files that the engine needs are checked against the card first.

    threads: of the CPU, None for all. cache_directory: where OpenVINO keeps compiled models, None for no cache.
    directories: where an ensemble's members are looked for, after the ensemble's own neighbors.
    Raises PackageError (card or files) and EngineError (kind unknown, library missing).
    """
    if kind not in KINDS:
        raise EngineError(f"The engine {kind!r} is unknown; choose one of {', '.join(KINDS)}.")
    card = load_card(package)
    if card.members:
        from ml.engines.ensemble import EnsembleEngine

        folders = find_members(package, card, directories)
        parity = card.parity.get("int8")
        if kind == "auto" and parity is not None and not parity.is_close:
            kind = "torch"  # as for a package whose int8 form did not pass
        return EnsembleEngine(card, [_load_single(folder, kind, threads, cache_directory) for folder in folders])
    return _load_single(package, kind, threads, cache_directory)


def _load_single(package: Path, kind: Kind, threads: int | None, cache_directory: Path | None) -> ExactEngine:
    """The engine of a package with weights of its own."""
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
    """torch where there is a GPU; OpenVINO where its int8 form passed the parity gate; else torch, the reference.

    Raises EngineError where the int8 form did not pass the gate and torch or its weights are missing.
    """
    has_weights = (package / WEIGHTS_FILE).is_file()
    has_int8 = {INT8_GRAPH_FILE, INT8_WEIGHTS_FILE} <= card.files.keys()
    if has_weights and _has_cuda():
        return "torch"
    parity = card.parity.get("int8")
    if has_int8 and parity is not None and parity.is_close:
        return "openvino"
    if not has_int8 or (has_weights and importlib.util.find_spec("torch") is not None):
        return "torch"
    raise EngineError(
        f"The int8 form of {card.name} was not shown to agree with torch (see parity on its card), so it is not taken"
        " unasked; install requirements.txt for torch, or choose the engine openvino."
    )


def _has_cuda() -> bool:
    """Whether torch can use an NVIDIA GPU. Importing torch takes seconds, so the driver is looked for first."""
    if not Path("/proc/driver/nvidia/version").exists() or importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()

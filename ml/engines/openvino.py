"""The int8 model on the CPU through OpenVINO. Never imports torch.

`int8.xml` takes float32 (1, C, h, w) as `ml.preprocessing` makes it and returns logits (1, 1, h, w) and, where the
package has an out-of-distribution check, features (1, D). It is compiled once for the model's grid and once for each
size of the card's crops (ml.engines.cropped_graph), always with a static shape: with dynamic shapes OpenVINO 2026.4's
CPU plugin returned wrong int8 masks without an error.

A single slice gets all threads, for the lowest latency. Several slices get one thread each: threads that share a slice
wait for each other at every layer, the more so while a core is busy with something else.
"""

import fcntl
import functools
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from ml.cards import (
    INT8_GRAPH_FILE,
    INT8_WEIGHTS_FILE,
    OOD_FILE,
    SEQUENCES_FILE,
    Card,
    CardError,
    load_card,
    verify_files,
)
from ml.engines.cropped_graph import crop_graph, find_border, outputs_at, places
from ml.engines.crops import Crop
from ml.engines.inference import Answer, NetworkEngine
from ml.ood.detector import OodDetector, load_detector
from ml.ood.sequences import SequenceClassifier, load_classifier
from ml.ood.training_slices import load_training_slices
from ml.preprocessing import black_input

# In the directory of compiled models.
LOCK_FILE = "compiling.lock"
# Slices computed at the same time, at most: the feature maps of two of them, for five sizes, took 400 MB.
_MOST_STREAMS = 8


def openvino_core() -> ov.Core:
    """The only OpenVINO core of this process; it is never freed.

    A core of OpenVINO 2026.4 installs an alternate signal stack in its thread. Cores freed in another thread or out of
    order release that stack while it is still installed, and the next signal crashes the process.
    """
    with _making_core:
        return _core_of(os.getpid())


@functools.cache
def _core_of(_process: int) -> ov.Core:
    return ov.Core()


_making_core = threading.Lock()


class OpenVinoEngine(NetworkEngine):
    """One compiled int8 package."""

    name = "openvino-int8"

    def __init__(self, package: Path, threads: int | None = None, cache_directory: Path | None = None) -> None:
        """Check the package's files and read the model; each size is compiled when it is first used.

        Raises CardError for a model that does not fit its card, PackageFileError for missing or changed files.
        """
        card = load_card(package)
        verify_files(package, card, (INT8_GRAPH_FILE, INT8_WEIGHTS_FILE))
        detector = load_detector(package, card)
        classifier = load_classifier(package, card)
        super().__init__(card, card.crops, detector, classifier, load_training_slices(package, card))
        self._cache_directory = cache_directory
        self._model = openvino_core().read_model(package / INT8_GRAPH_FILE, package / INT8_WEIGHTS_FILE)
        _check_shapes(self._model, card, {OOD_FILE: detector, SEQUENCES_FILE: classifier})
        self._has_features = len(self._model.outputs) > 1
        # Crops need the coarse maps of a black slice, so the graph for the whole grid then returns these as well.
        self._border = find_border(self._model, card.input.size) if card.crops else None
        self._threads = threads
        self._streams = min(threads or len(os.sched_getaffinity(0)), _MOST_STREAMS)
        self._compiled: dict[tuple[tuple[int, int], int], ov.CompiledModel] = {}
        self._requests: dict[tuple[tuple[int, int], int], tuple[ov.InferRequest, ...]] = {}

    def _run(self, inputs: Iterator[tuple[Crop, NDArray[np.float32]]], count: int) -> Iterator[Answer]:
        """Crops, float32 (C, h, w), up to `streams` in parallel, and one more that is prepared or read meanwhile."""
        streams = self._streams if count > 1 else 1
        under_way: deque[ov.InferRequest] = deque()
        try:
            for crop, pixels in inputs:
                if len(under_way) == streams + 1:
                    yield self._answer(under_way.popleft())
                request = next(each for each in self._requests_for(crop.size, streams) if each not in under_way)
                values: list[NDArray[np.float32] | NDArray[np.int32]] = [pixels[None]]  # (1, C, h, w)
                if crop.size != self.card.input.size:
                    values += places(crop, self.card.input.size)
                request.start_async(dict(enumerate(values)))
                under_way.append(request)
            while under_way:
                yield self._answer(under_way.popleft())
        finally:
            # Also after a time limit's exception: a request that is still running cannot be started again.
            for request in under_way:
                request.wait()

    def _answer(self, request: ov.InferRequest) -> Answer:
        """Wait for a request. Returns probabilities, float32 (h, w), and features, float32 (D,), if there are any."""
        request.wait()
        logits = request.get_output_tensor(0).data[0, 0]
        # exp(88) is float32's limit; beyond 30 the 8-bit probability is 0 or 255 anyway.
        probabilities = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
        return probabilities, request.get_output_tensor(1).data[0].copy() if self._has_features else None

    def _requests_for(self, size: tuple[int, int], streams: int) -> tuple[ov.InferRequest, ...]:
        """The requests for inputs of this (height, width): one more than run in parallel."""
        if (size, streams) not in self._requests:
            compiled = self._compile(size, streams)
            self._requests[size, streams] = tuple(compiled.create_infer_request() for _ in range(streams + 1))
        return self._requests[size, streams]

    def _compile(self, size: tuple[int, int], streams: int) -> ov.CompiledModel:
        if (size, streams) not in self._compiled:
            if self._border is None:
                model = self._model
            elif size != self.card.input.size:
                model = crop_graph(self._model, self._border, size, self._black_maps)
            else:
                model = self._model.clone()
                model.add_outputs(outputs_at(model, self._border))
            with _alone_in(self._cache_directory):
                self._compiled[size, streams] = openvino_core().compile_model(model, "CPU", self._properties(streams))
        return self._compiled[size, streams]

    @functools.cached_property
    def _black_maps(self) -> list[NDArray[np.float32]]:
        """The feature maps of a black slice at the border's entries, float32 (1, C, h / 16, w / 16) each."""
        request = self._compile(self.card.input.size, 1).create_infer_request()
        request.infer({0: black_input(self.card.input, self.card.input.size)[None]})
        return [tensor.data.copy() for tensor in request.output_tensors[1 + self._has_features :]]

    def _properties(self, streams: int) -> dict[str, str | int | bool]:
        properties: dict[str, str | int | bool] = {
            "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
            "NUM_STREAMS": streams,
            "INFERENCE_PRECISION_HINT": "f32",
            # A pinned thread waits while the web server uses its core, and all other threads of the slice wait for it.
            "ENABLE_CPU_PINNING": False,
        }
        if self._threads is not None:
            properties["INFERENCE_NUM_THREADS"] = self._threads
        if self._cache_directory is not None:
            properties["CACHE_DIR"] = str(self._cache_directory)
        return properties


@contextmanager
def _alone_in(cache_directory: Path | None) -> Iterator[None]:
    """Keep other processes from compiling into this directory meanwhile; what one has compiled the next one reads.

    OpenVINO 2026.4 moves a compiled model into place by itself, and two processes that do so at once take each other's
    file away: "filesystem error: cannot set permissions".
    """
    if cache_directory is None:
        yield
        return
    cache_directory.mkdir(parents=True, exist_ok=True)
    with (cache_directory / LOCK_FILE).open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # ends with the handle, also where the process is killed
        yield


def _feature_count(model: ov.Model) -> int | None:
    """D of the second output (1, D); None for a model without features."""
    return int(model.output(1).shape[1]) if len(model.outputs) > 1 else None


def _check_shapes(model: ov.Model, card: Card, checks: Mapping[str, OodDetector | SequenceClassifier | None]) -> None:
    """Raises CardError unless shapes are static and the card's, and the checks (by file) fitted on these features."""
    expected_input = [1, card.architecture.in_channels, *card.input.size]
    expected_output = [1, 1, *card.input.size]
    input_shape, output_shape = model.input(0).partial_shape, model.output(0).partial_shape
    if input_shape != ov.PartialShape(expected_input) or output_shape != ov.PartialShape(expected_output):
        raise CardError(
            f"{INT8_GRAPH_FILE} of {card.name} maps {input_shape} to {output_shape}; static {expected_input} to"
            f" {expected_output} is needed: make the package again with `python -m ml package --calibrate`."
        )
    for file, check in checks.items():
        if check is not None and _feature_count(model) != check.feature_count:
            raise CardError(
                f"{INT8_GRAPH_FILE} of {card.name} has {_feature_count(model) or 'no'} features and {file}"
                f" {check.feature_count}; make the package again with `python -m ml package --calibrate`."
            )

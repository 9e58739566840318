"""The int8 model on the CPU through OpenVINO. Never imports torch.

`int8.xml` takes float32 (1, C, h, w) as `ml.preprocessing` makes it and answers with logits (1, 1, h, w), and where the
package has an input check with features (1, D) as well. It is compiled once for the model's grid and once for each size
of the card's crops (ml.engines.cropped_graph), each with a static shape: with dynamic shapes OpenVINO 2026.4's CPU
plugin gave wrong int8 masks without a word.

One slice alone has all threads, for the shortest wait. Of several, each has a thread of its own: threads that share a
slice wait for each other at each layer, the longer the more a core is in use for something else.
"""

import functools
import os
import threading
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
import openvino as ov

from ml.cards.card import (
    INT8_GRAPH_FILE,
    INT8_WEIGHTS_FILE,
    OOD_FILE,
    Card,
    CardError,
    load_card,
    verify_files,
)
from ml.engines import Inference
from ml.engines.cropped_graph import crop_graph, find_border, outputs_at, places
from ml.engines.crops import Crop
from ml.engines.inference import Answer, SliceInference
from ml.ood.detector import OodDetector, load_detector
from ml.preprocessing import normalize

# Slices side by side at most: the maps of two of them, for five sizes, took 400 MB.
_MOST_STREAMS = 8


def openvino_core() -> ov.Core:
    """The one core of this process, which is never freed.

    A core of OpenVINO 2026.4 gives its thread a stack for signals. Freed in another thread, or in another order than
    they were made, cores take that stack away and leave the thread pointing at it: its next signal ends the process.
    """
    with _making_core:
        return _core_of(os.getpid())


@functools.cache
def _core_of(_process: int) -> ov.Core:
    return ov.Core()


_making_core = threading.Lock()


class OpenVinoEngine:
    """One compiled int8 package. Not thread-safe: one engine serves one thread at a time."""

    name = "openvino-int8"

    def __init__(self, package: Path, threads: int | None = None, cache_directory: Path | None = None) -> None:
        """Check the package's files; what is needed is compiled for this CPU when it is needed first.

        Raises PackageError: CardError for a model that does not fit its card, PackageFileError for changed files.
        """
        self.card: Card = load_card(package)
        verify_files(package, self.card, (INT8_GRAPH_FILE, INT8_WEIGHTS_FILE))
        self._cache_directory = cache_directory
        self._model = openvino_core().read_model(package / INT8_GRAPH_FILE, package / INT8_WEIGHTS_FILE)
        detector = load_detector(package, self.card)
        _check_shapes(self._model, self.card, detector)
        self._has_features = len(self._model.outputs) > 1
        # Crops need a black slice's coarse maps: then the graph for the whole grid has them as outputs as well.
        self._border = find_border(self._model, self.card.input.size) if self.card.crops else None
        self._threads = threads
        self._streams = min(threads or len(os.sched_getaffinity(0)), _MOST_STREAMS)
        self._compiled: dict[tuple[tuple[int, int], int], ov.CompiledModel] = {}
        self._requests: dict[tuple[tuple[int, int], int], tuple[ov.InferRequest, ...]] = {}
        self._inference = SliceInference(self.card, self._run, detector)

    def warm_up(self) -> None:
        """Compile each size of input, or read it from the cache, and run it once."""
        self._inference.warm_up()

    def probability_map(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: uint8 (N, H, W, 3). Returns q = round(255 p), uint8 (N, H, W), in the same grid."""
        return self.infer(pixels).q

    def infer(self, pixels: np.ndarray) -> Inference:
        """pixels: uint8 (N, H, W, 3). Returns the same q, and what the input check says where the package has one."""
        return self._inference.infer(pixels)

    def _run(self, inputs: Iterator[tuple[Crop, np.ndarray]]) -> Iterator[Answer]:
        """Crops, float32 (C, h, w), some side by side, and one more that is made ready or read meanwhile."""
        first = list(islice(inputs, 2))
        streams = self._streams if len(first) > 1 else 1
        under_way: deque[ov.InferRequest] = deque()
        try:
            for crop, pixels in chain(first, inputs):
                if len(under_way) == streams + 1:
                    yield self._answer(under_way.popleft())
                request = next(each for each in self._requests_for(crop.size, streams) if each not in under_way)
                values = [pixels[None]]
                if crop.size != self.card.input.size:
                    values += places(crop, self.card.input.size)
                request.start_async(dict(enumerate(values)))
                under_way.append(request)
            while under_way:
                yield self._answer(under_way.popleft())
        finally:
            # Also where a time limit strikes in between: a request that is still under way cannot be started again.
            for request in under_way:
                request.wait()

    def _answer(self, request: ov.InferRequest) -> Answer:
        """Wait for a request and read its outputs."""
        request.wait()
        logits = request.get_output_tensor(0).data[0, 0]
        # exp of more than 88 overflows float32; beyond 30 the sigmoid is 0 or 1 to the last bit of q anyway.
        probabilities = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
        return probabilities, request.get_output_tensor(1).data[0].copy() if self._has_features else None

    def _requests_for(self, size: tuple[int, int], streams: int) -> tuple[ov.InferRequest, ...]:
        """Requests of the model for inputs of this height and width, one more than run side by side."""
        if (size, streams) not in self._requests:
            compiled = self._compile(size, streams)
            self._requests[size, streams] = tuple(compiled.create_infer_request() for _ in range(streams + 1))
        return self._requests[size, streams]

    def _compile(self, size: tuple[int, int], streams: int) -> ov.CompiledModel:
        if (size, streams) not in self._compiled:
            if size != self.card.input.size:
                model = crop_graph(self._model, self._border, size, self._black_maps)
            elif self._border is None:
                model = self._model
            else:
                model = self._model.clone()
                model.add_outputs(outputs_at(model, self._border))
            self._compiled[size, streams] = openvino_core().compile_model(model, "CPU", self._properties(streams))
        return self._compiled[size, streams]

    @functools.cached_property
    def _black_maps(self) -> list[np.ndarray]:
        """What a black slice gives where the graph passes from fine to coarse levels."""
        request = self._compile(self.card.input.size, 1).create_infer_request()
        channels = self.card.architecture.in_channels
        black = np.zeros((1, *self.card.input.size, channels), dtype=np.uint8)
        request.infer({0: normalize(black, self.card.input)})
        return [tensor.data.copy() for tensor in request.output_tensors[1 + self._has_features :]]

    def _properties(self, streams: int) -> dict[str, str | int | bool]:
        properties: dict[str, str | int | bool] = {
            "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
            "NUM_STREAMS": streams,
            "INFERENCE_PRECISION_HINT": "f32",
            # A thread that is pinned to a core waits there while the web server uses it, and all others wait for it.
            "ENABLE_CPU_PINNING": False,
        }
        if self._threads is not None:
            properties["INFERENCE_NUM_THREADS"] = self._threads
        if self._cache_directory is not None:
            properties["CACHE_DIR"] = str(self._cache_directory)
        return properties


def _feature_count(model: ov.Model) -> int | None:
    """D of the second output (1, D); None where there is none."""
    return int(model.output(1).shape[1]) if len(model.outputs) > 1 else None


def _check_shapes(model: ov.Model, card: Card, detector: OodDetector | None) -> None:
    """Raises CardError unless the model has the card's one static input shape, one map of logits, its features."""
    expected_input = [1, card.architecture.in_channels, *card.input.size]
    expected_output = [1, 1, *card.input.size]
    input_shape, output_shape = model.input(0).partial_shape, model.output(0).partial_shape
    if input_shape != ov.PartialShape(expected_input) or output_shape != ov.PartialShape(expected_output):
        raise CardError(
            f"{INT8_GRAPH_FILE} of {card.name} maps {input_shape} to {output_shape}; static {expected_input} to"
            f" {expected_output} is needed: make the package again with `python -m ml package --calibrate`."
        )
    if detector is not None and _feature_count(model) != detector.feature_count:
        raise CardError(
            f"{INT8_GRAPH_FILE} of {card.name} has {_feature_count(model) or 'no'} features and {OOD_FILE}"
            f" {detector.feature_count}; make the package again with `python -m ml package --calibrate`."
        )

"""The int8 model on the CPU through OpenVINO. Never imports torch.

`int8.xml` takes float32 (1, 3, h, w) as `ml.preprocessing.to_model_grid` makes it and answers with logits (1, 1, h, w).
Its shapes are static and are checked to be: with dynamic shapes OpenVINO 2026.4's CPU plugin gave wrong int8 masks
without a word.
"""

from pathlib import Path

import numpy as np
import openvino as ov

from ml.cards import INT8_GRAPH_FILE, INT8_WEIGHTS_FILE, Card, CardError, load_card, verify_files
from ml.engines import map_in_chunks

# Slices that lie in memory as floats at once: 16 x 0.8 MB, and the queue of requests never runs dry.
_CHUNK = 16
# From so many slices on, slices are run side by side. One slice alone is done sooner by all threads together.
_STACK = 4


class OpenVinoEngine:
    """One compiled int8 package. Not thread-safe: one engine serves one thread at a time."""

    name = "openvino-int8"

    def __init__(self, package: Path, threads: int | None = None, cache_directory: Path | None = None) -> None:
        """Check the package's files and compile the model for this CPU.

        Raises PackageError: CardError for a model that does not fit its card, PackageFileError for changed files.
        """
        self.card: Card = load_card(package)
        verify_files(package, self.card, (INT8_GRAPH_FILE, INT8_WEIGHTS_FILE))
        self._core = ov.Core()
        if cache_directory is not None:
            self._core.set_property({"CACHE_DIR": str(cache_directory)})
        self._model = self._core.read_model(package / INT8_GRAPH_FILE, package / INT8_WEIGHTS_FILE)
        _check_shapes(self._model, self.card)
        self._threads = threads
        self._request = self._compile("LATENCY").create_infer_request()
        self._queue: ov.AsyncInferQueue | None = None

    def warm_up(self) -> None:
        """Run once on a black slice."""
        height, width = self.card.input.size
        self.probability_map(np.zeros((1, height, width, 3), dtype=np.uint8))

    def probability_map(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: uint8 (N, H, W, 3). Returns q = round(255 p), uint8 (N, H, W), in the same grid."""
        return map_in_chunks(pixels, self.card, _CHUNK, self._predict)

    def _predict(self, inputs: np.ndarray) -> np.ndarray:
        """inputs: float32 (n, 3, h, w). Returns probabilities, float32 (n, h, w)."""
        logits = np.empty((len(inputs), *inputs.shape[2:]), dtype=np.float32)
        if len(inputs) >= _STACK:
            self._run_side_by_side(inputs, logits)
        else:
            for index in range(len(inputs)):
                self._request.infer({0: inputs[index : index + 1]}, share_inputs=True)
                logits[index] = self._request.get_output_tensor(0).data[0, 0]
        # exp of more than 88 overflows float32; beyond 30 the sigmoid is 0 or 1 to the last bit of q anyway.
        return 1 / (1 + np.exp(-np.clip(logits, -30, 30)))

    def _run_side_by_side(self, inputs: np.ndarray, logits: np.ndarray) -> None:
        """Fill `logits`, float32 (n, h, w), with the same values as slice by slice, several slices at a time."""
        if self._queue is None:
            # A second compiled model with memory of its own: only a worker that meets a stack pays for it.
            self._queue = ov.AsyncInferQueue(self._compile("THROUGHPUT"))

        def keep(request: ov.InferRequest, index: int) -> None:
            logits[index] = request.get_output_tensor(0).data[0, 0]

        self._queue.set_callback(keep)
        try:
            for index in range(len(inputs)):
                self._queue.start_async({0: inputs[index : index + 1]}, index, share_inputs=True)
        finally:
            # Also where a time limit strikes in between: what still runs reads `inputs`.
            self._queue.wait_all()

    def _compile(self, hint: str) -> ov.CompiledModel:
        """The model for one slice as soon as possible ("LATENCY"), or for as many as possible ("THROUGHPUT")."""
        properties: dict[str, str | int | bool] = {
            "PERFORMANCE_HINT": hint,
            "INFERENCE_PRECISION_HINT": "f32",
            # A thread that is pinned to a core waits there while the web server uses it, and all others wait for it.
            "ENABLE_CPU_PINNING": False,
        }
        if self._threads is not None:
            properties["INFERENCE_NUM_THREADS"] = self._threads
        return self._core.compile_model(self._model, "CPU", properties)


def _check_shapes(model: ov.Model, card: Card) -> None:
    """Raises CardError unless the model has the card's one static input shape and one map of logits."""
    expected_input = [1, card.architecture.in_channels, *card.input.size]
    expected_output = [1, 1, *card.input.size]
    input_shape, output_shape = model.input(0).partial_shape, model.output(0).partial_shape
    if input_shape != ov.PartialShape(expected_input) or output_shape != ov.PartialShape(expected_output):
        raise CardError(
            f"{INT8_GRAPH_FILE} of {card.name} maps {input_shape} to {output_shape}; static {expected_input} to"
            f" {expected_output} is needed: make the package again with `python -m ml package --calibrate`."
        )

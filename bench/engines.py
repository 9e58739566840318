"""One 256 x 256 slice through each engine, and a stack, with the threads that a worker has by default."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from bench.figures import Table, median, ms, p95
from bench.slices import CHECKPOINT
from ml.cards import find_package, load_card
from ml.engines import load_engine
from webapp.domain.settings import PROJECT_ROOT

ROUNDS = 30
STACK_SLICES = 32
STACK_ROUNDS = 7
MODEL = "unet-vgg16-lgg"


def measure() -> Iterator[Table]:
    """A table of one slice, and one of a stack."""
    package = find_package(MODEL, [PROJECT_ROOT / "ml" / "weights"])
    int8 = load_engine(package, "openvino")
    pixels = np.random.default_rng(0).integers(0, 255, (STACK_SLICES, 256, 256, 3), dtype=np.uint8)
    runs: dict[str, Callable[[], object]] = {"OpenVINO int8": lambda: int8.probability_map(pixels[:1])}
    if CHECKPOINT.is_file():
        runs |= _torch_runs(pixels[:1])
    note = "" if len(runs) > 1 else "torch was left out: GLIOSCOPE_TEST_DATA has no bootstrap checkpoint."
    yield _table("One slice of 256 x 256 through the engines", _interleaved(runs, ROUNDS), note)
    yield _table(
        f"A stack of {STACK_SLICES} slices, OpenVINO int8",
        _interleaved(
            {
                "side by side, as served": lambda: int8.probability_map(pixels),
                "slice by slice": lambda: [int8.probability_map(pixels[i : i + 1]) for i in range(STACK_SLICES)],
            },
            STACK_ROUNDS,
        ),
    )


def _torch_runs(pixels: np.ndarray) -> dict[str, Callable[[], object]]:
    import torch

    from ml.engines.torch import TorchEngine
    from ml.networks import build_network, load_weights, read_checkpoint
    from ml.preprocessing import to_model_grid

    card = load_card(find_package(MODEL, [PROJECT_ROOT / "ml" / "weights"]))
    single = TorchEngine.from_checkpoint(CHECKPOINT, card, device="cpu")
    network = load_weights(build_network(card.architecture), read_checkpoint(CHECKPOINT).weights).to(torch.bfloat16)

    def half() -> object:
        with torch.inference_mode():
            inputs = torch.from_numpy(to_model_grid(pixels, card.input)).to(torch.bfloat16)
            return torch.sigmoid(network(inputs)[:, 0].float()).numpy()

    return {"torch float32": lambda: single.probability_map(pixels), "torch bfloat16": half}


def _interleaved(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if number > 0:  # the first one compiles and allocates
                seconds[name].append(time.perf_counter() - started)
    return seconds


def _table(title: str, seconds: dict[str, list[float]], note: str = "") -> Table:
    first = median(next(iter(seconds.values())))
    rows = tuple(
        (name, ms(min(taken)), ms(median(taken)), ms(p95(taken)), f"{median(taken) / first:.2f}")
        for name, taken in seconds.items()
    )
    return Table(title, ("engine", "least ms", "median ms", "p95 ms", "median / first's"), rows, note)

"""The engines on real slices, against each other and against what this machine's arithmetic can do.

The limit is measured in the same run: one large product in each precision, on all cores that the engine uses.
"""

import io
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image

from bench.arithmetic import CONVOLUTION, int8_limit, torch_limits
from bench.figures import Table, median, ms, p95
from bench.scripts import BATCH, load_network
from bench.slices import slices
from ml.cards import Card, find_package, load_card
from ml.engines import Engine, load_engine
from ml.engines.crops import find_crop
from ml.engines.torch import TorchEngine
from ml.preprocessing import place_on_grid, to_model_grid
from webapp.domain.settings import PROJECT_ROOT

ROUNDS = 5
SLICES = 24
# OpenMP's threads go on looking for work for 0.2 s after torch's last layer, on the cores of whoever comes next.
SETTLE_S = 0.4
MODEL = "unet-vgg16-lgg"
Key = TypeVar("Key", bound=Hashable)
# Multiply-adds of one pixel of the U-Net with VGG16's encoder count twice: 49.5 GFLOP for 256 x 256, as
# torch.utils.flop_counter counts them.
GFLOP_A_SLICE = 49.5
# Of it the coarse levels, which are computed for the whole slice always (ml.engines.cropped_graph).
COARSE_GFLOP = 5.7


@dataclass(frozen=True)
class Candidate:
    """One way to segment all slices: what to run, the work for its network, and in which precision."""

    run: Callable[[], object]
    gflop: float
    precision: str


def measure() -> Iterator[Table]:
    """One table of engines, one of single slices."""
    package = find_package(MODEL, [PROJECT_ROOT / "ml" / "weights"])
    card = load_card(package)
    stack = _real_slices()
    limits = _limits()
    served = load_engine(package, "openvino")
    candidates = {
        "OpenVINO int8, as served": Candidate(lambda: served.infer(stack), _gflop(stack, card), "int8"),
        **_torch_candidates(package, stack, has_bfloat16=limits["bfloat16"] > limits["float32"]),
    }
    seconds = interleaved({name: candidate.run for name, candidate in candidates.items()})
    limits = {name: max(limit, limits[name]) for name, limit in _limits().items()}
    first = median(next(iter(seconds.values())))
    rows = []
    for name, candidate in candidates.items():
        taken, limit = median(seconds[name]), limits[candidate.precision]
        reached = candidate.gflop / taken
        rows.append(
            (
                name,
                ms(taken / len(stack)),
                f"{taken / first:.2f}",
                f"{candidate.gflop / len(stack) / GFLOP_A_SLICE:.2f}",
                f"{reached:.0f}",
                f"{limit:.0f}",
                f"{reached / limit:.0%}",
            )
        )
    note = (
        f"{len(stack)} real slices of 256 x 256 in one call, both resizes and the sigmoid included; medians of {ROUNDS}"
        " rounds, interleaved. Computed: the share of a whole slice's operations that is left by crops. Limit: a"
        f" {CONVOLUTION[2]} x {CONVOLUTION[2]} convolution of {CONVOLUTION[0]} channels in OpenVINO for int8, a large"
        " matrix product in torch for the others, the best of what was seen before and after; a convolution by"
        " Winograd's method can pass it."
    )
    if limits["bfloat16"] <= limits["float32"]:
        note += (
            f" bfloat16 was left out: this processor multiplies it more slowly ({limits['bfloat16']:.0f} GFLOP/s) than"
            f" float32 ({limits['float32']:.0f})."
        )
    head = ("engine", "ms a slice", "times first's", "computed", "GFLOP/s", "limit", "share of the limit")
    yield Table("Engines and the limit of the arithmetic", head, tuple(rows), note)
    yield _single(served, stack)


def _limits() -> dict[str, float]:
    """GFLOP/s in each precision, as far as the machine's other guests let them."""
    return {"int8": int8_limit(), **torch_limits()}


def one_by_one(engine: Engine, stack: np.ndarray) -> list[float]:
    """Seconds of each slice alone, as uploads come. stack: uint8 (N, H, W, 3)."""
    time.sleep(SETTLE_S)
    engine.infer(stack[:1])
    seconds = []
    for pixels in stack:
        began = time.perf_counter()
        engine.infer(pixels[None])
        seconds.append(time.perf_counter() - began)
    return seconds


def _single(engine: Engine, stack: np.ndarray) -> Table:
    seconds = one_by_one(engine, stack)
    row = (engine.name, ms(min(seconds)), ms(median(seconds)), ms(p95(seconds)))
    return Table(f"{len(stack)} slices one by one", ("engine", "least ms", "median ms", "p95 ms"), (row,))


def _real_slices() -> np.ndarray:
    """uint8 (N, 256, 256, 3); synthetic ones where there are no real ones."""
    found = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for _, data in slices(SLICES)]
    return np.stack([pixels for pixels in found if pixels.shape == (256, 256, 3)])


def _gflop(stack: np.ndarray, card: Card) -> float:
    """What the network computes for all slices, each cropped as the card says."""
    crops = [find_crop(grid, card.crops) for grid in place_on_grid(stack, card.input)]
    whole = card.input.size[0] * card.input.size[1]
    shares = [crop.height * crop.width / whole for crop in crops]
    return sum(COARSE_GFLOP + (GFLOP_A_SLICE - COARSE_GFLOP) * share for share in shares) * whole / 256**2


def _torch_candidates(package: Path, stack: np.ndarray, has_bfloat16: bool) -> dict[str, Candidate]:
    card = replace(load_card(package), crops=())
    single = TorchEngine(load_network(package), card, device="cpu")
    gflop = _gflop(stack, card)
    candidates = {"torch float32": Candidate(lambda: single.infer(stack), gflop, "float32")}
    if not has_bfloat16:
        return candidates
    half = load_network(package).to(memory_format=torch.channels_last, dtype=torch.bfloat16)

    def run_half() -> None:
        for start in range(0, len(stack), BATCH):
            inputs = torch.from_numpy(to_model_grid(stack[start : start + BATCH], card.input))
            with torch.inference_mode():
                half(inputs.to(torch.bfloat16).contiguous(memory_format=torch.channels_last))

    candidates[f"torch bfloat16, batches of {BATCH}"] = Candidate(run_half, gflop, "bfloat16")
    return candidates


def interleaved(calls: Mapping[Key, Callable[[], object]], rounds: int = ROUNDS) -> dict[Key, list[float]]:
    """Seconds of each call in each round, after one that compiles and allocates."""
    seconds: dict[Key, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            time.sleep(SETTLE_S)
            began = time.perf_counter()
            call()
            if number > 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds

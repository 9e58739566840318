"""The machine under the figures: its processor, and how much its own speed wavers while they are taken."""

import os
import platform
import time
from pathlib import Path

import numpy as np

from bench.figures import Table, median, ms, p95

NOISE_ROUNDS = 60


def processor() -> str:
    """The model's name and the cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_model_name()}, {cores} cores"


def measure_noise() -> Table:
    """Repeat one fixed piece of work, on one core: what its times spread by, no figure below can be trusted to."""
    data = np.random.default_rng(0).random(1 << 19)
    seconds = []
    for _ in range(NOISE_ROUNDS):
        started = time.perf_counter()
        np.sort(data)
        seconds.append(time.perf_counter() - started)
    row = (
        f"sort {data.size} numbers, {NOISE_ROUNDS} times",
        ms(min(seconds)),
        ms(median(seconds)),
        ms(p95(seconds)),
        f"{p95(seconds) / min(seconds):.2f}",
    )
    note = "The same work each time: a machine that is shared shows here how far one figure below may be off."
    return Table("Noise of the machine", ("work", "least ms", "median ms", "p95 ms", "p95 / least"), (row,), note)


def _model_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

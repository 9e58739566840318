"""The machine under the figures: its processor, and how much its own speed wavers while they are taken."""

import os
import platform
import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.figures import Table, median, ms, p95

NOISE_ROUNDS = 60


# What multiplies numbers of 8 bits, the fastest first: the flag of Linux, and what it is called.
_INSTRUCTION_SETS = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "i8mm": "Arm I8MM",
    "asimddp": "Arm dot product",
}


@dataclass(frozen=True)
class Machine:
    """A class of processors: the model's name, the cores that this process may use, and the instruction set that the
    network's products are computed with."""

    model: str
    cores: int
    instructions: str

    @property
    def multiplies_8_bit(self) -> bool:
        """Whether it has instructions for products of 8-bit numbers."""
        return self.instructions in _INSTRUCTION_SETS.values()

    @property
    def slug(self) -> str:
        """Its name as a file's: "amd-epyc-avx-512-vnni-2-cores"."""
        words = re.findall(r"[a-z0-9-]+", re.sub(r"\(.*?\)", "", self.model).lower())
        kind = "-".join(word for word in words[:2] if not word[0].isdigit())
        return f"{kind}-{self.instructions.lower().replace(' ', '-')}-{self.cores}-cores"

    def __str__(self) -> str:
        return f"{self.model} with {self.instructions}, {self.cores} cores"


def this_machine() -> Machine:
    """The one that this runs on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(_of_cpuinfo("model name") or platform.machine(), cores, instructions_of(_flags()))


def instructions_of(flags: Collection[str]) -> str:
    """The instruction set by a processor's flags, as Linux lists them."""
    found = next((name for flag, name in _INSTRUCTION_SETS.items() if flag in flags), None)
    return found or ("AVX2" if "avx2" in flags else "no vector products of 8 bits")


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


def _flags() -> list[str]:
    return (_of_cpuinfo("flags") or _of_cpuinfo("Features")).split()


def _of_cpuinfo(name: str) -> str:
    """A field of the first core; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")

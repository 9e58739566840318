"""Thousands of scans through one worker: its memory, and the web process's, do not grow."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import mean

import psutil

from bench.clients import Slice, finish_scan
from bench.figures import megabytes
from bench.torture.outcome import FALLS_SHORT, HOLDS, REPORTED, Outcome, command_of
from bench.uploads import role
from tests.support.portal_process import RunningPortal

SENTENCE = "the memory of worker and web is flat"
# Of what the process has after the first tenth, which imports and allocates.
MOST_GROWTH = 0.05
# Fewer scans tell nothing of growth: a process still allocates then.
FEWEST_JUDGED = 1000
CLIENTS = 4
SAMPLES = 50
WATCHED = ("worker", "web")


def measure(portal: RunningPortal, items: Sequence[Slice], scans: int) -> Outcome:
    """So many scans, four at a time; memory is sampled fifty times, in resident bytes."""
    memory: dict[str, list[int]] = {name: [] for name in WATCHED}
    block = max(1, scans // SAMPLES)
    with ThreadPoolExecutor(CLIENTS) as pool:
        for start in range(0, scans, block):
            chosen = [items[number % len(items)] for number in range(start, min(start + block, scans))]
            list(pool.map(lambda item: finish_scan(portal, item), chosen))
            for name, size in _resident(portal).items():
                memory[name].append(size)
    growth = {name: growth_of(sizes) for name, sizes in memory.items()}
    figures = [f"{scans} scans, all with their result"]
    for name, sizes in memory.items():
        tenth = sizes[len(sizes) // 10]
        change = f"{megabytes(tenth)} MB after the first tenth, {megabytes(sizes[-1])} MB at the end"
        figures.append(f"{name} {change} ({growth[name]:+.1%})")
    is_flat = max(growth.values()) < MOST_GROWTH
    verdict = REPORTED if scans < FEWEST_JUDGED else HOLDS if is_flat else FALLS_SHORT
    return Outcome("soak", SENTENCE, command_of("soak"), figures, verdict)


def growth_of(sizes: Sequence[int]) -> float:
    """Of the last tenth beside the sample after the first tenth, as a share."""
    tenth = max(1, len(sizes) // 10)
    return mean(sizes[-tenth:]) / sizes[len(sizes) // 10] - 1


def _resident(portal: RunningPortal) -> dict[str, int]:
    """Of each watched kind the largest process: its parent is smaller."""
    found: dict[str, int] = {}
    for process in portal.processes():
        try:
            kind = role(process)
            if kind in WATCHED:
                found[kind] = max(found.get(kind, 0), process.memory_info().rss)
        except psutil.Error:  # a child that has just ended
            continue
    assert set(found) == set(WATCHED), f"{os.getpid()}: not all of {WATCHED} run"
    return found

"""An engine over all cases: files are read ahead and masks compared while the engine works on the next slices."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ml.datasets import Case, DatasetError
from ml.engines import Engine
from ml.evaluation.scoring import Failure, Score, mask_of, score_slice

# Slices that go to the engine together: enough for it to run some side by side, few enough to lie in memory.
CHUNK = 16


@dataclass(frozen=True)
class Outcome:
    """Results in the order of the cases, and the seconds that everything took, reading and comparing included."""

    results: tuple[Score | Failure, ...]
    seconds: float

    @property
    def scores(self) -> tuple[Score, ...]:
        """The slices that were evaluated."""
        return tuple(item for item in self.results if isinstance(item, Score))

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The slices that could not be."""
        return tuple(item for item in self.results if isinstance(item, Failure))


@dataclass(frozen=True)
class _Loaded:
    """One case in memory. pixels: uint8 (H, W, 3); truth: bool (H, W)."""

    case: Case
    pixels: np.ndarray
    truth: np.ndarray


def evaluate_cases(
    engine: Engine,
    cases: Sequence[Case],
    threshold: float,
    *,
    chunk: int = CHUNK,
    report_progress: Callable[[int], None] = lambda done: None,
) -> Outcome:
    """Run the engine and score every case; a file that cannot be used becomes a Failure and the rest goes on.

    `report_progress` is called with the number of cases done. Raises EngineError, which ends everything.
    """
    started = time.perf_counter()
    results: list[Future[list[Score]] | list[Failure]] = []
    done = 0
    # One thread reads, one compares, this one runs the engine, which lets the others go on meanwhile.
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as scorer:
        chunks = [cases[start : start + chunk] for start in range(0, len(cases), chunk)]
        for loaded in _read_ahead(reader, chunks):
            for group in _groups_of_one_size(loaded):
                if isinstance(group[0], Failure):
                    results.append(group)
                    continue
                before = time.perf_counter()
                q = engine.probability_map(np.stack([item.pixels for item in group]))
                seconds = (time.perf_counter() - before) / len(group)
                results.append(scorer.submit(_score_group, engine, group, q, threshold, seconds))
            done += len(loaded)
            report_progress(done)
        found = [item for group in results for item in (group.result() if isinstance(group, Future) else group)]
    return Outcome(tuple(found), time.perf_counter() - started)


def _read_ahead(reader: ThreadPoolExecutor, chunks: Sequence[Sequence[Case]]) -> Iterator[list[_Loaded | Failure]]:
    """The chunks in order, each read while the one before it is worked on."""
    pending = iter(chunks)
    queue = [reader.submit(_read_chunk, chunk) for chunk in islice(pending, 2)]
    while queue:
        loaded = queue.pop(0).result()
        queue.extend(reader.submit(_read_chunk, chunk) for chunk in islice(pending, 1))
        yield loaded


def _read_chunk(chunk: Sequence[Case]) -> list[_Loaded | Failure]:
    return [_read_case(case) for case in chunk]


def _read_case(case: Case) -> _Loaded | Failure:
    try:
        pixels, truth = case.pixels(), case.truth()
    except DatasetError as error:
        return Failure(case, str(error))
    if truth.shape != pixels.shape[:2]:
        return Failure(
            case,
            f"{case.patient}/{case.image.name} is {_size(pixels)} pixels and its mask {_size(truth)};"
            " give the mask of this image.",
        )
    return _Loaded(case, pixels, truth)


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"


def _groups_of_one_size(loaded: list[_Loaded | Failure]) -> list[list]:
    """Neighbours that can be stacked, in order: slices of one size, or failures."""
    groups: list[list] = []
    previous: object = None
    for item in loaded:
        kind = "failure" if isinstance(item, Failure) else item.truth.shape
        if kind != previous:
            groups.append([])
        groups[-1].append(item)
        previous = kind
    return groups


def _score_group(engine: Engine, group: list[_Loaded], q: np.ndarray, threshold: float, seconds: float) -> list[Score]:
    masks = mask_of(q, engine.card, threshold)
    return [score_slice(item.case, item.truth, q[index], masks[index], seconds) for index, item in enumerate(group)]

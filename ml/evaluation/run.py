"""An engine over all cases: files are read ahead and masks compared while the engine works on the next slices."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice

import numpy as np
from numpy.typing import NDArray

from ml.datasets import Case, DatasetError
from ml.datasets.loading import LoadedCase, load_case
from ml.engines import Engine, Inference
from ml.evaluation.scoring import Failure, Prediction, Score, SliceResult, mask_of, predict_slice, score_slice

# Slices that go to the engine together: enough for it to run some side by side, few enough to lie in memory.
CHUNK = 16

# Reads one case; what cannot be read becomes a Failure.
Read = Callable[[Case], LoadedCase | Failure]


@dataclass(frozen=True)
class Outcome:
    """Results in the order of the cases, and the seconds that everything took, reading and comparing included."""

    results: tuple[SliceResult, ...]
    seconds: float

    @property
    def scores(self) -> tuple[Score, ...]:
        """The slices that were compared with their masks."""
        return tuple(item for item in self.results if isinstance(item, Score))

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The slices that could not be evaluated."""
        return tuple(item for item in self.results if isinstance(item, Failure))


@dataclass(frozen=True)
class CaseResult:
    """One case's result, and the arrays behind it, None where there are none: they are too large to be kept for all.

    probability_u8: uint8 (H, W), round(255 p); truth: bool (H, W).
    is_out_of_distribution: what the input check says of the slice, None without a check.
    """

    result: SliceResult
    probability_u8: NDArray[np.uint8] | None = None
    truth: NDArray[np.bool] | None = None
    is_out_of_distribution: bool | None = None


def evaluate_cases(
    engine: Engine,
    cases: Sequence[Case],
    threshold: float,
    *,
    chunk: int = CHUNK,
    report_progress: Callable[[int], object] = lambda done: None,
) -> Outcome:
    """Run the engine and score every case; a file that cannot be used becomes a Failure and the rest goes on.

    `report_progress` is called with the number of cases done. Raises EngineError, which ends everything.
    """
    started = time.perf_counter()
    results: list[SliceResult] = []
    for scored in score_cases(engine, cases, threshold, chunk=chunk):
        results.extend(item.result for item in scored if not isinstance(item.result, Prediction))
        report_progress(len(results))
    return Outcome(tuple(results), time.perf_counter() - started)


def read_case(case: Case) -> LoadedCase | Failure:
    """Read a case in this process: for data sets of the operator's own."""
    try:
        return load_case(case)
    except DatasetError as error:
        return Failure(case, str(error))


def score_cases(
    engine: Engine, cases: Sequence[Case], threshold: float, *, chunk: int = CHUNK, read: Read = read_case
) -> Iterator[list[CaseResult]]:
    """The cases in order, `chunk` at a time, as soon as each chunk is compared. Raises EngineError.

    One thread reads, one compares, the caller's runs the engine, which lets the others go on meanwhile. A slice's
    numbers do not depend on its neighbors, so no number depends on `chunk`.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as scorer:
        chunks = [cases[start : start + chunk] for start in range(0, len(cases), chunk)]
        before: list[Future[list[CaseResult]]] = []
        for loaded in _read_ahead(reader, chunks, read):
            pending = [_submit(scorer, engine, group, threshold) for group in _groups_of_one_size(loaded)]
            if before:
                yield _gathered(before)
            before = pending
        if before:
            yield _gathered(before)


def _submit(
    scorer: ThreadPoolExecutor, engine: Engine, group: list[LoadedCase | Failure], threshold: float
) -> Future[list[CaseResult]]:
    """Run the engine on a group, and let the other thread compare."""
    loaded = [item for item in group if isinstance(item, LoadedCase)]
    if not loaded:
        return scorer.submit(lambda: [CaseResult(item) for item in group if isinstance(item, Failure)])
    began = time.perf_counter()
    found = engine.infer(np.stack([item.pixels for item in loaded]))  # (N, H, W, 3)
    seconds = (time.perf_counter() - began) / len(loaded)
    return scorer.submit(_score_group, engine, loaded, found, threshold, seconds)


def _gathered(groups: list[Future[list[CaseResult]]]) -> list[CaseResult]:
    return [item for group in groups for item in group.result()]


def _read_ahead(
    reader: ThreadPoolExecutor, chunks: Sequence[Sequence[Case]], read: Read
) -> Iterator[list[LoadedCase | Failure]]:
    """The chunks in order, each read while the one before it is worked on."""

    def read_chunk(chunk: Sequence[Case]) -> list[LoadedCase | Failure]:
        return [read(case) for case in chunk]

    pending = iter(chunks)
    queue = [reader.submit(read_chunk, chunk) for chunk in islice(pending, 2)]
    while queue:
        loaded = queue.pop(0).result()
        queue.extend(reader.submit(read_chunk, chunk) for chunk in islice(pending, 1))
        yield loaded


def _groups_of_one_size(loaded: list[LoadedCase | Failure]) -> list[list[LoadedCase | Failure]]:
    """Neighbors that can be stacked, in order: slices of one size, or failures."""
    by_size = groupby(loaded, key=lambda item: None if isinstance(item, Failure) else item.pixels.shape)
    return [list(group) for _, group in by_size]


def _score_group(
    engine: Engine, group: list[LoadedCase], found: Inference, threshold: float, seconds: float
) -> list[CaseResult]:
    masks = mask_of(found.probability_u8, engine.card, threshold)
    flags = found.is_out_of_distribution
    are_out = [None] * len(group) if flags is None else flags.tolist()
    return [
        CaseResult(_result(item, probability_u8, mask, seconds), probability_u8, item.truth, is_out)
        for item, probability_u8, mask, is_out in zip(group, found.probability_u8, masks, are_out, strict=True)
    ]


def _result(
    item: LoadedCase, probability_u8: NDArray[np.uint8], mask: NDArray[np.bool], seconds: float
) -> Score | Prediction:
    if item.truth is None:
        return predict_slice(item.case, probability_u8, mask, seconds)
    return score_slice(item.case, item.truth, probability_u8, mask, seconds)

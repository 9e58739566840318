"""An engine over all cases: files are read ahead and masks compared while the engine works on the next slices."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ml.datasets import Case, DatasetError
from ml.datasets.loading import LoadedCase, load_case
from ml.engines import Engine, Inference
from ml.evaluation.scoring import Failure, Prediction, Score, mask_of, predict_slice, score_slice

# Slices that go to the engine together: enough for it to run some side by side, few enough to lie in memory.
CHUNK = 16

# Reads one case; what cannot be read becomes a Failure.
Read = Callable[[Case], LoadedCase | Failure]


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
class CaseResult:
    """One case's result and the arrays behind it, None where there are none. q: uint8 (H, W); truth: bool (H, W).

    is_out_of_distribution: what the input check says of the slice, None without a check.
    """

    result: Score | Prediction | Failure
    q: np.ndarray | None = None
    truth: np.ndarray | None = None
    is_out_of_distribution: bool | None = None


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
    results: list[Score | Failure] = []
    for judged in score_cases(engine, cases, threshold, chunk=chunk):
        results.extend(item.result for item in judged if not isinstance(item.result, Prediction))
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
    numbers do not depend on its neighbours, so no number depends on `chunk`.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as scorer:
        chunks = [cases[start : start + chunk] for start in range(0, len(cases), chunk)]
        before: list[Future[list[CaseResult]]] = []
        for loaded in _read_ahead(reader, chunks, read):
            scored = []
            for group in _groups_of_one_size(loaded):
                if isinstance(group[0], Failure):
                    scored.append(scorer.submit(_keep_failures, group))
                    continue
                began = time.perf_counter()
                found = engine.infer(np.stack([item.pixels for item in group]))
                seconds = (time.perf_counter() - began) / len(group)
                scored.append(scorer.submit(_judge_group, engine, group, found, threshold, seconds))
            if before:
                yield _gathered(before)
            before = scored
        if before:
            yield _gathered(before)


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


def _groups_of_one_size(loaded: list[LoadedCase | Failure]) -> list[list]:
    """Neighbours that can be stacked, in order: slices of one size, or failures."""
    groups: list[list] = []
    previous: object = None
    for item in loaded:
        kind = "failure" if isinstance(item, Failure) else item.pixels.shape
        if kind != previous:
            groups.append([])
        groups[-1].append(item)
        previous = kind
    return groups


def _keep_failures(group: list[Failure]) -> list[CaseResult]:
    return [CaseResult(failure) for failure in group]


def _judge_group(
    engine: Engine, group: list[LoadedCase], found: Inference, threshold: float, seconds: float
) -> list[CaseResult]:
    masks = mask_of(found.q, engine.card, threshold)
    flags = found.is_out_of_distribution
    unlike = [None] * len(group) if flags is None else flags.tolist()
    return [_judge(item, *rest, seconds) for item, *rest in zip(group, found.q, masks, unlike, strict=True)]


def _judge(
    item: LoadedCase, q: np.ndarray, mask: np.ndarray, is_out_of_distribution: bool | None, seconds: float
) -> CaseResult:
    if item.truth is None:
        return CaseResult(predict_slice(item.case, q, mask, seconds), q, is_out_of_distribution=is_out_of_distribution)
    return CaseResult(score_slice(item.case, item.truth, q, mask, seconds), q, item.truth, is_out_of_distribution)

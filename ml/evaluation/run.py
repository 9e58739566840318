"""An engine over all cases: files are read ahead and masks compared while the engine works on the next slices."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.cards import Card
from ml.datasets import Case, DatasetError
from ml.datasets.duplicates import count_duplicates
from ml.datasets.loading import LoadedCase, load_case
from ml.datasets.mask_findings import DoubtfulMasks, MaskTraits, count_doubtful, trace_mask
from ml.datasets.stacks import find_stacks, parts_of_one_size
from ml.engines import Engine, Inference
from ml.engines.context import Context
from ml.evaluation.gallery import GalleryMaps
from ml.evaluation.scoring import (
    Failure,
    MaskedSlice,
    Prediction,
    Score,
    SliceResult,
    content_of,
    mask_of,
    mask_slices,
    predict_slice,
    score_slice,
    slices_sha256,
)
from ml.evaluation.volumes import VolumeCollector
from ml.metrics.slices import Value
from ml.skull import infer_stripped

# Slices that go to the engine together: enough for it to run some side by side, few enough to lie in memory.
CHUNK = 16

# Reads one case; what cannot be read becomes a Failure.
Read = Callable[[Case], LoadedCase | Failure]


@dataclass(frozen=True)
class Outcome:
    """Results in the order of the cases, and the seconds that everything took, reading and comparing included.

    volumes: by patient, of those who are volumes, the metrics of `ml.metrics.registry.VOLUME_METRICS`.
    doubtful_masks, duplicate_slices: of the cases that could be compared, where masks and slices were looked at; a
    duplicate is another patient's slice, too. training_slices: that the model was trained on, by their pixels.
    gallery_maps: probability maps, uint8 (H, W), of the gallery's slices, by their images.
    """

    results: tuple[SliceResult, ...]
    seconds: float
    doubtful_masks: DoubtfulMasks = field(default_factory=DoubtfulMasks)
    duplicate_slices: int = 0
    volumes: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    training_slices: int = 0
    gallery_maps: Mapping[Path, NDArray[np.uint8]] = field(default_factory=dict)

    @cached_property
    def scores(self) -> tuple[Score, ...]:
        """The slices that were compared with their masks."""
        return tuple(item for item in self.results if isinstance(item, Score))

    @cached_property
    def failures(self) -> tuple[Failure, ...]:
        """The slices that could not be evaluated."""
        return tuple(item for item in self.results if isinstance(item, Failure))

    @cached_property
    def slices_sha256(self) -> str | None:
        """Of `ml.evaluation.scoring.slices_sha256`."""
        return slices_sha256(self.results)


@dataclass(frozen=True)
class CaseResult:
    """One case's result, and the arrays behind it, None where there are none: they are too large to be kept for all.

    probability_u8: uint8 (H, W), round(255 p); truth: bool (H, W).
    is_out_of_distribution: what the input check says of the slice, None without a check. input_warning: the code of
    the warning of its background or sequence, None without one. mask: what the expert's mask is judged by, None without
    one, and where the case's reader did not look at it.
    is_of_training: whether the model was trained on the slice, by its pixels; None where its package cannot tell.
    is_first_look: whether the first member of a cascade answered alone; None for other models.
    """

    result: SliceResult
    probability_u8: NDArray[np.uint8] | None = None
    truth: NDArray[np.bool] | None = None
    is_out_of_distribution: bool | None = None
    input_warning: str | None = None
    mask: MaskTraits | None = None
    is_of_training: bool | None = None
    is_first_look: bool | None = None


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
    masks: list[MaskTraits | None] = []
    volumes = VolumeCollector()
    maps = GalleryMaps()
    training_slices = 0
    for scored in score_cases(engine, cases, threshold, chunk=chunk):
        results.extend(item.result for item in scored)
        masks.extend(item.mask for item in scored)
        training_slices += sum(bool(item.is_of_training) for item in scored)
        for item in scored:
            _collect(volumes, item, engine.card, threshold)
        maps.add(
            [
                (item.result.case.image, item.result.rank, item.probability_u8)
                for item in scored
                if isinstance(item.result, Score) and item.probability_u8 is not None
            ]
        )
        report_progress(len(results))
    slices = [
        (item.case.patient, mask.pixels_sha256) for item, mask in zip(results, masks, strict=True) if mask is not None
    ]
    seconds = time.perf_counter() - started
    doubtful = count_doubtful(masks, [item.case.patient for item in results])
    duplicates = count_duplicates(slices)
    return Outcome(tuple(results), seconds, doubtful, duplicates, volumes.measured, training_slices, maps.by_image)


def _collect(volumes: VolumeCollector, item: CaseResult, card: Card, threshold: float) -> None:
    """Keep a slice of a volume until all of them are there."""
    case, result = item.result.case, item.result
    if case.volume is None or not isinstance(result, Score) or item.probability_u8 is None or item.truth is None:
        return
    mask = mask_of(item.probability_u8, card, threshold, result.dropped)
    volumes.add(case.patient, int(case.image.name), case.volume, item.truth, mask)


def read_case(case: Case) -> LoadedCase | Failure:
    """Read a case in this process: for data sets of the operator's own."""
    if case.fault is not None:
        return Failure(case, case.fault.message, case.fault.code)
    try:
        return load_case(case)
    except DatasetError as error:
        return Failure(case, str(error))


def score_cases(
    engine: Engine, cases: Sequence[Case], threshold: float, *, chunk: int = CHUNK, read: Read = read_case
) -> Iterator[list[CaseResult]]:
    """The cases in order, a piece at a time, as soon as each piece is compared. Raises EngineError.

    A piece is `chunk` cases; of a model that sees stacks it is a patient, whose slices are looked at together. The
    engine is asked for at most `chunk` slices at once. One thread reads, one compares, the caller's runs the engine,
    which lets the others go on meanwhile. No number depends on `chunk`.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as scorer:
        before: Future[list[CaseResult]] | None = None
        for loaded in _read_ahead(reader, split_pieces(cases, chunk, engine.card), read):
            after = scorer.submit(_score_piece, engine.card, _answer_piece(engine, loaded, chunk), threshold)
            if before is not None:
                yield before.result()
            before = after
        if before is not None:
            yield before.result()


def split_pieces(cases: Sequence[Case], size: int, card: Card) -> list[Sequence[Case]]:
    """The cases in order, `size` at a time; for a model that sees stacks patient by patient."""
    if not card.sees_stacks:
        return [cases[start : start + size] for start in range(0, len(cases), size)]
    return [list(slices) for _, slices in groupby(cases, key=lambda case: case.patient)]


@dataclass(frozen=True)
class _Answer:
    """What the engine says of one case. probability_u8: uint8 (H, W)."""

    loaded: LoadedCase
    probability_u8: NDArray[np.uint8]
    is_out_of_distribution: bool | None
    input_warning: str | None
    is_of_training: bool | None
    is_first_look: bool | None
    seconds: float


def _answer_piece(engine: Engine, piece: Sequence[LoadedCase | Failure], chunk: int) -> list[_Answer | Failure]:
    """Run the engine on the slices of a piece; failures stay what they are."""
    answers: dict[int, _Answer | Failure] = {}
    alike: dict[object, list[tuple[int, LoadedCase]]] = defaultdict(list)
    for place, item in enumerate(piece):
        if isinstance(item, Failure):
            answers[place] = item
        else:
            alike[item.pixels.shape, item.is_skull_stripped].append((place, item))
    for group in alike.values():
        places, loaded = zip(*group, strict=True)
        answers.update(zip(places, _answer(engine, loaded, chunk), strict=True))
    return [answers[place] for place in range(len(piece))]


def _answer(engine: Engine, loaded: Sequence[LoadedCase], chunk: int) -> list[_Answer]:
    """Run the engine on slices of one size, all with their skull or all without."""
    stacks = find_stacks([item.case for item in loaded])
    order = [place for stack in stacks for place in stack]  # neighbors next to each other
    is_stripped = loaded[0].is_skull_stripped
    neighbors = 0 if is_stripped else engine.card.neighbors
    answers: dict[int, _Answer] = {}
    for given, context in Context.of_stacks(stacks).pieces(chunk, neighbors):
        places = order[given]
        began = time.perf_counter()
        pixels = np.stack([loaded[place].pixels for place in places])  # (N, H, W, 3)
        found = infer_stripped(engine, pixels) if is_stripped else engine.infer(pixels, context)
        asked = places[context.asked]
        seconds = (time.perf_counter() - began) / len(asked)
        answers.update(zip(asked, _answers(engine, [loaded[place] for place in asked], found, seconds), strict=True))
    return [answers[place] for place in range(len(loaded))]


def _answers(engine: Engine, loaded: Sequence[LoadedCase], found: Inference, seconds: float) -> list[_Answer]:
    """What the engine found on these slices, each by itself."""
    flags = found.is_out_of_distribution
    are_out = [None] * len(loaded) if flags is None else flags.tolist()
    # Each slice by itself: a case is no part of a scan.
    reads_flair = engine.card.input.flair_channel is not None
    told = [found.input_warning_of(index, item.is_flair if reads_flair else None) for index, item in enumerate(loaded)]
    known = [None] * len(loaded) if found.is_of_training is None else found.is_of_training.tolist()
    alone = [None] * len(loaded) if found.is_first_look is None else found.is_first_look.tolist()
    return [
        _Answer(item, found.probability_u8[index], are_out[index], told[index], known[index], alone[index], seconds)
        for index, item in enumerate(loaded)
    ]


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


def _score_piece(card: Card, answers: list[_Answer | Failure], threshold: float) -> list[CaseResult]:
    """Mask and compare the slices of a piece; those of a stack together, where the model has a depth rule."""
    results: dict[int, CaseResult] = {
        place: CaseResult(item) for place, item in enumerate(answers) if isinstance(item, Failure)
    }
    answered = [(place, item) for place, item in enumerate(answers) if isinstance(item, _Answer)]
    for group in _stacks(card, [item for _, item in answered]):
        places, stack = zip(*(answered[index] for index in group), strict=True)
        maps = np.stack([item.probability_u8 for item in stack])  # (N, H, W)
        seconds = [item.seconds for item in stack]
        masked = mask_slices(maps, card, threshold, seconds, is_stack=card.depth is not None)
        for place, item, one in zip(places, stack, masked, strict=True):
            results[place] = CaseResult(
                _result(item.loaded, one),
                item.probability_u8,
                item.loaded.truth,
                item.is_out_of_distribution,
                item.input_warning,
                _trace(item.loaded),
                item.is_of_training,
                item.is_first_look,
            )
    return [results[place] for place in range(len(answers))]


def _stacks(card: Card, answers: Sequence[_Answer]) -> Iterator[Sequence[int]]:
    """Places of slices of one size that are masked together, from the lowest up."""
    places: Sequence[Sequence[int]] = [range(len(answers))]
    if card.depth is not None:
        places = find_stacks([item.loaded.case for item in answers])
    shapes = [item.probability_u8.shape for item in answers]
    for stack in places:
        yield from parts_of_one_size(stack, shapes)


def _trace(loaded: LoadedCase) -> MaskTraits | None:
    if loaded.truth is None or loaded.mask_codes is None:
        return None
    return trace_mask(loaded.pixels, loaded.truth, loaded.mask_codes, loaded.truth_sha256)


def _result(item: LoadedCase, one: MaskedSlice) -> Score | Prediction:
    result = predict_slice(item.case, one) if item.truth is None else score_slice(item.case, item.truth, one)
    return replace(result, content=content_of(item))

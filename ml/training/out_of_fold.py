"""Probability maps of validation slices, kept with the run: what is chosen later is chosen from them.

`maps.npz`: for each slice `PATIENT/NAME`, uint8 (H, W), round(255 p) on the slice's own grid, compressed; and
`seconds`, float64 (slices,), of the network, in the order of the slices.
"""

import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ml.atomic_files import fresh_file
from ml.cards.card import Card
from ml.datasets import Case, DatasetError
from ml.engines import Engine
from ml.evaluation.run import Outcome, score_cases
from ml.evaluation.scoring import Failure, Score, mask_slices, score_slice

MAPS_FILE = "maps.npz"
_SECONDS = "seconds"


def evaluate_and_keep(engine: Engine, cases: Sequence[Case], threshold: float, folder: Path) -> Outcome:
    """As `evaluate_cases`, and writes MAPS_FILE into `folder`, whole or not at all. Raises EngineError and OSError."""
    results: list[Score | Failure] = []
    maps: dict[str, NDArray[np.uint8]] = {}
    seconds = []
    keys = iter(keys_of(cases))
    for chunk in score_cases(engine, cases, threshold):
        for found in chunk:
            key = next(keys)
            if isinstance(found.result, Score) and found.probability_u8 is not None:
                maps[key] = found.probability_u8
                seconds.append(found.result.seconds)
            if isinstance(found.result, Score | Failure):
                results.append(found.result)
    with fresh_file(folder / MAPS_FILE) as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{_SECONDS: np.array(seconds), **maps})
    return Outcome(tuple(results), sum(seconds))


def score_maps(folder: Path, cases: Sequence[Case], card: Card, threshold: float) -> list[Score]:
    """Figures of the kept maps of `cases`, in that order. Raises DatasetError where a map is missing or damaged."""
    kept = read_maps(folder, cases)
    return [_score(case, *found, card, threshold) for case, found in zip(cases, kept, strict=True)]


def read_maps(folder: Path, cases: Sequence[Case]) -> list[tuple[NDArray[np.uint8], float]]:
    """The kept map of each case, uint8 (H, W), and the network's seconds for it.

    Raises DatasetError where a map is missing or damaged.
    """
    path = folder / MAPS_FILE
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            names = [name for name in content.files if name != _SECONDS]
            seconds = dict(zip(names, content[_SECONDS].tolist(), strict=True))
            found = [(content[key], seconds[key]) for key in keys_of(cases)]
    except (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error) as error:
        raise DatasetError(f"{path} has not the maps of this fold ({error}); train the fold again.") from error
    if any(probability_u8.dtype != np.uint8 or probability_u8.ndim != 2 for probability_u8, _ in found):
        raise DatasetError(f"{path} holds other arrays than maps of 8 bits; train the fold again.")
    return found


def keys_of(cases: Sequence[Case]) -> list[str]:
    """The names of slices' maps in the file. A patient whom a data set has in two folders may have two of one name."""
    seen: Counter[str] = Counter()
    found = []
    for name in (f"{case.patient}/{case.name}" for case in cases):
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return found


def _score(case: Case, probability_u8: NDArray[np.uint8], seconds: float, card: Card, threshold: float) -> Score:
    """probability_u8: uint8 (H, W)."""
    truth = case.truth()
    if truth is None or truth.shape != probability_u8.shape:
        raise DatasetError(
            f"{case.patient}/{case.name} has no mask of its map's size; mend the data, or train the fold again."
        )
    (masked,) = mask_slices(probability_u8[None], card, threshold, [seconds], is_stack=False)
    return score_slice(case, truth, masked)

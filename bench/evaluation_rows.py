"""Cases of an evaluation that nobody ran: figures as a good model has them, without images and without an engine."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ml.datasets.case import Case
from ml.evaluation.run import CaseResult
from ml.evaluation.scoring import Failure, Score
from ml.metrics.calibration import LEVELS, pack_histogram
from ml.metrics.overlap import Counts, dice, iou, precision, recall
from webapp.domain.evaluations.manifest import ListedCase

SIDE = 256
SLICES_OF_A_PATIENT = 35
# Shares as the LGG data set has them, and errors as the shipped model makes them, in about the same numbers.
TUMOR_SHARE, MISSED_SHARE, FALSE_ALARM_SHARE = 0.35, 0.04, 0.05
FAILED_EVERY = 5000
# Every map's shape without its bytes: rows need no more of it.
_GRID = np.broadcast_to(np.uint8(0), (SIDE, SIDE))


def synthetic_cases(count: int, seed: int = 1) -> Iterator[tuple[ListedCase, CaseResult]]:
    """So many cases in the order of a data set of patient folders, each with what an evaluation found of it."""
    chance = random.Random(seed)
    for position in range(count):
        patient, number = divmod(position, SLICES_OF_A_PATIENT)
        name = f"TCGA_{patient:05d}"
        image = f"{name}/{name}_{number + 1}.tif"
        digest = f"{chance.getrandbits(256):064x}"
        listed = ListedCase(position, name, image, image.replace(".tif", "_mask.tif"), image_sha256=digest)
        case = Case(name, Path(image), None)
        if position % FAILED_EVERY == FAILED_EVERY // 2:
            yield listed, CaseResult(Failure(case, f"{image} is damaged; export it again."))
        else:
            yield listed, CaseResult(_score(case, chance), _GRID)


def _score(case: Case, chance: random.Random) -> Score:
    counts = _counts(chance)
    hd95 = surface_dice = None
    if counts.truth:
        is_found = counts.predicted > 0
        hd95 = chance.lognormvariate(0.9, 0.8) if is_found else SIDE * 2**0.5
        surface_dice = chance.betavariate(8, 1.5) if is_found else 0.0
    highest = chance.uniform(0.6, 1.0) if counts.predicted else chance.uniform(0.0, 0.6)
    histogram = pack_histogram(_histogram(counts, round(255 * highest), chance))
    metrics = {
        "truth_pixels": counts.truth,
        "predicted_pixels": counts.predicted,
        "dice": dice(counts),
        "iou": iou(counts),
        "precision": precision(counts),
        "recall": recall(counts),
        "hd95": hd95,
        "surface_dice": surface_dice,
        "max_probability": round(255 * highest) / 255,
        "doubtful_pixels": 0,
        "uncounted_pixels": 0,
        "verdict_probability": round(255 * highest) / 255,
        "seconds": chance.gauss(0.03, 0.002),
    }
    return Score(case, counts, metrics, histogram)


def _counts(chance: random.Random) -> Counts:
    if chance.random() >= TUMOR_SHARE:
        alarm = chance.randrange(30, 600) if chance.random() < FALSE_ALARM_SHARE else 0
        return Counts(false_positive=alarm, true_negative=SIDE * SIDE - alarm)
    truth = min(12_000, max(20, round(chance.lognormvariate(7.2, 1.0))))
    if chance.random() < MISSED_SHARE:
        return Counts(false_negative=truth, true_negative=SIDE * SIDE - truth)
    found = max(1, round(truth * chance.betavariate(9, 1)))
    extra = round(truth * chance.betavariate(1, 9))
    return Counts(found, extra, truth - found, SIDE * SIDE - truth - extra)


def _histogram(counts: Counts, highest: int, chance: random.Random) -> np.ndarray:
    """Pixels at each level, nearly all of them at 0 and at the highest, some in between. int64 (2, 256)."""
    histogram = np.zeros((2, LEVELS), dtype=np.int64)
    histogram[0, highest], histogram[1, highest] = counts.predicted, counts.true_positive
    between = [chance.randrange(1, max(2, highest)) for _ in range(min(40, counts.true_negative))]
    np.add.at(histogram[0], between, 1)
    histogram[0, 0] += SIDE * SIDE - histogram[0].sum()
    histogram[1, 0] += counts.truth - histogram[1].sum()
    return histogram

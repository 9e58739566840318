"""One case of an evaluation: what is known of one slice after the engine and the mask rule."""

from dataclasses import dataclass

import numpy as np

from ml.cards.card import Card
from ml.datasets import Case
from ml.masks import min_pixels_on_grid, tumor_mask
from ml.metrics.calibration import count_levels, pack_levels
from ml.metrics.overlap import Counts, count
from ml.metrics.surfaces import SurfaceFigures, compare_surfaces


@dataclass(frozen=True)
class Score:
    """A slice that was evaluated. seconds: of the engine, its share of the chunk it ran in."""

    case: Case
    counts: Counts
    surface: SurfaceFigures
    max_probability: float
    levels: bytes  # of ml.metrics.calibration.pack_levels
    seconds: float


@dataclass(frozen=True)
class Prediction:
    """A slice without an expert's mask: what the model says of it, and nothing to compare that with."""

    case: Case
    predicted_pixels: int
    max_probability: float
    seconds: float


@dataclass(frozen=True)
class Failure:
    """A slice that could not be evaluated, and the sentence that says why and what to do; `code`: for programs."""

    case: Case
    message: str
    code: str = "unreadable"


def mask_of(q: np.ndarray, card: Card, threshold: float) -> np.ndarray:
    """The mask rule of ml.masks for slices of one size. q: uint8 (N, H, W). Returns bool (N, H, W)."""
    smallest = min_pixels_on_grid(card.min_tumor_pixels, card.input.size, *q.shape[1:])
    return tumor_mask(q, threshold, smallest)


def score_slice(case: Case, truth: np.ndarray, q: np.ndarray, mask: np.ndarray, seconds: float) -> Score:
    """All figures of one slice. truth, mask: bool (H, W); q: uint8 (H, W)."""
    return Score(
        case=case,
        counts=count(truth, mask),
        surface=compare_surfaces(truth, mask),
        max_probability=int(q.max()) / 255,
        levels=pack_levels(count_levels(q, truth)),
        seconds=seconds,
    )


def predict_slice(case: Case, q: np.ndarray, mask: np.ndarray, seconds: float) -> Prediction:
    """What is known of a slice without truth. q: uint8 (H, W); mask: bool (H, W)."""
    return Prediction(case, int(np.count_nonzero(mask)), int(q.max()) / 255, seconds)

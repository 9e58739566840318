"""The best and the worst slices, with what went wrong drawn on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.engines import Engine
from ml.evaluation.scoring import Score, mask_of
from ml.metrics.overlap import dice
from ml.rendering.error_overlay import error_overlay_image
from ml.rendering.panels import encode_png

GALLERY_SIZE = 6


@dataclass(frozen=True)
class Picture:
    """One slice of the gallery. rank: 1 is the best of the best, or the worst of the worst; file: in `gallery/`."""

    order: str  # "worst", "best" or "false_alarm"
    rank: int
    patient: str
    image: str
    dice: float | None
    truth_pixels: int
    predicted_pixels: int
    max_probability: float
    file: str


@dataclass(frozen=True)
class Look:
    """The arrays of one slice. pixels: uint8 (H, W, 3); truth, mask: bool (H, W)."""

    pixels: np.ndarray
    truth: np.ndarray
    mask: np.ndarray


def look_again(engine: Engine, threshold: float) -> Callable[[Score], Look]:
    """Looks that run the engine once more on these few slices: keeping every mask costs more."""

    def look(score: Score) -> Look:
        pixels, truth = score.case.pixels(), score.case.truth()
        return Look(pixels, truth, mask_of(engine.probability_map(pixels[None]), engine.card, threshold)[0])

    return look


def draw_gallery(folder: Path, scores: Sequence[Score], look: Callable[[Score], Look]) -> tuple[Picture, ...]:
    """Write the pictures into `folder`."""
    folder.mkdir()
    return tuple(
        _draw(folder, score, look, order, rank)
        for order, members in choose_gallery(scores)
        for rank, score in enumerate(members, start=1)
    )


def choose_gallery(scores: Sequence[Score]) -> tuple[tuple[str, list[Score]], ...]:
    """The slices of each order, the first one foremost."""
    with_tumor = sorted(
        (score for score in scores if score.counts.truth),
        key=lambda score: (dice(score.counts), score.case.patient, score.case.image.name),
    )
    alarms = sorted(
        (score for score in scores if score.counts.predicted and not score.counts.truth),
        key=lambda score: (-score.counts.predicted, score.case.patient, score.case.image.name),
    )
    worst = with_tumor[:GALLERY_SIZE]
    # Of few slices none is both: the best are those that are not already among the worst.
    best = with_tumor[len(worst) :][::-1][:GALLERY_SIZE]
    return ("worst", worst), ("false_alarm", alarms[:GALLERY_SIZE]), ("best", best)


def _draw(folder: Path, score: Score, look: Callable[[Score], Look], order: str, rank: int) -> Picture:
    seen = look(score)
    file = f"{order}_{rank}.png"
    (folder / file).write_bytes(encode_png(error_overlay_image(seen.pixels, seen.truth, seen.mask)))
    return Picture(
        order=order,
        rank=rank,
        patient=score.case.patient,
        image=score.case.image.name,
        dice=dice(score.counts),
        truth_pixels=score.counts.truth,
        predicted_pixels=score.counts.predicted,
        max_probability=score.max_probability,
        file=file,
    )

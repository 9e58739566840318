"""The best and the worst slices, with what went wrong drawn on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.engines import Engine
from ml.error_overlay import error_overlay_image
from ml.evaluation.scoring import Score, mask_of
from ml.metrics.overlap import dice
from ml.rendering import encode_png

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


def draw_gallery(folder: Path, engine: Engine, scores: Sequence[Score], threshold: float) -> tuple[Picture, ...]:
    """Write the pictures into `folder`. The engine runs once more on these few: keeping every mask costs more."""
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
    chosen = (("worst", worst), ("false_alarm", alarms[:GALLERY_SIZE]), ("best", best))
    folder.mkdir()
    return tuple(
        _draw(folder, engine, score, threshold, order, rank)
        for order, members in chosen
        for rank, score in enumerate(members, start=1)
    )


def _draw(folder: Path, engine: Engine, score: Score, threshold: float, order: str, rank: int) -> Picture:
    pixels, truth = score.case.pixels(), score.case.truth()
    mask = mask_of(engine.probability_map(pixels[None]), engine.card, threshold)[0]
    file = f"{order}_{rank}.png"
    (folder / file).write_bytes(encode_png(error_overlay_image(pixels, truth, mask)))
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

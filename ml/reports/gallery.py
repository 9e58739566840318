"""The best and the worst slices, with what went wrong drawn on them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ml.datasets import DatasetError
from ml.engines import Engine
from ml.evaluation.gallery import choose_gallery
from ml.evaluation.scoring import Score, mask_of
from ml.rendering.error_overlay import error_overlay_image
from ml.rendering.panels import encode_png


@dataclass(frozen=True)
class Picture:
    """One slice of the gallery. rank: 1 is the best of the best, or the worst of the worst; file: in `gallery/`."""

    order: str  # of ml.evaluation.gallery.ORDERS
    rank: int
    patient: str
    image: str
    dice: float | None
    truth_pixels: int
    predicted_pixels: int
    max_probability: float
    file: str


@dataclass(frozen=True)
class SliceArrays:
    """The arrays of one slice. pixels: uint8 (H, W, 3); truth, mask: bool (H, W); channel: that is shown in gray."""

    pixels: NDArray[np.uint8]
    truth: NDArray[np.bool]
    mask: NDArray[np.bool]
    channel: int | None = None


def arrays_of(
    engine: Engine, threshold: float, maps: Mapping[Path, NDArray[np.uint8]] = MappingProxyType({})
) -> Callable[[Score], SliceArrays]:
    """Reads a slice again, whose map is in `maps` by its image; else the engine is run on it once more."""

    def read(score: Score) -> SliceArrays:
        pixels, truth = score.case.pixels(), score.case.truth()
        if truth is None:
            raise DatasetError(f"{score.case.image} has no mask any more; evaluate again.")
        probability_u8 = maps.get(score.case.image)
        if probability_u8 is None:
            probability_u8 = engine.probability_map(pixels[None])[0]
        mask = mask_of(probability_u8, engine.card, threshold, score.dropped)
        return SliceArrays(pixels, truth, mask, engine.card.input.flair_channel)

    return read


def choose_scores(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """The slices of each order, the first one foremost."""
    return choose_gallery(scores, lambda score: score.rank)


def draw_gallery(folder: Path, scores: Sequence[Score], read: Callable[[Score], SliceArrays]) -> tuple[Picture, ...]:
    """Write the pictures into `folder`; `read` gives a slice's arrays."""
    folder.mkdir()
    return tuple(
        _draw(folder, score, read(score), order, rank)
        for order, members in choose_scores(scores).items()
        for rank, score in enumerate(members, start=1)
    )


def _draw(folder: Path, score: Score, arrays: SliceArrays, order: str, rank: int) -> Picture:
    file = f"{order}_{rank}.png"
    image = error_overlay_image(arrays.pixels, arrays.truth, arrays.mask, channel=arrays.channel)
    (folder / file).write_bytes(encode_png(image))
    return Picture(
        order=order,
        rank=rank,
        patient=score.patient,
        image=score.case.file_name,
        dice=score.dice,
        truth_pixels=score.counts.truth,
        predicted_pixels=score.counts.predicted,
        max_probability=score.max_probability,
        file=file,
    )

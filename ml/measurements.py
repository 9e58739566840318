"""What a mask amounts to: pixels, coverage, area or volume, the verdict, what is in doubt or not counted.

Never imports torch.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ml.head import head_mask
from ml.masks import Masks, Pixel, label_regions, outline
from ml.ood.background import BRIGHT_BACKGROUND
from ml.ood.detector import UNLIKE
from ml.ood.sequences import CHANNEL_ORDER, FLAIR_MISSING, MIXED_SEQUENCES, NOT_FLAIR, PLAINLY_NOT_FLAIR


class Verdict(StrEnum):
    """What a segmentation says of the whole scan."""

    TUMOR_DETECTED = "tumor_detected"
    UNCERTAIN = "uncertain"
    NO_TUMOR = "no_tumor"
    NOT_ASSESSED = "not_assessed"


# The rim of a mask: what the model neither gives nor denies it. Probabilities from and below, 8 bit.
RIM_FROM, RIM_BELOW = 64, 192

# Warnings under which a mask is no finding.
VOIDING_FINDINGS = frozenset({FLAIR_MISSING, PLAINLY_NOT_FLAIR, BRIGHT_BACKGROUND})
# And those under which an empty mask is no all-clear: the model cannot read such a scan.
VOIDING_WARNINGS = VOIDING_FINDINGS | {UNLIKE, NOT_FLAIR, MIXED_SEQUENCES, CHANNEL_ORDER}


@dataclass(frozen=True)
class SliceMeasure:
    """One slice: pixels of its mask and of its regions in doubt, and the highest probability anywhere in it.

    uncounted_pixels, dropped: of `ml.masks.Masks`. area_mm2: of its mask; None where the spacing is not known.
    mean_confidence: the mean probability of the mask's pixels, None
    without any. rim_pixels: those from RIM_FROM to below RIM_BELOW in the mask and joined to it; border_pixels: the
    mask's own at its edge. head_pixels: of `ml.head`, None where the scan was not at hand. is_first_look: whether the
    first member of a cascade answered alone.
    """

    index: int
    tumor_pixels: int
    max_probability: float
    doubtful_pixels: int = 0
    uncounted_pixels: int = 0
    dropped: tuple[Pixel, ...] = ()
    area_mm2: float | None = None
    mean_confidence: float | None = None
    rim_pixels: int = 0
    border_pixels: int = 0
    head_pixels: int | None = None
    is_first_look: bool = False

    @property
    def head_coverage_percent(self) -> float | None:
        """The mask's share of the head, in percent; None where there is no head, or it was not looked for."""
        return 100 * self.tumor_pixels / self.head_pixels if self.head_pixels else None

    @property
    def rim_width_pixels(self) -> float | None:
        """The rim's pixels for each pixel of the mask's border; None without a mask."""
        return self.rim_pixels / self.border_pixels if self.border_pixels else None


@dataclass(frozen=True)
class DoubtfulRegion:
    """The region in doubt with the highest probability, the largest of equal ones, and how many there are in all."""

    slice: int
    pixels: int
    max_probability: float
    regions: int


@dataclass(frozen=True)
class Measures:
    """What the masks amount to. Area only for one slice with known spacing, volume only for a stack with it.

    doubt: None where nothing is in doubt.
    """

    verdict: Verdict
    tumor_pixels: int
    total_pixels: int
    coverage_percent: float
    max_probability: float
    area_mm2: float | None
    volume_mm3: float | None
    slices: tuple[SliceMeasure, ...]
    doubt: DoubtfulRegion | None = None


def verdict_of(*, has_tumor: bool, has_doubt: bool, warnings: Collection[str] = ()) -> Verdict:
    """The verdict on a scan or a slice. has_tumor, has_doubt: whether the mask, or a region in doubt, has a pixel."""
    if VOIDING_FINDINGS.intersection(warnings):
        return Verdict.NOT_ASSESSED
    if has_tumor:
        return Verdict.TUMOR_DETECTED
    if has_doubt:
        return Verdict.UNCERTAIN
    return Verdict.NOT_ASSESSED if VOIDING_WARNINGS.intersection(warnings) else Verdict.NO_TUMOR


def measure(
    probability_u8: NDArray[np.uint8],
    masks: Masks,
    spacing_mm: tuple[float, float, float] | None,
    warnings: Collection[str] = (),
    pixels: NDArray[np.uint8] | None = None,
    is_first_look: NDArray[np.bool] | None = None,
) -> Measures:
    """Pixels, coverage and, where the spacing (slice, row, column) is known, area or volume.

    probability_u8: round(255 p), uint8 (N, H, W), N >= 1. warnings: the codes of the scan's. pixels: the scan, uint8
    (N, H, W, 3), in which the head is looked for; None: it is not. is_first_look: bool (N,), of `ml.engines.Inference`.
    """
    pixel_mm2 = None if spacing_mm is None else spacing_mm[1] * spacing_mm[2]
    slices = _measure_slices(probability_u8, masks, pixel_mm2, pixels, is_first_look)
    tumor_pixels = sum(item.tumor_pixels for item in slices)
    doubt = _find_doubt(probability_u8, masks.doubtful, slices)
    area_mm2 = volume_mm3 = None
    if spacing_mm is not None:
        if len(slices) == 1:
            area_mm2 = tumor_pixels * spacing_mm[1] * spacing_mm[2]
        elif spacing_mm[0]:
            volume_mm3 = tumor_pixels * spacing_mm[0] * spacing_mm[1] * spacing_mm[2]
    return Measures(
        verdict=verdict_of(has_tumor=tumor_pixels > 0, has_doubt=doubt is not None, warnings=warnings),
        tumor_pixels=tumor_pixels,
        total_pixels=masks.tumor.size,
        coverage_percent=100 * tumor_pixels / masks.tumor.size,
        max_probability=max(item.max_probability for item in slices),
        area_mm2=area_mm2,
        volume_mm3=volume_mm3,
        slices=slices,
        doubt=doubt,
    )


def _measure_slices(
    probability_u8: NDArray[np.uint8],
    masks: Masks,
    pixel_mm2: float | None,
    pixels: NDArray[np.uint8] | None,
    is_first_look: NDArray[np.bool] | None,
) -> tuple[SliceMeasure, ...]:
    """Of each slice by itself; the arrays are those of `measure`."""
    heads = None if pixels is None else np.count_nonzero(head_mask(pixels) | masks.tumor, axis=(1, 2))  # (N,)
    return tuple(
        SliceMeasure(
            index=index,
            tumor_pixels=int(np.count_nonzero(tumor)),
            max_probability=int(slice_u8.max()) / 255,
            doubtful_pixels=int(np.count_nonzero(doubtful)),
            uncounted_pixels=int(np.count_nonzero(uncounted)),
            dropped=dropped,
            area_mm2=None if pixel_mm2 is None else int(np.count_nonzero(tumor)) * pixel_mm2,
            mean_confidence=float(slice_u8[tumor].mean()) / 255 if tumor.any() else None,
            rim_pixels=_rim_pixels(slice_u8, tumor),
            border_pixels=int(np.count_nonzero(outline(tumor))),
            head_pixels=None if heads is None else int(heads[index]),
            is_first_look=is_first_look is not None and bool(is_first_look[index]),
        )
        for index, (slice_u8, tumor, doubtful, uncounted, dropped) in enumerate(
            zip(probability_u8, masks.tumor, masks.doubtful, masks.uncounted, masks.dropped, strict=True)
        )
    )


def _rim_pixels(probability_u8: NDArray[np.uint8], tumor: NDArray[np.bool]) -> int:
    """Pixels of the rim of one slice's mask. probability_u8: uint8 (H, W); tumor: bool (H, W)."""
    if not tumor.any():
        return 0
    regions, count = label_regions((probability_u8 >= RIM_FROM) | tumor)
    is_joined = np.zeros(count + 1, bool)
    is_joined[regions[tumor]] = True
    is_rim = is_joined[regions] & (probability_u8 >= RIM_FROM) & (probability_u8 < RIM_BELOW)
    return int(np.count_nonzero(is_rim))


def _find_doubt(
    probability_u8: NDArray[np.uint8], doubtful: NDArray[np.bool], slices: tuple[SliceMeasure, ...]
) -> DoubtfulRegion | None:
    """probability_u8: uint8 (N, H, W); doubtful: bool (N, H, W)."""
    found = []
    for item in slices:
        if item.doubtful_pixels:
            labels, count = label_regions(doubtful[item.index])
            pixels = np.bincount(labels.ravel())
            for region in range(1, count + 1):
                found.append((int(probability_u8[item.index][labels == region].max()), int(pixels[region]), item.index))
    if not found:
        return None
    highest, pixels_in_doubt, index = max(found, key=lambda region: region[:2])
    return DoubtfulRegion(index, pixels_in_doubt, highest / 255, len(found))

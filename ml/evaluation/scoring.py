"""One case of an evaluation: what is known of one slice after the engine and the mask rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.cards import Card
from ml.datasets import Case
from ml.datasets.file_names import shown
from ml.datasets.loading import LoadedCase
from ml.datasets.volume_slices import is_volume
from ml.digests import sha256_of_array, sha256_of_lines
from ml.evaluation.gallery import Rank
from ml.evaluation.outlines import pack_outlines
from ml.masks import Pixel, apply_rule, rule_on_grid, slice_masks
from ml.metrics.calibration import pack_histogram, probability_histogram
from ml.metrics.overlap import Counts
from ml.metrics.registry import SLICE_METRICS
from ml.metrics.slices import SliceComparison, Value


@dataclass(frozen=True)
class SliceContent:
    """What a slice and its expert's mask show, whatever their files are: SHA-256 of the arrays that were read.

    truth_sha256: None without a mask.
    """

    pixels_sha256: str
    truth_sha256: str | None


@dataclass(frozen=True)
class Score:
    """A slice that was compared with its expert mask.

    metrics: by the names of `ml.metrics.registry.SLICE_METRICS`; probability_histogram: of
    `ml.metrics.calibration.pack_histogram`; dropped: of `ml.masks.Masks`; content: None where nobody took it down;
    outlines: of `ml.evaluation.outlines.pack_outlines`, None where an earlier version compared.
    """

    case: Case
    counts: Counts
    metrics: Mapping[str, Value]
    probability_histogram: bytes
    dropped: tuple[Pixel, ...] = ()
    content: SliceContent | None = None
    outlines: bytes | None = None

    @property
    def patient(self) -> str:
        """The case's patient."""
        return self.case.patient

    @property
    def dice(self) -> float | None:
        """None where the truth is empty."""
        return self.metrics["dice"]

    @property
    def rank(self) -> Rank:
        """What its place in the gallery follows from."""
        return Rank(self.dice, self.counts.predicted, self.counts.false_negative)

    @property
    def max_probability(self) -> float:
        """The highest probability of the slice, inside the mask or not."""
        return self.metrics["max_probability"] or 0.0

    @property
    def seconds(self) -> float:
        """Of the engine."""
        return self.metrics["seconds"] or 0.0


@dataclass(frozen=True)
class Prediction:
    """A slice without an expert's mask: the metrics that need none, and nothing to compare them with."""

    case: Case
    metrics: Mapping[str, Value]
    dropped: tuple[Pixel, ...] = ()
    content: SliceContent | None = None


@dataclass(frozen=True)
class Failure:
    """A slice that could not be evaluated, and the sentence that says why and what to do; `code`: for programs."""

    case: Case
    message: str
    code: str = "unreadable"

    @property
    def sentence(self) -> str:
        """The message, with patient and file where it names neither."""
        case = self.case
        names = [case.patient, *(path.name for path in case.files)]
        if any(shown(name) in self.message for name in names[: 1 if is_volume(case.image) else None]):
            return self.message
        files = case.fault.files if case.fault is not None else (f"{case.patient}/{case.files[0].name}",)
        return f"{', '.join(map(shown, files))}: {self.message}"


# What became of a case.
SliceResult = Score | Prediction | Failure


@dataclass(frozen=True)
class MaskedSlice:
    """A slice after the mask rule. probability_u8: uint8 (H, W), round(255 p); tumor, doubtful, uncounted:
    bool (H, W).

    dropped: of `ml.masks.Masks`; min_tumor_pixels: of this grid; seconds: of the engine.
    """

    probability_u8: NDArray[np.uint8]
    tumor: NDArray[np.bool]
    doubtful: NDArray[np.bool]
    uncounted: NDArray[np.bool]
    dropped: tuple[Pixel, ...]
    min_tumor_pixels: int
    seconds: float

    def beside(self, truth: NDArray[np.bool] | None) -> SliceComparison:
        """What metrics are computed from. truth: bool (H, W)."""
        return SliceComparison(
            self.probability_u8,
            self.tumor,
            truth,
            self.seconds,
            doubtful_pixels=int(np.count_nonzero(self.doubtful)),
            uncounted_pixels=int(np.count_nonzero(self.uncounted)),
            min_tumor_pixels=self.min_tumor_pixels,
        )


def mask_slices(
    probability_u8: NDArray[np.uint8], card: Card, threshold: float, seconds: Sequence[float], *, is_stack: bool
) -> list[MaskedSlice]:
    """The mask rule on slices of one size, uint8 (N, H, W). is_stack: whether they lie on each other, in order."""
    rule = rule_on_grid(card, threshold, *probability_u8.shape[1:])
    masks = apply_rule(probability_u8, rule, is_stack=is_stack)
    return [
        MaskedSlice(
            one_u8,
            masks.tumor[index],
            masks.doubtful[index],
            masks.uncounted[index],
            masks.dropped[index],
            rule.min_tumor_pixels,
            seconds[index],
        )
        for index, one_u8 in enumerate(probability_u8)
    ]


def mask_of(
    probability_u8: NDArray[np.uint8], card: Card, threshold: float, dropped: tuple[Pixel, ...] = ()
) -> NDArray[np.bool]:
    """The mask of a slice, bool (H, W). probability_u8: uint8 (H, W); dropped: of `ml.masks.Masks`."""
    rule = rule_on_grid(card, threshold, *probability_u8.shape)
    mask: NDArray[np.bool] = slice_masks(probability_u8[None], rule, dropped).tumor[0]
    return mask


def score_slice(case: Case, truth: NDArray[np.bool], one: MaskedSlice) -> Score:
    """All metrics of one slice. truth: bool (H, W)."""
    compared = one.beside(truth)
    return Score(
        case=case,
        counts=compared.counts,
        metrics={metric.name: metric.compute(compared) for metric in SLICE_METRICS},
        probability_histogram=pack_histogram(probability_histogram(one.probability_u8, truth)),
        dropped=one.dropped,
        outlines=pack_outlines(truth, one.tumor),
    )


def predict_slice(case: Case, one: MaskedSlice) -> Prediction:
    """What is known of a slice without truth."""
    seen = one.beside(None)
    metrics = {metric.name: metric.compute(seen) for metric in SLICE_METRICS if not metric.needs_truth}
    return Prediction(case, metrics, one.dropped)


def content_of(loaded: LoadedCase) -> SliceContent:
    """What names a case's content."""
    truth = loaded.truth
    return SliceContent(sha256_of_array(loaded.pixels), None if truth is None else sha256_of_array(truth))


def slices_sha256(results: Sequence[SliceResult]) -> str | None:
    """One digest of the slices that have a result, and of their masks; None where one's content is not known.

    Files, names and order play no part: the same slices with the same masks have the same digest.
    """
    contents = [item.content for item in results if not isinstance(item, Failure)]
    lines = [f"{content.pixels_sha256} {content.truth_sha256 or '-'}" for content in contents if content is not None]
    return sha256_of_lines(sorted(lines)) if len(lines) == len(contents) else None

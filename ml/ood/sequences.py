"""The sequence check: is a gray scan FLAIR, and do the channels of a scan in color stand in the order that is read?

A network that reads FLAIR finds no tumor in a T1 slice. So two multinomial logistic regressions, one for gray slices
and one for slices in color, tell from the network's pooled features and from the contrast of the channel that should be
FLAIR (ml.ood.head_contrast) which sequence is shown. In color the contrasts of all three channels are compared with
each other, too: a dim FLAIR misleads the look at it alone, and is FLAIR beside the other two. Never imports torch.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.cards import SEQUENCES_FILE, Card, PackageFileError, verify_files
from ml.channels import brightest_channel
from ml.ood import head_contrast
from ml.ood.detector import compress

# The warnings' codes; columns of the evidence in the order of CODES.
NOT_FLAIR, CHANNEL_ORDER = "not_flair", "channel_order"
CODES = (NOT_FLAIR, CHANNEL_ORDER)
MIXED_SEQUENCES = "mixed_sequences"
# A scan in color whose channel of FLAIR is empty: there is nothing to read.
FLAIR_MISSING = "flair_missing"
# Neither file nor look tells: the look of a brain without its skull does not.
SEQUENCE_UNCHECKED = "sequence_unchecked"
# Beside NOT_FLAIR, where that is sure: what is marked is no finding then either.
PLAINLY_NOT_FLAIR = "plainly_not_flair"
# What is told apart, the right one first. In color FLAIR is the second of three channels (ml.cards.InputConvention).
GRAY_CLASSES = ("FLAIR", "T1", "T1 with contrast")
COLOR_CLASSES = ("FLAIR in its channel", "another sequence in its channel")
FLAIR_CHANNEL = 1
# Of GRAY_CLASSES what the channels show in the order that is read, in the five others, and which of these have another
# sequence in FLAIR's channel.
_RIGHT_ORDER = np.array([1, 0, 2])
_OTHER_ORDERS = np.array([order for order in permutations(range(3)) if order != (1, 0, 2)])
_LACKS_FLAIR = _OTHER_ORDERS[:, FLAIR_CHANNEL] != 0
# Limits of the log-odds of another order, of single slices and of stacks, never below these: few patients choose a
# package's own, and older ones chose them for the look at FLAIR's channel alone. Chosen out of fold (docs/models.md).
LEAST_ORDER_LIMITS = (8.0, 1.0)
# A slice with a smaller share of pixels brighter than this gray level shows too little of a head.
_DARK, MIN_SHOWN = 24, 0.05
# The channel of FLAIR is empty where a smaller share of a head's pixels is brighter than that in it.
_MIN_FILLED = 0.01
# Scans with at least so many telling slices are judged by the stacks' limits, shorter ones by the slices'.
MIN_STACK = 5
# Mean log-odds above which the pictures of a gray stack alone make it sure that it is not FLAIR: of true FLAIR out of
# fold none was above 0.3 (docs/models.md).
PLAIN_LOG_ODDS = 2.5
# Gray slices from which a stack is searched for two sequences: a third of fewer is one or two slices, which are wrong
# together in 2 % of true FLAIR.
MIN_MIXED = 9
# Mean difference in gray levels up to which two channels show the same: files in JPEG differ a little.
_SAME = 3.0


@dataclass(frozen=True)
class SequenceEvidence:
    """What the check says of N slices.

    log_odds: float32 (N, 2), of a wrong sequence against the right one: gray slices in column 0; slices in color in
    column 1, of the likeliest other order, inf there where FLAIR's channel is empty; NaN elsewhere and where too little
    is shown. slice_limits, stack_limits: (2,), above which the mean over a scan's slices is warned about.
    """

    log_odds: NDArray[np.float32]
    slice_limits: tuple[float, float]
    stack_limits: tuple[float, float]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The codes of the warnings of the scan that these slices are: at most one, by the kind of most of them."""
        telling = np.isfinite(self.log_odds)  # (N, 2)
        if np.isposinf(self.log_odds[:, 1]).sum() > telling.sum():
            return (FLAIR_MISSING,)
        counts = telling.sum(axis=0)
        column = int(counts.argmax())
        if not counts[column]:
            return ()
        log_odds = self.log_odds[telling[:, column], column]
        limit = (self.stack_limits if len(log_odds) >= MIN_STACK else self.slice_limits)[column]
        if log_odds.mean() > limit:
            return (CODES[column],)
        is_mixed = CODES[column] == NOT_FLAIR and self._is_mixed(log_odds)
        return (MIXED_SEQUENCES,) if is_mixed else ()

    @property
    def is_plainly_another(self) -> bool:
        """Whether these slices are a gray stack that is surely not FLAIR, by its pictures alone."""
        gray = self.log_odds[np.isfinite(self.log_odds[:, 0]), 0]
        is_stack = len(gray) >= MIN_STACK and len(gray) >= np.isfinite(self.log_odds[:, 1]).sum()
        return is_stack and float(gray.mean()) > max(PLAIN_LOG_ODDS, self.stack_limits[0])

    def _is_mixed(self, log_odds: NDArray[np.float32]) -> bool:
        """Whether the third that is most like FLAIR is FLAIR, and the third that is least like it is not.

        log_odds: float32 (n,), of gray slices. A third is judged by the limit of single slices: the slices at the ends
        of a head are told less well, and together they exceed the limit of stacks in some true FLAIR.
        """
        if len(log_odds) < MIN_MIXED:
            return False
        ordered = np.sort(log_odds)
        third = -(-len(ordered) // 3)
        return bool(ordered[:third].mean() < 0 and ordered[-third:].mean() > self.slice_limits[0])

    def of(self, index: int) -> "SequenceEvidence":
        """The evidence of one slice alone."""
        return self.take(np.array([index]))

    def take(self, order: NDArray[np.intp]) -> "SequenceEvidence":
        """That of these slices, in this order."""
        return SequenceEvidence(self.log_odds[order], self.slice_limits, self.stack_limits)


def join(parts: Sequence[SequenceEvidence]) -> SequenceEvidence:
    """One scan's evidence from that of its pieces, of which there is at least one."""
    log_odds = np.concatenate([part.log_odds for part in parts])
    return SequenceEvidence(log_odds, parts[0].slice_limits, parts[0].stack_limits)


@dataclass(frozen=True)
class SequenceClassifier:
    """Two regressions on D = (network's features) + head_contrast.COUNT numbers.

    center, scale: float64 (2, D), of gray slices and of slices in color. gray: float64 (D + 1, 3) and color: float64
    (D + 1, 2), weights by class (GRAY_CLASSES, COLOR_CLASSES), the intercepts last. slice_limits, stack_limits:
    float64 (2,), log-odds for gray and for color.
    """

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    gray: NDArray[np.float64]
    color: NDArray[np.float64]
    slice_limits: NDArray[np.float64]
    stack_limits: NDArray[np.float64]

    @property
    def feature_count(self) -> int:
        """The number of the network's features."""
        return int(self.center.shape[1]) - head_contrast.COUNT

    def examine(self, pixels: NDArray[np.uint8], features: NDArray[np.float32]) -> SequenceEvidence:
        """pixels: uint8 (N, H, W, 3); features: float32 (N, F), the network's."""
        return self.judge([look_at(item) for item in pixels], features)

    def judge(self, looks: Sequence["Look"], features: NDArray[np.float32]) -> SequenceEvidence:
        """The same of slices that were looked at before. features: float32 (N, F), the network's."""
        log_odds = np.full((len(looks), len(CODES)), np.nan, dtype=np.float32)
        for index, look in enumerate(looks):
            if look.lacks_flair:
                log_odds[index, 1] = np.inf
                continue
            if look.contrast is None:
                continue
            described = np.concatenate([compress(features[index]), look.contrast])
            column = 0 if look.is_gray else 1
            standard = (described - self.center[column]) / self.scale[column]
            weights = (self.gray, self.color)[column]
            odds = float(odds_against_first(standard @ weights[:-1] + weights[-1]))
            if column == 1 and look.contrasts is not None:
                odds = odds_of_other_order(look.contrasts, odds, self.center[0], self.scale[0], self.gray)
            log_odds[index, column] = odds
        of_slices, of_stacks = (
            (float(limits[0]), max(float(limits[1]), least))
            for limits, least in zip((self.slice_limits, self.stack_limits), LEAST_ORDER_LIMITS, strict=True)
        )
        return SequenceEvidence(log_odds, of_slices, of_stacks)


@dataclass(frozen=True)
class Look:
    """What the check sees of a slice without a network, and nearly all of its work.

    lacks_flair: the channel of FLAIR is empty. contrast: float64 (COUNT,), of that channel; None where too little is
    shown. is_gray: of three equal channels. contrasts: of `describe_channels`; None of gray slices.
    """

    lacks_flair: bool = False
    contrast: NDArray[np.float64] | None = None
    is_gray: bool = True
    contrasts: NDArray[np.float64] | None = None


def look_at(pixels: NDArray[np.uint8]) -> Look:
    """uint8 (H, W, 3)."""
    bright = _bright(pixels)
    if _lacks_flair(pixels, bright):
        return Look(lacks_flair=True)
    contrast = _contrast(pixels, bright)
    if contrast is None or _is_gray(pixels, bright):
        return Look(contrast=contrast)
    return Look(contrast=contrast, is_gray=False, contrasts=describe_channels(pixels, contrast))


def describe_slice(pixels: NDArray[np.uint8], features: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """What the regressions look at: the roots of the network's features and the contrast of the channel of FLAIR.

    pixels: uint8 (H, W, 3); features: float32 (F,). Returns float64 (D,); None for a slice that shows too little.
    """
    return _describe(pixels, _bright(pixels), features)


def describe_channels(pixels: NDArray[np.uint8], described: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The contrast of each channel of a slice in color, uint8 (H, W, 3), float64 (3, COUNT); None where one is empty.

    described: float64 (D,), of `describe_slice`, whose end is that of FLAIR's channel, or that end.
    """
    first, last = (head_contrast.describe(pixels[..., channel]) for channel in (0, 2))
    if first is None or last is None:
        return None
    return np.stack([first, described[-head_contrast.COUNT :], last]).astype(np.float64)


def odds_of_other_order(
    contrasts: NDArray[np.float64],
    flair_odds: float,
    center: NDArray[np.float64],
    scale: NDArray[np.float64],
    gray: NDArray[np.float64],
) -> float:
    """The log-odds of the likeliest other order of the channels against the one that is read.

    An order is as likely as each channel is what it would be in it, by its contrast alone: the network's features are
    of all channels together. contrasts: float64 (3, COUNT). flair_odds: log-odds that FLAIR's channel shows another
    sequence, by the regression for slices in color, which count for the orders in which it does. center, scale: float64
    (D,), and gray, float64 (D + 1, 3): the regression for gray slices.
    """
    standard = (contrasts - center[-head_contrast.COUNT :]) / scale[-head_contrast.COUNT :]
    logits = standard @ gray[-head_contrast.COUNT - 1 : -1]  # (3 channels, 3 classes); intercepts cancel
    channels = np.arange(len(logits))
    others = logits[channels, _OTHER_ORDERS].sum(axis=1) + np.where(_LACKS_FLAIR, flair_odds, 0.0)  # (5,)
    return float(others.max() - logits[channels, _RIGHT_ORDER].sum())


def shows_enough(pixels: NDArray[np.uint8]) -> bool:
    """Whether a slice, uint8 (H, W, 3), shows so much of a head that its sequence can be told."""
    return _is_enough(_bright(pixels))


def is_gray(pixels: NDArray[np.uint8]) -> bool:
    """Whether the three channels of a slice, uint8 (H, W, 3), show the same."""
    return _is_gray(pixels, _bright(pixels))


def is_same(pixels: NDArray[np.uint8], one: int, other: int) -> bool:
    """Whether two channels of a slice, uint8 (H, W, 3), show the same: where it is bright they hardly differ."""
    return _is_same(pixels, _bright(pixels), one, other)


# The same of a slice whose bright pixels, bool (H, W), are known: an examination asks for them four times.


def _describe(
    pixels: NDArray[np.uint8], bright: NDArray[np.bool], features: NDArray[np.float32]
) -> NDArray[np.float64] | None:
    contrast = _contrast(pixels, bright)
    return None if contrast is None else np.concatenate([compress(features), contrast])


def _contrast(pixels: NDArray[np.uint8], bright: NDArray[np.bool]) -> NDArray[np.float64] | None:
    if not _is_enough(bright):
        return None
    contrast = head_contrast.describe(pixels[..., FLAIR_CHANNEL])
    return None if contrast is None else contrast.astype(np.float64)


def _is_enough(bright: NDArray[np.bool]) -> bool:
    return bool(bright.mean() >= MIN_SHOWN)


def _lacks_flair(pixels: NDArray[np.uint8], bright: NDArray[np.bool]) -> bool:
    """Whether the channel of FLAIR is empty in a slice that shows a head in the others."""
    if not _is_enough(bright):
        return False
    return bool((pixels[..., FLAIR_CHANNEL][bright] > _DARK).mean() < _MIN_FILLED)


def _is_gray(pixels: NDArray[np.uint8], bright: NDArray[np.bool]) -> bool:
    return _is_same(pixels, bright, 0, 1) and _is_same(pixels, bright, 2, 1)


def _is_same(pixels: NDArray[np.uint8], bright: NDArray[np.bool], one: int, other: int) -> bool:
    count = np.count_nonzero(bright)
    if not count:
        return True
    first, second = pixels[..., one], pixels[..., other]
    differences = (np.maximum(first, second) - np.minimum(first, second)) * bright
    return bool(int(differences.sum()) / count <= _SAME)


def _bright(pixels: NDArray[np.uint8]) -> NDArray[np.bool]:
    """uint8 (H, W, 3) -> bool (H, W)."""
    is_bright: NDArray[np.bool] = brightest_channel(pixels) > _DARK
    return is_bright


def odds_against_first(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """log((1 - p) / p) of the first of K classes. logits: float64 (..., K). Returns float64 (...)."""
    others = logits[..., 1:]
    highest = others.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(others - highest).sum(axis=-1)) + highest[..., 0]
    odds: NDArray[np.float64] = log_sum - logits[..., 0]
    return odds


def save_classifier(classifier: SequenceClassifier, folder: Path) -> None:
    """Write `sequences.npz` into `folder`, float32."""
    values = {item.name: np.float32(getattr(classifier, item.name)) for item in fields(SequenceClassifier)}
    np.savez_compressed(folder / SEQUENCES_FILE, allow_pickle=False, **values)


def load_classifier(package: Path, card: Card) -> SequenceClassifier | None:
    """The classifier of a package; None where its card lists none.

    Raises PackageFileError where the file is not the card's, cannot be read, or holds arrays that do not fit together.
    """
    if SEQUENCES_FILE not in card.files:
        return None
    verify_files(package, card, (SEQUENCES_FILE,))
    try:
        with np.load(package / SEQUENCES_FILE, allow_pickle=False) as file:
            values = {item.name: file[item.name].astype(np.float64) for item in fields(SequenceClassifier)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise PackageFileError(
            f"{SEQUENCES_FILE} of the package {card.name} cannot be read ({error}); make the package again."
        ) from error
    count = values["center"].shape[-1] if values["center"].ndim == 2 else 0
    shapes = {
        "center": (2, count),
        "scale": (2, count),
        "gray": (count + 1, len(GRAY_CLASSES)),
        "color": (count + 1, len(COLOR_CLASSES)),
        "slice_limits": (2,),
        "stack_limits": (2,),
    }
    is_sound = all(values[name].shape == shape and np.isfinite(values[name]).all() for name, shape in shapes.items())
    if count <= head_contrast.COUNT or not is_sound or not (values["scale"] > 0).all():
        raise PackageFileError(
            f"{SEQUENCES_FILE} of the package {card.name} holds no such regressions; make the package again."
        )
    return SequenceClassifier(**values)

"""Fits the sequence check on a data set of three sequences a slice, whose labels are free: gray scans of each of them,
and channels in another order. Limits and figures are out of fold, by patient.

Some patients lack a sequence, and FLAIR stands in for it: a channel that shows the same as FLAIR's is not labeled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ml.cards import SequenceFacts, SequenceFigures
from ml.datasets import Case
from ml.datasets.time_points import person_of
from ml.engines import Engine
from ml.ood.detector import limit_of
from ml.ood.head_contrast import COUNT
from ml.ood.sequences import (
    COLOR_CLASSES,
    GRAY_CLASSES,
    LEAST_ORDER_LIMITS,
    SequenceClassifier,
    describe_channels,
    describe_slice,
    is_gray,
    is_same,
    odds_against_first,
    odds_of_other_order,
    shows_enough,
)
from ml.packaging.logistic import fit_logistic
from ml.packaging.ood_fit import FoldNetwork, features_of
from ml.packaging.surroundings import ALONE, Surroundings

SLICES_PER_PATIENT = 6
# Patients, all times of one together, are dealt into so many folds; fewer cannot be measured out of fold.
FOLDS = 5
# The share of the true FLAIR slices, and of the stacks, that may be warned about.
WARNED_SHARE = 0.01
# Of the regressions on the network's features and on the contrast of the head, chosen out of fold: the network's tell
# single slices best, but a scan with a dim FLAIR misleads them on every slice.
PENALTIES = (1e-3, 1e-2)
SHARES = (0.2, 0.8)
METHOD = (
    "logistic regressions on the network's pooled features and on the ranks of gray levels inside of the head, their"
    " logits averaged 1 to 4; in color the ranks in all three channels beside each other, too; a scan by the mean over"
    " its slices"
)
WITHIN = "five folds by patient"
# A slice's three channels as they are read, by the class that FLAIR's channel then shows: T1 there is class 1 of the
# gray ones, T1 with contrast class 2.
_GRAY = ((1, 1, 1), (0, 0, 0), (2, 2, 2))
# Orders that put T1, and T1 with contrast, in FLAIR's channel: one of each a slice, in turn.
_OTHER_ORDERS = (((1, 0, 2), (1, 2, 0)), ((2, 0, 1), (0, 2, 1)))


@dataclass(frozen=True)
class _Samples:
    """S slices as they may be given. described: float64 (S, D); labels: int (S,); patients: text (S,); contrasts:
    float64 (S, 3, COUNT), of their channels, NaN of gray ones and where one is empty."""

    described: NDArray[np.float64]
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]
    contrasts: NDArray[np.float64]

    def among(self, chosen: NDArray[np.bool]) -> "_Samples":
        """chosen: bool (S,)."""
        return _Samples(*(getattr(self, item.name)[chosen] for item in fields(self)))

    @property
    def persons(self) -> NDArray[np.str_]:
        """Whose the slices are at whatever time: text (S,)."""
        return np.array([person_of(patient) for patient in self.patients.tolist()], dtype=np.str_)


# The gray slices and those in color of the same patients.
_Halves = tuple[_Samples, _Samples]
# A regression: center and scale, float64 (D,); weights, float64 (D + 1, K).
_Regression = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def fit_sequences(
    engine: Engine,
    cases: Sequence[Case],
    seed: int,
    folds: Sequence[FoldNetwork] = (),
    surroundings: Surroundings = ALONE,
) -> tuple[SequenceClassifier, SequenceFacts] | None:
    """The check and what the card says of it; None where there are too few patients, or one sequence alone.

    engine: of a package with features. folds: networks that never saw some patients, on whom limits and figures are
    taken then: features of patients that a network was trained on are more alike than those of others. surroundings:
    where the network takes neighbors, slices are given alone and in their stacks. Raises DatasetError, EngineError and,
    without features, PackageError.
    """
    gray, color = both = _sample(engine, cases, seed, surroundings)
    if not (_is_enough(gray, len(GRAY_CLASSES)) and _is_enough(color, len(COLOR_CLASSES))):
        return None
    parts = [
        (
            _sample(fold.engine, fold.training, seed, surroundings),
            _sample(fold.engine, fold.held_out, seed, surroundings),
        )
        for fold in folds
    ]
    of_gray, of_color = _measure_halves(parts or _deal(both, seed))
    halves = [
        _regress(samples.described, samples.labels, len(classes))
        for samples, classes in ((gray, GRAY_CLASSES), (color, COLOR_CLASSES))
    ]
    classifier = SequenceClassifier(
        center=np.stack([center for center, _, _ in halves]),
        scale=np.stack([scale for _, scale, _ in halves]),
        gray=halves[0][2],
        color=halves[1][2],
        slice_limits=np.array([of_gray.slice_limit, of_color.slice_limit]),
        stack_limits=np.array([of_gray.stack_limit, of_color.stack_limit]),
    )
    patients = len({*gray.patients.tolist(), *color.patients.tolist()})
    method = f"{METHOD}; figures of {'patients that the networks of the folds never saw' if folds else WITHIN}"
    return classifier, SequenceFacts(method, patients, of_gray, of_color)


def _is_enough(samples: _Samples, classes: int) -> bool:
    """Whether each class is shown by as many persons as there are folds, so that each fit knows all classes."""
    persons = samples.persons
    return all(len(set(persons[samples.labels == label].tolist())) >= FOLDS for label in range(classes))


# What a slice gives: described, label, patient, contrasts.
_Row = tuple[NDArray[np.float64], int, str, NDArray[np.float64]]
_UNKNOWN = np.full((3, COUNT), np.nan)


def _sample(engine: Engine, cases: Sequence[Case], seed: int, surroundings: Surroundings) -> _Halves:
    """Slices of every patient, given as gray scans and in color."""
    rows: tuple[list[_Row], list[_Row]] = ([], [])
    for patient, group in groupby(sorted(cases, key=lambda case: case.patient), key=lambda case: case.patient):
        drawn = _draw(list(group), seed)
        ways = [
            way
            for index, case in enumerate(drawn)
            for slices in surroundings.ways(case)
            for way in _ways(slices, index)
        ]
        if not ways:
            continue
        by_size = sorted(ways, key=lambda way: way[2].shape)
        for _, same in groupby(by_size, key=lambda way: way[2].shape):
            items = list(same)
            for (half, label, given), row in zip(items, features_of(engine, [way[2] for way in items]), strict=True):
                middle = given[len(given) // 2]  # (H, W, 3)
                described = describe_slice(middle, row)
                if described is not None:
                    contrasts = describe_channels(middle, described) if half else None
                    rows[half].append((described, label, patient, _UNKNOWN if contrasts is None else contrasts))
    return _gathered(rows[0]), _gathered(rows[1])


def _gathered(rows: list[_Row]) -> _Samples:
    described = np.stack([row[0] for row in rows]) if rows else np.empty((0, COUNT))
    labels = np.array([row[1] for row in rows], dtype=np.int64)
    contrasts = np.stack([row[3] for row in rows]) if rows else np.empty((0, 3, COUNT))
    return _Samples(described, labels, np.array([row[2] for row in rows], dtype=np.str_), contrasts)


def _draw(cases: list[Case], seed: int) -> list[Case]:
    """A patient's slices that show enough, drawn with the seed."""
    found: list[Case] = []
    for index in np.random.default_rng(seed).permutation(len(cases)):
        if shows_enough(cases[index].pixels()):
            found.append(cases[index])
        if len(found) == SLICES_PER_PATIENT:
            break
    return found


def _ways(slices: NDArray[np.uint8], index: int) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """The ways to give a patient's slice of this index: half (0 gray, 1 color), class, and the pixels.

    slices: uint8 (S, H, W, 3), the slice in the middle of what is given with it.
    """
    pixels = slices[len(slices) // 2]
    is_other = [not is_same(pixels, channel, 1) for channel in range(3)]
    for label, channels in enumerate(_GRAY):
        if label == 0 or is_other[channels[0]]:
            yield 0, label, np.ascontiguousarray(slices[..., channels])
    if is_gray(pixels):
        return
    yield 1, 0, slices
    for channels in _OTHER_ORDERS[index % len(_OTHER_ORDERS)]:
        if is_other[channels[1]]:
            yield 1, 1, np.ascontiguousarray(slices[..., channels])


def _measure_halves(parts: Sequence[tuple[_Halves, _Halves]]) -> tuple[SequenceFigures, SequenceFigures]:
    """Limits and figures, gray and in color, of regressions that were fitted on other patients.

    parts: the slices that regressions are fitted on, and those that they judge; for each network of a cross-validation
    its training patients and those that it never saw.
    """
    of_gray, of_color = [], []
    for (gray, color), (gray_held, color_held) in parts:
        by_gray = _regress(gray.described, gray.labels, len(GRAY_CLASSES))
        by_color = _regress(color.described, color.labels, len(COLOR_CLASSES))
        of_gray.append(_judge(by_gray, gray_held))
        of_color.append(_judge_orders(by_gray, by_color, color_held))
    judged = [_joined([held_out[half] for _, held_out in parts]) for half in range(2)]
    return (
        _measure(np.concatenate(of_gray), judged[0], GRAY_CLASSES),
        _measure(np.concatenate(of_color), judged[1], COLOR_CLASSES, LEAST_ORDER_LIMITS),
    )


def _deal(halves: _Halves, seed: int) -> list[tuple[_Halves, _Halves]]:
    """By person: for each of FOLDS, the others and itself."""
    persons = np.unique(np.concatenate([samples.persons for samples in halves]))
    deal = np.random.default_rng(seed).permutation(len(persons)) % FOLDS
    gray, color = (deal[np.searchsorted(persons, samples.persons)] for samples in halves)  # (S,)
    return [
        (
            (halves[0].among(gray != fold), halves[1].among(color != fold)),
            (halves[0].among(gray == fold), halves[1].among(color == fold)),
        )
        for fold in range(FOLDS)
    ]


def _joined(parts: Sequence[_Samples]) -> _Samples:
    return _Samples(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(_Samples)))


def _judge(regression: _Regression, held_out: _Samples) -> NDArray[np.float64]:
    """Log-probabilities, float64 (S, K), of the held-out slices by a regression on others."""
    center, scale, weights = regression
    return _normalize((held_out.described - center) / scale @ weights[:-1] + weights[-1])


def _judge_orders(by_gray: _Regression, by_color: _Regression, held_out: _Samples) -> NDArray[np.float64]:
    """Log-probabilities, float64 (S, 2), of the right order and of another, of held-out slices in color."""
    odds = odds_against_first(_judge(by_color, held_out))  # (S,)
    for index, contrasts in enumerate(held_out.contrasts):
        if np.isfinite(contrasts).all():
            odds[index] = odds_of_other_order(contrasts, float(odds[index]), *by_gray)
    return np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1)


def _regress(described: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> _Regression:
    """Center, scale and weights of the mean of two regressions, on the network's features and on the head's contrast.

    Fitted apart they told more than one on both: the network's features, which are many, do not drown the others.
    """
    center, scale = described.mean(axis=0), described.std(axis=0)
    varies = scale > 1e-3 * scale.max()
    scale = np.where(varies, scale, max(float(scale[varies].min(initial=np.inf)), 1e-6) if varies.any() else 1.0)
    standard = (described - center) / scale
    parts = slice(0, -COUNT), slice(-COUNT, None)
    fitted = [
        share * fit_logistic(standard[:, part], labels, classes, penalty)
        for part, share, penalty in zip(parts, SHARES, PENALTIES, strict=True)
    ]
    weights = np.concatenate([*(item[:-1] for item in fitted), sum(item[-1:] for item in fitted)])
    return center, scale, weights


def _normalize(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits (S, K) -> log-probabilities."""
    highest = logits.max(axis=1, keepdims=True)
    shifted = logits - highest
    normalized: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normalized


def _measure(
    log_p: NDArray[np.float64],
    samples: _Samples,
    classes: tuple[str, ...],
    least: tuple[float, float] = (-np.inf, -np.inf),
) -> SequenceFigures:
    """Limits, never below `least`, and figures from out-of-fold log-probabilities, float64 (S, K)."""
    labels = samples.labels
    odds = odds_against_first(log_p)
    groups = [
        (label, (samples.patients == patient) & (labels == label))
        for patient in np.unique(samples.patients)
        for label in range(len(classes))
    ]
    stacks = [(label, chosen) for label, chosen in groups if chosen.any()]
    stack_labels = np.array([label for label, _ in stacks])
    stack_odds = np.array([odds[chosen].mean() for _, chosen in stacks])
    stack_answers = np.array([log_p[chosen].mean(axis=0).argmax() for _, chosen in stacks])
    slice_limit = max(limit_of(odds[labels == 0], WARNED_SHARE), least[0])
    stack_limit = max(limit_of(stack_odds[stack_labels == 0], WARNED_SHARE), least[1])
    return SequenceFigures(
        classes=classes,
        slices=len(labels),
        stacks=len(stacks),
        slice_limit=round(slice_limit, 4),
        stack_limit=round(stack_limit, 4),
        slice_accuracy=_share(log_p.argmax(axis=1) == labels),
        stack_accuracy=_share(stack_answers == stack_labels),
        slices_warned={name: _share(odds[labels == label] > slice_limit) for label, name in enumerate(classes)},
        stacks_warned={
            name: _share(stack_odds[stack_labels == label] > stack_limit) for label, name in enumerate(classes)
        },
    )


def _share(flags: NDArray[np.bool]) -> float:
    return round(float(np.mean(flags)), 4)

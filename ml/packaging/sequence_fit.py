"""Fits the sequence check on a data set of three sequences a slice, whose labels are free: gray scans of each of them,
and channels in another order. Limits and figures are out of fold, by patient.

Some patients lack a sequence, and FLAIR stands in for it: a channel that shows the same as FLAIR's is not labeled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ml.cards import PackageError, SequenceFacts, SequenceFigures
from ml.datasets import Case
from ml.datasets.time_points import person_of
from ml.engines import Engine
from ml.ood.detector import limit_of
from ml.ood.head_contrast import COUNT
from ml.ood.sequences import (
    COLOR_CLASSES,
    GRAY_CLASSES,
    SequenceClassifier,
    describe_slice,
    is_gray,
    is_same,
    odds_against_first,
    shows_enough,
)
from ml.packaging.logistic import fit_logistic
from ml.packaging.ood_fit import FoldNetwork

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
    " logits averaged 1 to 4; a scan by the mean over its slices"
)
WITHIN = "five folds by patient"
# A slice's three channels as they are read, by the class that FLAIR's channel then shows: T1 there is class 1 of the
# gray ones, T1 with contrast class 2.
_GRAY = ((1, 1, 1), (0, 0, 0), (2, 2, 2))
# Orders that put T1, and T1 with contrast, in FLAIR's channel: one of each a slice, in turn.
_OTHER_ORDERS = (((1, 0, 2), (1, 2, 0)), ((2, 0, 1), (0, 2, 1)))


@dataclass(frozen=True)
class _Samples:
    """S slices as they may be given. described: float64 (S, D); labels: int (S,); patients: text (S,)."""

    described: NDArray[np.float64]
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]

    def among(self, chosen: NDArray[np.bool]) -> "_Samples":
        """chosen: bool (S,)."""
        return _Samples(self.described[chosen], self.labels[chosen], self.patients[chosen])

    @property
    def persons(self) -> NDArray[np.str_]:
        """Whose the slices are at whatever time: text (S,)."""
        return np.array([person_of(patient) for patient in self.patients.tolist()], dtype=np.str_)


def fit_sequences(
    engine: Engine, cases: Sequence[Case], seed: int, folds: Sequence[FoldNetwork] = ()
) -> tuple[SequenceClassifier, SequenceFacts] | None:
    """The check and what the card says of it; None where there are too few patients, or one sequence alone.

    engine: of a package with features. folds: networks that never saw some patients, on whom limits and figures are
    taken then: features of patients that a network was trained on are more alike than those of others. Raises
    DatasetError, EngineError and, without features, PackageError.
    """
    gray, color = _sample(engine, cases, seed)
    classes = GRAY_CLASSES, COLOR_CLASSES
    if not all(_is_enough(samples, len(names)) for samples, names in zip((gray, color), classes, strict=True)):
        return None
    of_folds = [
        (_sample(fold.engine, fold.training, seed), _sample(fold.engine, fold.held_out, seed)) for fold in folds
    ]
    halves = [
        _fit_half(samples, names, seed, [(fitted[half], held_out[half]) for fitted, held_out in of_folds])
        for half, (samples, names) in enumerate(zip((gray, color), classes, strict=True))
    ]
    classifier = SequenceClassifier(
        center=np.stack([half.center for half in halves]),
        scale=np.stack([half.scale for half in halves]),
        gray=halves[0].weights,
        color=halves[1].weights,
        slice_limits=np.array([half.figures.slice_limit for half in halves]),
        stack_limits=np.array([half.figures.stack_limit for half in halves]),
    )
    patients = len({*gray.patients.tolist(), *color.patients.tolist()})
    method = f"{METHOD}; figures of {'patients that the networks of the folds never saw' if folds else WITHIN}"
    return classifier, SequenceFacts(method, patients, halves[0].figures, halves[1].figures)


def _is_enough(samples: _Samples, classes: int) -> bool:
    """Whether each class is shown by as many persons as there are folds, so that each fit knows all classes."""
    persons = samples.persons
    return all(len(set(persons[samples.labels == label].tolist())) >= FOLDS for label in range(classes))


def _sample(engine: Engine, cases: Sequence[Case], seed: int) -> tuple[_Samples, _Samples]:
    """Slices of every patient, given as gray scans and in color."""
    rows: tuple[list[tuple[NDArray[np.float64], int, str]], ...] = ([], [])
    for patient, group in groupby(sorted(cases, key=lambda case: case.patient), key=lambda case: case.patient):
        drawn = _draw(list(group), seed)
        ways = [
            (half, label, given) for index, pixels in enumerate(drawn) for half, label, given in _ways(pixels, index)
        ]
        if not ways:
            continue
        by_size = sorted(ways, key=lambda way: way[2].shape)
        for _, same in groupby(by_size, key=lambda way: way[2].shape):
            items = list(same)
            features = engine.infer(np.stack([given for _, _, given in items])).features  # (n, F)
            if features is None:
                raise PackageError("The engine gives no features; make the int8 files again.")
            for (half, label, given), row in zip(items, features, strict=True):
                described = describe_slice(given, row)
                if described is not None:
                    rows[half].append((described, label, patient))
    return _gathered(rows[0]), _gathered(rows[1])


def _gathered(rows: list[tuple[NDArray[np.float64], int, str]]) -> _Samples:
    described = np.stack([row[0] for row in rows]) if rows else np.empty((0, COUNT))
    labels = np.array([row[1] for row in rows], dtype=np.int64)
    return _Samples(described, labels, np.array([row[2] for row in rows], dtype=np.str_))


def _draw(cases: list[Case], seed: int) -> list[NDArray[np.uint8]]:
    """A patient's slices that show enough, uint8 (H, W, 3) each, drawn with the seed."""
    found: list[NDArray[np.uint8]] = []
    for index in np.random.default_rng(seed).permutation(len(cases)):
        pixels = cases[index].pixels()
        if shows_enough(pixels):
            found.append(pixels)
        if len(found) == SLICES_PER_PATIENT:
            break
    return found


def _ways(pixels: NDArray[np.uint8], index: int) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """The ways to give a patient's slice of this index: half (0 gray, 1 color), class, and the pixels."""
    is_other = [not is_same(pixels, channel, 1) for channel in range(3)]
    for label, channels in enumerate(_GRAY):
        if label == 0 or is_other[channels[0]]:
            yield 0, label, np.ascontiguousarray(pixels[..., channels])
    if is_gray(pixels):
        return
    yield 1, 0, pixels
    for channels in _OTHER_ORDERS[index % len(_OTHER_ORDERS)]:
        if is_other[channels[1]]:
            yield 1, 1, np.ascontiguousarray(pixels[..., channels])


@dataclass(frozen=True)
class _Half:
    """One regression. center, scale: float64 (D,); weights: float64 (D + 1, K)."""

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    figures: SequenceFigures


def _fit_half(
    samples: _Samples, classes: tuple[str, ...], seed: int, of_folds: Sequence[tuple[_Samples, _Samples]]
) -> _Half:
    """Fit one regression on all patients; limits and figures are of regressions that were fitted on other patients.

    of_folds: for each network of a cross-validation, what it makes of its training patients and of those it never saw.
    """
    parts = of_folds or _deal(samples, seed)
    log_p = np.concatenate([_judge(fitted, held_out, len(classes)) for fitted, held_out in parts])
    judged = _joined([held_out for _, held_out in parts])
    return _Half(*_regress(samples.described, samples.labels, len(classes)), _measure(log_p, judged, classes))


def _deal(samples: _Samples, seed: int) -> list[tuple[_Samples, _Samples]]:
    """By person: for each of FOLDS, the others and itself."""
    persons, places = np.unique(samples.persons, return_inverse=True)
    deal = np.random.default_rng(seed).permutation(len(persons)) % FOLDS
    folds = deal[places]  # (S,)
    return [(samples.among(folds != fold), samples.among(folds == fold)) for fold in range(FOLDS)]


def _joined(parts: Sequence[_Samples]) -> _Samples:
    return _Samples(
        np.concatenate([part.described for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.patients for part in parts]),
    )


def _judge(fitted: _Samples, held_out: _Samples, classes: int) -> NDArray[np.float64]:
    """Log-probabilities, float64 (S, K), of the held-out slices by a regression on the others."""
    center, scale, weights = _regress(fitted.described, fitted.labels, classes)
    return _normalize((held_out.described - center) / scale @ weights[:-1] + weights[-1])


def _regress(
    described: NDArray[np.float64], labels: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
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


def _measure(log_p: NDArray[np.float64], samples: _Samples, classes: tuple[str, ...]) -> SequenceFigures:
    """Limits and figures from out-of-fold log-probabilities, float64 (S, K)."""
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
    slice_limit = limit_of(odds[labels == 0], WARNED_SHARE)
    stack_limit = limit_of(stack_odds[stack_labels == 0], WARNED_SHARE)
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

"""Fits the out-of-distribution check on training slices, its limits on slices of other patients, and measures it on
negatives.

Negatives are drawn images that show no brain (ml.synthetic.negatives). The distance knows none of them; the regression
beside it, which sees limbs and chests that the distance does not, is fitted on others than it is measured on. All
features come from the engine that serves, since int8 features differ from those of torch.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice

import numpy as np
from numpy.typing import NDArray

from ml.cards import OodFacts, PackageError
from ml.datasets import Case
from ml.engines import Engine
from ml.engines.flair_only import FlairOnlyEngine
from ml.metrics.verdicts import roc
from ml.ood.detector import OodDetector, fit_detector, is_plain, limit_of
from ml.packaging.logistic import fit_logistic
from ml.packaging.surroundings import ALONE, Surroundings, ask_middle
from ml.synthetic.negatives import COUNT, FIT_SEED, Negative, draw_negatives

# Of the training patients, drawn with the seed; every third one is used as a gray scan as well.
TRAINING_SLICES = 600
_GRAY_STEP = 3
AXES = 32
# Slices of one size that an engine gets at once.
_BATCH = 16
# The shares of the held-out slices that may be warned about by the distance, and by the regression.
WARNED_SHARE, WARNED_BY_HEAD = 0.005, 0.01
# Of 0.0001, 0.001 and 0.01: at even odds it saw the most drawn limbs, and called the fewest brains no brain.
HEAD_PENALTY = 1e-4
METHOD = (
    "Mahalanobis distance along {axes} main axes of the network's pooled features, plus what lies off these axes; or a"
    " logistic regression on them, brains against {images} drawn images of other things; images of one color always"
)


@dataclass(frozen=True)
class FoldNetwork:
    """A network of a cross-validation, slices of the patients it was trained on, and of those it never saw."""

    engine: Engine
    training: Sequence[Case]
    held_out: Sequence[Case]


@dataclass(frozen=True)
class HeldOut:
    """What chooses the limits: slices of validation patients, by the engine that serves, or networks of the folds, each
    on its own patients. A network that was trained on everybody knows no slice that it did not learn from.

    description: whose slices these are, in words.
    """

    validation: Sequence[Case] = ()
    folds: Sequence[FoldNetwork] = ()
    description: str = "validation patients"


def fit(
    engine: Engine,
    training: Sequence[Case],
    held_out: HeldOut,
    seed: int,
    other_images: int = COUNT,
    surroundings: Surroundings = ALONE,
) -> tuple[OodDetector, OodFacts] | None:
    """The detector and what the card says of it; None where there are too few slices to fit one.

    engine: of a package with features. surroundings: where the network takes neighbors, slices are given alone and in
    their stacks, and each counts twice. Raises DatasetError, EngineError and, without features, PackageError.
    """
    seen_images = tuple(draw_negatives(other_images, FIT_SEED))
    own = _Sample.drawn(engine, training, held_out.validation, seen_images, seed, surroundings)
    axes = min(AXES, (len(own.fitted) - 2) // 4)
    if axes < 1:
        return None
    of_folds = [
        _Sample.drawn(fold.engine, fold.training, fold.held_out, seen_images, seed, surroundings)
        for fold in held_out.folds
    ]
    detector, judges = _fit_with_limits(own, of_folds, axes)
    negatives = _Negatives.drawn(engine, draw_negatives(other_images))
    is_warned = negatives.are_warned_by(detector)
    unseen = {}
    for kind in np.unique(negatives.kinds):
        without, _ = _fit_with_limits(own.without(kind), [sample.without(kind) for sample in of_folds], axes)
        unseen[str(kind)] = _share(negatives.are_warned_by(without)[negatives.kinds == kind])
    in_color = [judge.distances(sample.in_color) for judge, sample in judges]
    facts = OodFacts(
        method=METHOD.format(axes=axes, images=int((~own.seen.is_empty).sum())),
        limit=round(detector.limit, 4),
        training_slices=len(own.fitted),
        validation_slices=sum(map(len, in_color)),
        held_out=held_out.description,
        warned_share=_share(
            np.concatenate([judge.is_out_of_distribution(sample.in_color) for judge, sample in judges])
        ),
        warned_share_grey=_share(
            np.concatenate([judge.is_out_of_distribution(sample.in_gray) for judge, sample in judges])
        ),
        other_images=len(negatives.kinds),
        auroc=round(
            _auroc(
                np.concatenate(in_color), np.where(negatives.is_empty, np.inf, detector.distances(negatives.features))
            ),
            4,
        ),
        warned_others=_share(is_warned),
        warned_by_kind={str(kind): _share(is_warned[negatives.kinds == kind]) for kind in np.unique(negatives.kinds)},
        fitted_images=int((~own.seen.is_empty).sum()),
        warned_by_unseen_kind=unseen,
    )
    return detector, facts


@dataclass(frozen=True)
class _Negatives:
    """M drawn images. features: float32 (M, D); kinds: text (M,); is_empty: bool (M,), of one color all over."""

    features: NDArray[np.float32]
    kinds: NDArray[np.str_]
    is_empty: NDArray[np.bool]

    @classmethod
    def drawn(cls, engine: Engine, negatives: Iterable[Negative]) -> "_Negatives":
        images = list(negatives)
        return cls(
            features_of(engine, (image.pixels[None] for image in images)),
            np.array([image.kind for image in images]),
            np.array([is_plain(image.pixels[None])[0] for image in images]),
        )

    def are_warned_by(self, detector: OodDetector) -> NDArray[np.bool]:
        """bool (M,)."""
        return detector.is_out_of_distribution(self.features) | self.is_empty


@dataclass(frozen=True)
class _Sample:
    """Features by one network, float32 (N, D) each.

    fitted: of slices it was trained on, in color and every third one as a gray scan too; other_sequences: of those in
    which another sequence than FLAIR is given as the gray scan; in_color, in_gray: of held-out slices.
    """

    fitted: NDArray[np.float32]
    other_sequences: NDArray[np.float32]
    seen: _Negatives
    in_color: NDArray[np.float32]
    in_gray: NDArray[np.float32]

    @classmethod
    def drawn(
        cls,
        engine: Engine,
        training: Sequence[Case],
        held_out: Sequence[Case],
        images: Iterable[Negative],
        seed: int,
        surroundings: Surroundings,
    ) -> "_Sample":
        gray = FlairOnlyEngine(engine)
        order = np.random.default_rng(seed).permutation(len(training))[:TRAINING_SLICES]
        cases = [training[index] for index in sorted(order)]
        some = cases[::_GRAY_STEP]
        fitted = [features_of(engine, surroundings.all_ways(cases)), features_of(gray, surroundings.all_ways(some))]
        # Another sequence than FLAIR shows a brain all the same.
        others = [features_of(engine, _of_channel(surroundings.all_ways(some), channel)) for channel in (0, 2)]
        empty = fitted[0][:0]
        return cls(
            np.concatenate(fitted),
            np.concatenate(others),
            _Negatives.drawn(engine, images),
            features_of(engine, surroundings.all_ways(held_out)) if held_out else empty,
            features_of(gray, surroundings.all_ways(held_out)) if held_out else empty,
        )

    @property
    def held_out(self) -> NDArray[np.float32]:
        return np.concatenate([self.in_color, self.in_gray])

    def without(self, kind: str) -> "_Sample":
        """The same, had no image of this kind been drawn to fit on."""
        is_kept = self.seen.kinds != kind
        seen = _Negatives(self.seen.features[is_kept], self.seen.kinds[is_kept], self.seen.is_empty[is_kept])
        return replace(self, seen=seen)


def _fit_with_limits(
    own: _Sample, of_folds: Sequence[_Sample], axes: int
) -> tuple[OodDetector, list[tuple[OodDetector, _Sample]]]:
    """The detector of `own`, and those that judge held-out slices: itself, or one for each fold, with its limits.

    At most WARNED_SHARE of the held-out slices exceed the limit of the distance, WARNED_BY_HEAD that of the head.
    """
    detector = _fit_without_limits(own, axes)
    judges = [(_fit_without_limits(sample, axes), sample) for sample in of_folds] or [(detector, own)]
    distances = np.concatenate([judge.distances(sample.held_out) for judge, sample in judges])
    products = np.concatenate([judge.standardize(sample.held_out) @ judge.head for judge, sample in judges])

    def limited(found: OodDetector) -> OodDetector:
        # Never below even odds: few held-out slices may all be far inside.
        head_limit = max(limit_of(products, WARNED_BY_HEAD), found.head_limit)
        return replace(found, limit=limit_of(distances, WARNED_SHARE), head_limit=head_limit)

    return limited(detector), [(limited(judge), sample) for judge, sample in judges]


def _fit_without_limits(sample: _Sample, axes: int) -> OodDetector:
    """A detector with a regression that tells brains from other images, limited at even odds. Without any other image
    there is no regression."""
    detector = fit_detector(sample.fitted, axes)
    others = sample.seen.features[~sample.seen.is_empty]
    if not len(others):
        return detector
    brains = np.concatenate([sample.fitted, sample.other_sequences])
    labels = np.repeat([0, 1], [len(brains), len(others)])
    weights = fit_logistic(detector.standardize(np.concatenate([brains, others])), labels, 2, HEAD_PENALTY)
    head = weights[:-1, 1] - weights[:-1, 0]
    return replace(detector, head=head, head_limit=float(weights[-1, 0] - weights[-1, 1]))


def _of_channel(ways: Iterable[NDArray[np.uint8]], channel: int) -> Iterator[NDArray[np.uint8]]:
    """Slices, uint8 (S, H, W, 3) each, with this channel in all three."""
    for way in ways:
        yield np.repeat(way[..., channel, None], 3, axis=3)


def features_of(engine: Engine, ways: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """N slices, each alone or in the middle of its stack, uint8 (S, H, W, 3) -> float32 (N, D).

    Raises PackageError for an engine without features.
    """
    rows = []
    for shape, same in groupby(ways, key=lambda way: way.shape):
        while batch := list(islice(same, _BATCH if shape[0] == 1 else 1)):
            found = engine.infer(np.concatenate(batch)) if shape[0] == 1 else ask_middle(engine, batch[0])
            if found.features is None:
                raise PackageError("The engine gives no features; make the int8 files again.")
            rows.append(found.features)  # (n, D)
    return np.concatenate(rows)


def _auroc(brains: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """The probability that a negative's distance exceeds a brain slice's. brains: (N,), others: (M,), not empty."""
    curve = roc(np.concatenate([brains, others]), np.arange(len(brains) + len(others)) >= len(brains))
    return curve.auc if curve else float("nan")


def _share(flags: NDArray[np.bool]) -> float:
    return round(float(np.mean(flags)), 4)

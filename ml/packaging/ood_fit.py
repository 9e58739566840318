"""Fits the out-of-distribution check on training slices, its limits on validation slices, and measures it on negatives.

Negatives are drawn images that show no brain (ml.synthetic.negatives). The distance knows none of them; the regression
beside it, which sees limbs and chests that the distance does not, is fitted on others than it is measured on. All
features come from the engine that serves, since int8 features differ from those of torch.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ml.cards import OodFacts, PackageError
from ml.datasets import Case
from ml.engines import Engine
from ml.engines.flair_only import FlairOnlyEngine
from ml.metrics.verdicts import roc
from ml.ood.detector import OodDetector, choose_limit, fit_detector, is_plain
from ml.packaging.logistic import fit_logistic
from ml.synthetic.negatives import COUNT, FIT_SEED, Negative, draw_negatives

# Of the training patients, drawn with the seed; every third one is used as a gray scan as well.
TRAINING_SLICES = 600
_GRAY_STEP = 3
AXES = 32
# The shares of the validation slices that may be warned about by the distance, and by the regression.
WARNED_SHARE, WARNED_BY_HEAD = 0.01, 0.005
# Of 0.0001, 0.001 and 0.01: at even odds it saw the most drawn limbs, and called the fewest brains no brain.
HEAD_PENALTY = 1e-4
METHOD = (
    "Mahalanobis distance along {axes} main axes of the network's pooled features, plus what lies off these axes; or a"
    " logistic regression on them, brains against {images} drawn images of other things; images of one color always"
)


def fit(
    engine: Engine, training: Sequence[Case], validation: Sequence[Case], seed: int, other_images: int = COUNT
) -> tuple[OodDetector, OodFacts] | None:
    """The detector and what the card says of it; None where there are too few slices to fit one.

    engine: of a package with features. Raises DatasetError, EngineError and, without features, PackageError.
    """
    order = np.random.default_rng(seed).permutation(len(training))[:TRAINING_SLICES]
    drawn = [training[index] for index in sorted(order)]
    gray = FlairOnlyEngine(engine)
    features = [_features(engine, _pixels_of(drawn)), _features(gray, _pixels_of(drawn[::_GRAY_STEP]))]
    axes = min(AXES, (sum(map(len, features)) - 2) // 4)
    if axes < 1:
        return None
    in_color, in_gray = _features(engine, _pixels_of(validation)), _features(gray, _pixels_of(validation))
    held_out = np.concatenate([in_color, in_gray])
    detector = choose_limit(fit_detector(np.concatenate(features), axes), held_out, WARNED_SHARE)
    # Another sequence than FLAIR shows a brain all the same.
    other_sequences = [_features(engine, _pixels_of(drawn[::_GRAY_STEP], channel)) for channel in (0, 2)]
    brains = np.concatenate([*features, *other_sequences])
    seen = _Negatives.drawn(engine, draw_negatives(other_images, FIT_SEED))
    negatives = _Negatives.drawn(engine, draw_negatives(other_images))
    detector = _fit_head(detector, brains, seen.features[~seen.is_empty], held_out)
    is_warned = negatives.are_warned_by(detector)
    unseen = {}
    for kind in np.unique(negatives.kinds):
        without = seen.features[~seen.is_empty & (seen.kinds != kind)]
        is_of_kind = negatives.kinds == kind
        flags = negatives.are_warned_by(_fit_head(detector, brains, without, held_out))
        unseen[str(kind)] = _share(flags[is_of_kind])
    distances = detector.distances(in_color)
    facts = OodFacts(
        method=METHOD.format(axes=axes, images=int((~seen.is_empty).sum())),
        limit=round(detector.limit, 4),
        training_slices=sum(map(len, features)),
        validation_slices=len(in_color),
        warned_share=_share(detector.is_out_of_distribution(in_color)),
        warned_share_grey=_share(detector.is_out_of_distribution(in_gray)),
        other_images=len(negatives.kinds),
        auroc=round(_auroc(distances, np.where(negatives.is_empty, np.inf, detector.distances(negatives.features))), 4),
        warned_others=_share(is_warned),
        warned_by_kind={str(kind): _share(is_warned[negatives.kinds == kind]) for kind in np.unique(negatives.kinds)},
        fitted_images=int((~seen.is_empty).sum()),
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
            _features(engine, (image.pixels for image in images)),
            np.array([image.kind for image in images]),
            np.array([is_plain(image.pixels[None])[0] for image in images]),
        )

    def are_warned_by(self, detector: OodDetector) -> NDArray[np.bool]:
        """bool (M,)."""
        return detector.is_out_of_distribution(self.features) | self.is_empty


def _fit_head(
    detector: OodDetector,
    brains: NDArray[np.float32],
    others: NDArray[np.float32],
    held_out: NDArray[np.float32],
) -> OodDetector:
    """The detector with a regression that tells brains from other images, and with the limit that at most
    WARNED_BY_HEAD of the held-out slices exceed. All: float32 (N, D). Without any other image the detector stays."""
    if not len(others):
        return detector
    standard = detector.standardize(np.concatenate([brains, others]))
    labels = np.repeat([0, 1], [len(brains), len(others)])
    weights = fit_logistic(standard, labels, 2, HEAD_PENALTY)
    head = weights[:-1, 1] - weights[:-1, 0]
    ordered = np.sort(detector.standardize(held_out) @ head)
    limit = ordered[len(ordered) - 1 - int(WARNED_BY_HEAD * len(ordered))]
    # Never below even odds: few held-out slices may all be far inside.
    even = weights[-1, 0] - weights[-1, 1]
    return replace(detector, head=head, head_limit=float(max(limit, even)))


def _pixels_of(cases: Iterable[Case], channel: int | None = None) -> Iterator[NDArray[np.uint8]]:
    """The slices of these cases, uint8 (H, W, 3) each; with a channel, that one in all three."""
    for case in cases:
        pixels = case.pixels()
        yield pixels if channel is None else np.repeat(pixels[..., channel, None], 3, axis=2)


def _features(engine: Engine, slices: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Slices, uint8 (H, W, 3) each -> float32 (N, D). Raises PackageError for an engine without features."""
    rows = []
    for pixels in slices:
        features = engine.infer(pixels[None]).features  # (1, D)
        if features is None:
            raise PackageError("The engine gives no features; make the int8 files again.")
        rows.append(features)
    return np.concatenate(rows)


def _auroc(brains: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """The probability that a negative's distance exceeds a brain slice's. brains: (N,), others: (M,), not empty."""
    curve = roc(np.concatenate([brains, others]), np.arange(len(brains) + len(others)) >= len(brains))
    return curve.auc if curve else float("nan")


def _share(flags: NDArray[np.bool]) -> float:
    return round(float(np.mean(flags)), 4)

"""Fits the out-of-distribution check on training slices, its limit on validation slices, and measures it on negatives.

Negatives are drawn images that show no brain (ml.synthetic.negatives). All features come from the engine that serves,
since int8 features differ from those of torch.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ml.cards import OodFacts, PackageError
from ml.datasets import Case
from ml.engines import Engine
from ml.engines.flair_only import FlairOnlyEngine
from ml.metrics.verdicts import roc
from ml.ood.detector import OodDetector, choose_limit, fit_detector, is_plain
from ml.synthetic.negatives import COUNT, draw_negatives

# Of the training patients, drawn with the seed; every third one is used as a gray scan as well.
TRAINING_SLICES = 600
_GRAY_STEP = 3
AXES = 32
# The share of the validation slices that may be warned about.
WARNED_SHARE = 0.01
METHOD = (
    "Mahalanobis distance along {axes} main axes of the network's pooled features, plus what lies off these axes;"
    " images of one color always"
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
    detector = fit_detector(np.concatenate(features), axes)
    detector = choose_limit(detector, np.concatenate([in_color, in_gray]), WARNED_SHARE)
    negatives = list(draw_negatives(other_images))
    kinds = np.array([negative.kind for negative in negatives])
    is_empty = np.array([is_plain(negative.pixels[None])[0] for negative in negatives])
    distances = detector.distances(in_color)
    far = detector.distances(_features(engine, (negative.pixels for negative in negatives)))
    is_warned = (far > detector.limit) | is_empty
    facts = OodFacts(
        method=METHOD.format(axes=axes),
        limit=round(detector.limit, 4),
        training_slices=sum(map(len, features)),
        validation_slices=len(in_color),
        warned_share=_share(distances > detector.limit),
        warned_share_grey=_share(detector.is_out_of_distribution(in_gray)),
        other_images=len(negatives),
        auroc=round(_auroc(distances, np.where(is_empty, np.inf, far)), 4),
        warned_others=_share(is_warned),
        warned_by_kind={str(kind): _share(is_warned[kinds == kind]) for kind in np.unique(kinds)},
    )
    return detector, facts


def _pixels_of(cases: Iterable[Case]) -> Iterator[NDArray[np.uint8]]:
    """The slices of these cases, uint8 (H, W, 3) each."""
    return (case.pixels() for case in cases)


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

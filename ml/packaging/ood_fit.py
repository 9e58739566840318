"""The statistics of the input check: fitted on training slices, limited on validation slices, measured on no brains.

Everything goes through the engine that serves, so that the limit is the served features' own.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from ml.cards.card import OodFacts, PackageError
from ml.datasets import Case
from ml.engines import Engine
from ml.engines.flair_only import FlairOnlyEngine
from ml.metrics.verdicts import roc
from ml.ood.detector import OodDetector, choose_limit, fit_detector, is_plain
from ml.synthetic.negatives import COUNT, draw_non_brains

# Of the training patients, drawn with the seed; each third one is shown as a grey scan, too.
TRAINING_SLICES = 600
_GREY_SHARE = 3
AXES = 32
# At most so many of the validation slices may be warned about.
WARNED_SHARE = 0.01
METHOD = (
    "Mahalanobis distance along {axes} main axes of the network's pooled features, plus what lies off these axes;"
    " images of one colour always"
)


def fit(
    engine: Engine, training: Sequence[Case], validation: Sequence[Case], seed: int, other_images: int = COUNT
) -> tuple[OodDetector, OodFacts] | None:
    """Statistics and what the card says of them; None where there are too few slices to fit any.

    `engine`: of a package with features. Raises DatasetError and EngineError.
    """
    order = np.random.default_rng(seed).permutation(len(training))[:TRAINING_SLICES]
    drawn = [training[index] for index in sorted(order)]
    grey = FlairOnlyEngine(engine)
    features = [_features(engine, drawn), _features(grey, drawn[::_GREY_SHARE])]
    axes = min(AXES, (sum(map(len, features)) - 2) // 4)
    if axes < 1:
        return None
    judged, judged_grey = _features(engine, validation), _features(grey, validation)
    found = fit_detector(np.concatenate(features), axes)
    found = choose_limit(found, np.concatenate([judged, judged_grey]), WARNED_SHARE)
    strange = list(draw_non_brains(other_images))
    others = np.concatenate([engine.infer(image.pixels[None]).features for image in strange])
    is_empty = np.array([is_plain(image.pixels[None])[0] for image in strange])
    distances, far = found.distances(judged), found.distances(others)
    warned = (far > found.limit) | is_empty
    kinds = sorted({image.kind for image in strange})
    facts = OodFacts(
        method=METHOD.format(axes=axes),
        limit=round(found.limit, 4),
        training_slices=sum(map(len, features)),
        validation_slices=len(judged),
        warned_share=_share(distances > found.limit),
        warned_share_grey=_share(found.is_out_of_distribution(judged_grey)),
        other_images=len(strange),
        auroc=round(_auroc(distances, np.where(is_empty, np.inf, far)), 4),
        warned_others=_share(warned),
        warned_by_kind={kind: _share(warned[[image.kind == kind for image in strange]]) for kind in kinds},
    )
    return found, facts


def _features(engine: Engine, cases: Iterable[Case]) -> np.ndarray:
    """float32 (N, D)."""
    rows = [engine.infer(case.pixels()[None]).features for case in cases]
    if any(row is None for row in rows):
        raise PackageError("The engine gives no features; make the int8 files again.")
    return np.concatenate(rows)


def _auroc(brains: np.ndarray, others: np.ndarray) -> float:
    """The chance that another image lies farther away than a brain slice. Both: float (N,) and (M,), not empty."""
    curve = roc(np.concatenate([brains, others]), np.arange(len(brains) + len(others)) >= len(brains))
    return curve.auc if curve else float("nan")


def _share(flags: np.ndarray) -> float:
    return round(float(np.mean(flags)), 4)

"""The input check: whether a slice looks, to the network itself, like the slices that it was trained on.

The network's features of a slice are compared with those of training slices: a Mahalanobis distance along the main axes
of the training features, and the length of what lies off these axes (Lee et al., A Simple Unified Framework for
Detecting Out-of-Distribution Samples, NeurIPS 2018; Mao et al., subspace methods, 1982). Both are scaled to a mean of 1
over the training slices, and added. Never imports torch.
"""

import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from ml.cards.card import FAMILIARITY_FILE, Card, PackageFileError, verify_files

# The warning's code, in a run's `warnings` and in predictions.csv.
UNLIKE = "unlike_training_data"
# Grey levels: a slice that varies by no more is empty, whatever the network makes of it.
_PLAIN_RANGE = 8


@dataclass(frozen=True)
class Familiarity:
    """Statistics of D features over training slices, and the limit of the distance to them.

    center, scale: (D,), mean and deviation of the square roots of the features. axes: (K, D), orthonormal.
    spread: (K,), deviation along each axis. rest: root mean square of what lies off the axes. limit: of the distance.
    """

    center: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    spread: np.ndarray
    rest: float
    limit: float

    @property
    def feature_count(self) -> int:
        """D."""
        return len(self.center)

    def distances(self, features: np.ndarray) -> np.ndarray:
        """features: float32 (N, D). Returns float64 (N,), 2 on average over the training slices, no upper bound."""
        standard = (_compress(features) - self.center) / self.scale  # (N, D)
        along = standard @ self.axes.T  # (N, K)
        off = np.maximum((standard**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        return ((along / self.spread) ** 2).mean(axis=1) + off / self.rest**2

    def is_unlike(self, features: np.ndarray) -> np.ndarray:
        """features: float32 (N, D). Returns bool (N,): farther than the limit."""
        return self.distances(features) > self.limit


def fit_familiarity(features: np.ndarray, axes: int) -> Familiarity:
    """Statistics of training slices. features: float32 (N, D), N > axes. The limit is infinite: none was chosen yet.

    A feature that never varies gets the smallest scale of those that do, so that it counts where it does at last.
    """
    roots = _compress(features)
    center, scale = roots.mean(axis=0), roots.std(axis=0)
    varies = scale > 1e-3 * scale.max()
    if len(roots) <= axes + 1 or not varies.any():
        raise ValueError(f"{len(roots)} slices cannot give {axes} axes of variation; give more, and different ones.")
    scale = np.where(varies, scale, scale[varies].min())
    standard = (roots - center) / scale
    # Eigenvectors of the (N, N) products: N is hundreds, D thousands.
    squares, vectors = np.linalg.eigh(standard @ standard.T)
    squares, vectors = squares[::-1], vectors[:, ::-1]
    lengths = np.sqrt(np.maximum(squares[:axes], 1e-12 * squares[0]))
    main = (vectors[:, :axes].T @ standard) / lengths[:, None]  # (K, D)
    spread = np.maximum(lengths / np.sqrt(len(roots)), 1e-6)
    rest = np.sqrt(max(squares[axes:].sum(), 1e-12 * squares[0]) / len(roots))
    return Familiarity(center, scale, main, spread, float(rest), float("inf"))


def choose_limit(familiarity: Familiarity, features: np.ndarray, share: float) -> Familiarity:
    """With the limit that at most `share` of these slices exceed. features: float32 (N, D), of validation slices."""
    ordered = np.sort(familiarity.distances(features))
    warned = int(share * len(ordered))
    return replace(familiarity, limit=float(ordered[len(ordered) - 1 - warned]))


def is_plain(pixels: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, 3) -> bool (N,): slices with nothing on them, of one colour all over."""
    spread = pixels.max(axis=(1, 2)).astype(np.int16) - pixels.min(axis=(1, 2))  # (N, 3)
    return (spread <= _PLAIN_RANGE).all(axis=1)


def warnings_of(is_unlike: np.ndarray | None) -> tuple[str, ...]:
    """Codes for a scan: bool (N,) of its slices, None where there is no check. More than half of them is too many."""
    return (UNLIKE,) if is_unlike is not None and is_unlike.mean() > 0.5 else ()


def save_familiarity(familiarity: Familiarity, folder: Path) -> None:
    """Write `familiarity.npz` into `folder`, in single precision."""
    values = {item.name: np.float32(getattr(familiarity, item.name)) for item in fields(Familiarity)}
    np.savez_compressed(folder / FAMILIARITY_FILE, **values)


def load_familiarity(package: Path, card: Card) -> Familiarity | None:
    """The statistics of a package, checked against its card; None where it lists none. Raises PackageFileError."""
    if FAMILIARITY_FILE not in card.files:
        return None
    verify_files(package, card, (FAMILIARITY_FILE,))
    try:
        with np.load(package / FAMILIARITY_FILE, allow_pickle=False) as file:
            values = {item.name: file[item.name].astype(np.float64) for item in fields(Familiarity)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise PackageFileError(
            f"{FAMILIARITY_FILE} of the package {card.name} cannot be read ({error}); make the package again."
        ) from error
    axes, count = values["axes"].shape if values["axes"].ndim == 2 else (0, 0)
    shapes = {"center": (count,), "scale": (count,), "axes": (axes, count), "spread": (axes,), "rest": (), "limit": ()}
    is_sound = all(values[name].shape == shape and np.isfinite(values[name]).all() for name, shape in shapes.items())
    if not count or not is_sound or not all((values[name] > 0).all() for name in ("scale", "spread", "rest")):
        raise PackageFileError(
            f"{FAMILIARITY_FILE} of the package {card.name} holds no such statistics; make the package again."
        )
    numbers = {name: float(values.pop(name)) for name in ("rest", "limit")}
    return Familiarity(**values, **numbers)


def _compress(features: np.ndarray) -> np.ndarray:
    """The square root, with its sign: means of activations are skewed, their roots are nearly normal. float64."""
    wide = features.astype(np.float64)
    return np.sign(wide) * np.sqrt(np.abs(wide))

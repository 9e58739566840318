"""Out-of-distribution detection: is a slice like the slices that the network was trained on?

The network's pooled features of a slice are compared with those of the training slices: the Mahalanobis distance along
the principal axes of the training features, plus the residual outside of their subspace (Lee et al., A Simple Unified
Framework for Detecting Out-of-Distribution Samples, NeurIPS 2018; Mao et al., subspace methods, 1982). Each term has a
mean of 1 over the training slices. Never imports torch.

Card, pages and the package's file call this check `familiarity`; the warning's code is `unlike_training_data`.
"""

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.cards import OOD_FILE, Card, PackageFileError, verify_files
from ml.channels import channel_ranges

# The warning's code in the API, in a segmentation's `warnings` and in predictions.csv.
UNLIKE = "unlike_training_data"
# Gray levels of 255: a slice whose channels vary by no more is empty, whatever its features are.
_PLAIN_RANGE = 8


@dataclass(frozen=True)
class OodDetector:
    """Statistics of D features over the training slices, and the largest distance that still counts as like them.

    center, scale: float64 (D,), mean and standard deviation of the square roots of the features.
    axes: float64 (K, D), orthonormal principal axes of the standardized roots.
    spread: float64 (K,), standard deviation along each axis.
    rest: root mean square length of the residual outside of the axes.
    limit: a slice whose distance is greater is out of distribution.
    head, head_limit: float64 (D,), and what the product of the standardized roots with it may not exceed: a regression
    that was fitted on drawn images without a brain. 0 in packages without one.
    """

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    axes: NDArray[np.float64]
    spread: NDArray[np.float64]
    rest: float
    limit: float
    head: NDArray[np.float64]
    head_limit: float = 0.0

    @property
    def feature_count(self) -> int:
        """D."""
        return len(self.center)

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """features: float32 (N, D). Returns float64 (N,), at least 0, with a mean of 2 over the training slices."""
        standard = self.standardize(features)  # (N, D)
        along = standard @ self.axes.T  # (N, K)
        # The axes are orthonormal: the squared residual is the squared length less the squared projection.
        residual = np.maximum((standard**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        distances: NDArray[np.float64] = ((along / self.spread) ** 2).mean(axis=1) + residual / self.rest**2
        return distances

    def standardize(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """features: float32 (N, D). Returns the standardized roots, float64 (N, D)."""
        standard: NDArray[np.float64] = (compress(features) - self.center) / self.scale
        return standard

    def is_out_of_distribution(self, features: NDArray[np.float32]) -> NDArray[np.bool]:
        """features: float32 (N, D). Returns bool (N,): the distance or the head's product exceeds its limit."""
        is_drawn: NDArray[np.bool] = self.standardize(features) @ self.head > self.head_limit
        return is_drawn | (self.distances(features) > self.limit)


def fit_detector(features: NDArray[np.float32], axes: int) -> OodDetector:
    """Fit the statistics on training slices. The limit is infinite until one is chosen (`limit_of`).

    features: float32 (N, D), N > axes + 1. A feature that is constant over the training slices gets the smallest scale
    of the others, so that a change in it counts. Raises ValueError where there are too few slices, or all are equal.
    """
    roots = compress(features)
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
    return OodDetector(center, scale, main, spread, float(rest), float("inf"), np.zeros(len(center)))


def limit_of(values: NDArray[np.float64], share: float) -> float:
    """The limit that at most `share` (0 to 1) of the values exceed. values: float64 (N,), N > 0."""
    ordered = np.sort(values)
    return float(ordered[len(ordered) - 1 - int(share * len(ordered))])


def is_plain(pixels: NDArray[np.uint8]) -> NDArray[np.bool]:
    """uint8 (N, H, W, 3) -> bool (N,): slices that show nothing, of one color all over."""
    is_flat: NDArray[np.bool] = np.all(channel_ranges(pixels) <= _PLAIN_RANGE, axis=1)
    return is_flat


def save_detector(detector: OodDetector, folder: Path) -> None:
    """Write `familiarity.npz` into `folder`, float32."""
    values = {item.name: np.float32(getattr(detector, item.name)) for item in fields(OodDetector)}
    np.savez_compressed(folder / OOD_FILE, allow_pickle=False, **values)


def load_detector(package: Path, card: Card) -> OodDetector | None:
    """The detector of a package; None where its card lists none.

    Raises PackageFileError where the file is not the card's, cannot be read, or holds arrays that do not fit together.
    """
    if OOD_FILE not in card.files:
        return None
    verify_files(package, card, (OOD_FILE,))
    try:
        with np.load(package / OOD_FILE, allow_pickle=False) as file:
            values = {
                item.name: file[item.name].astype(np.float64)
                for item in fields(OodDetector)
                if item.name in file or not item.name.startswith("head")
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise PackageFileError(
            f"{OOD_FILE} of the package {card.name} cannot be read ({error}); make the package again."
        ) from error
    axes, count = values["axes"].shape if values["axes"].ndim == 2 else (0, 0)
    # Packages made before there was a head have none.
    values = {"head": np.zeros(count), "head_limit": np.zeros(()), **values}
    shapes = {"center": (count,), "scale": (count,), "axes": (axes, count), "spread": (axes,), "rest": (), "limit": ()}
    shapes |= {"head": (count,), "head_limit": ()}
    is_sound = all(values[name].shape == shape and np.isfinite(values[name]).all() for name, shape in shapes.items())
    if not count or not is_sound or not all((values[name] > 0).all() for name in ("scale", "spread", "rest")):
        raise PackageFileError(
            f"{OOD_FILE} of the package {card.name} holds no such statistics; make the package again."
        )
    return OodDetector(
        center=values["center"],
        scale=values["scale"],
        axes=values["axes"],
        spread=values["spread"],
        rest=float(values["rest"]),
        limit=float(values["limit"]),
        head=values["head"],
        head_limit=float(values["head_limit"]),
    )


def compress(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Features -> their signed square roots: means of activations are skewed, their roots nearly normal."""
    wide = features.astype(np.float64)
    return np.sign(wide) * np.sqrt(np.abs(wide))

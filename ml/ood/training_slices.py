"""Is a slice one that the model was trained on, whatever its file is called? By a fingerprint of 128 bits a slice.

A perceptual hash: the slice's FLAIR channel is brought to 32 x 32 pixels, its square roots are standardized, and of
their cosine transform the lower frequencies, standardized over the training slices, are projected onto 128 fixed
directions of which the signs are kept (Charikar, Similarity Estimation Techniques from Rounding Algorithms, STOC 2002).
It survives another format, another size, gray for color and a stretched contrast, not a flip, a margin or a crop; the
signs do not give the picture back. Measured in docs/models.md. Never imports torch.
"""

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.cards import SLICES_FILE, Card, PackageFileError, verify_files

BITS = 128
# Bits that may differ. Of slices in another size none differs by more than 10; of those of patients who trained nothing
# none by fewer than 13.
LIMIT = 12
# Fewer slices than this say nothing of their set.
FEWEST_SLICES = 10
_SIDE = 32
# Sums of row and column of the frequencies that are kept: neither brightness nor noise.
_LOWEST, _HIGHEST = 2, 18
# Standard deviation of the roots below which a slice shows too little to be told from others.
_PLAIN = 1.5


@dataclass(frozen=True)
class TrainingSlices:
    """codes: uint8 (N, 16), the signs of each training slice. mean, scale: float32 (F,), of each frequency over them.
    channel: of three, the one that is looked at; None for their mean."""

    codes: NDArray[np.uint8]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    channel: int | None

    def are_known(self, pixels: NDArray[np.uint8]) -> NDArray[np.bool]:
        """uint8 (N, H, W, 3) -> bool (N,): slices that are one of the training's."""
        return np.array([self.is_known(plane) for plane in pixels], dtype=np.bool)

    def is_known(self, plane: NDArray[np.uint8]) -> bool:
        """The same of one slice, uint8 (H, W, 3)."""
        found = _frequencies(plane, self.channel)
        if found is None:
            return False
        differing = np.bitwise_count(self.codes ^ _code(found, self.mean, self.scale)).sum(axis=1)
        return bool(differing.min() <= LIMIT)


def fit_training_slices(slices: Iterable[NDArray[np.uint8]], channel: int | None) -> TrainingSlices | None:
    """The fingerprints of slices, uint8 (H, W, 3) each; None of too few. Slices that show nothing have none."""
    rows = [found for plane in slices if (found := _frequencies(plane, channel)) is not None]
    if len(rows) < FEWEST_SLICES:
        return None
    found = np.stack(rows)  # (N, F)
    mean, scale = found.mean(axis=0), np.maximum(found.std(axis=0), 1e-6)
    codes = np.stack([_code(row, mean, scale) for row in found])
    return TrainingSlices(codes, mean.astype(np.float32), scale.astype(np.float32), channel)


def _frequencies(plane: NDArray[np.uint8], channel: int | None) -> NDArray[np.float32] | None:
    """float32 (F,) of uint8 (H, W, 3); None of a slice that shows nothing."""
    gray = plane.mean(axis=2).astype(np.uint8) if channel is None else np.ascontiguousarray(plane[..., channel])
    small = Image.fromarray(gray).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    roots = np.sqrt(np.asarray(small, dtype=np.float64))
    if roots.std() < _PLAIN:
        return None
    standard = (roots - roots.mean()) / roots.std()
    transformed = _COSINES @ standard @ _COSINES.T
    kept: NDArray[np.float32] = transformed[_IS_KEPT].astype(np.float32)
    return kept


def _code(found: NDArray[np.float32], mean: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8 (16,)."""
    return np.packbits(((found - mean) / scale) @ _DIRECTIONS > 0)


def _make_cosines() -> NDArray[np.float64]:
    """The orthonormal cosine transform (DCT-II) of _SIDE values, as a matrix."""
    places, frequencies = np.meshgrid(np.arange(_SIDE) + 0.5, np.arange(_SIDE))
    matrix: NDArray[np.float64] = np.cos(np.pi / _SIDE * places * frequencies) * np.sqrt(2 / _SIDE)
    matrix[0] /= np.sqrt(2)
    return matrix


def _make_directions(count: int) -> NDArray[np.float32]:
    """float32 (count, BITS) of -1 and 1, the same for ever: a package's codes are compared with new ones."""
    bits = np.frombuffer(hashlib.shake_256(b"glioscope training slices").digest(count * BITS // 8), dtype=np.uint8)
    return np.unpackbits(bits).reshape(count, BITS).astype(np.float32) * 2 - 1


_COSINES = _make_cosines()
_IS_KEPT = (np.add.outer(np.arange(_SIDE), np.arange(_SIDE)) >= _LOWEST) & (
    np.add.outer(np.arange(_SIDE), np.arange(_SIDE)) <= _HIGHEST
)
_DIRECTIONS = _make_directions(int(_IS_KEPT.sum()))


def save_training_slices(known: TrainingSlices, folder: Path) -> None:
    """Write `training_slices.npz` into `folder`."""
    path = folder / SLICES_FILE
    np.savez_compressed(path, allow_pickle=False, codes=known.codes, mean=known.mean, scale=known.scale)


def load_training_slices(package: Path, card: Card) -> TrainingSlices | None:
    """The fingerprints of a package; None where its card lists none.

    Raises PackageFileError where the file is not the card's, cannot be read, or holds no such arrays.
    """
    if SLICES_FILE not in card.files:
        return None
    verify_files(package, card, (SLICES_FILE,))
    try:
        with np.load(package / SLICES_FILE, allow_pickle=False) as file:
            codes, mean, scale = (file[name] for name in ("codes", "mean", "scale"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise PackageFileError(
            f"{SLICES_FILE} of the package {card.name} cannot be read ({error}); make the package again."
        ) from error
    is_code = codes.dtype == np.uint8 and codes.ndim == 2 and codes.shape[1] == BITS // 8 and len(codes) > 0
    shape = (len(_DIRECTIONS),)
    if not is_code or mean.shape != shape or scale.shape != shape or not (scale > 0).all():
        raise PackageFileError(
            f"{SLICES_FILE} of the package {card.name} holds no such fingerprints; make the package again."
        )
    return TrainingSlices(codes, mean.astype(np.float32), scale.astype(np.float32), card.input.flair_channel)

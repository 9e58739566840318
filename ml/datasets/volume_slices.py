"""Slices of volumes as cases: a slice's path is its file's and below it the slice's number in the axial stack, as if
the file was a folder (`P1/P1-t2f.nii.gz/0042`).

A volume is decoded once for all of its slices, by the readers of `ml.scans`, and kept until the next one is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath, PurePosixPath
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ml.datasets.file_names import VOLUME_SUFFIXES, suffix_of
from ml.digests import sha256_of, sha256_of_lines
from ml.scans import LabelMap, Limits, Scan, ScanError, read_grid, read_label_volume, read_scan
from ml.volumes.axial import stack_shape
from ml.volumes.label_volumes import cut_labels

Value = TypeVar("Value")

# The first and the last of a scan's three channels: FLAIR is the one between (docs/datasets.md).
Channels = tuple[Path, Path]


@dataclass(frozen=True)
class VolumeSlice:
    """What a slice's case knows of its volume.

    slices: in the axial stack. spacing_mm: of slices, rows and columns. channels: the files of T1 and of T1 after
    contrast, None where FLAIR stands for all three.
    """

    slices: int
    spacing_mm: tuple[float, float, float]
    channels: Channels | None = None

    def to_json(self, folder: Path | None = None) -> dict[str, Any]:
        """Plain values; paths below `folder`, else absolute ones, for a child process."""
        channels = None
        if self.channels is not None:
            paths = (path.relative_to(folder) if folder else path.absolute() for path in self.channels)
            channels = [path.as_posix() for path in paths]
        return {"slices": self.slices, "spacing_mm": list(self.spacing_mm), "channels": channels}


def volume_of(fields: dict[str, Any] | None, folder: Path = Path()) -> VolumeSlice | None:
    """What `to_json` wrote, its paths below `folder`."""
    if fields is None:
        return None
    slice_mm, row_mm, column_mm = (float(distance) for distance in fields["spacing_mm"])
    channels = None
    if fields["channels"] is not None:
        before, after = fields["channels"]
        channels = folder / before, folder / after
    return VolumeSlice(int(fields["slices"]), (slice_mm, row_mm, column_mm), channels)


def slice_path(volume: Path, index: int) -> Path:
    """The path of one slice of a volume's axial stack."""
    return volume / f"{index:04}"


def image_words(image: str) -> str:
    """A case's image as people read it: of a volume's slice the volume, and the slice's number, which begins at 1."""
    path = PurePosixPath(image)
    return f"{path.parent}, slice {int(path.name) + 1}" if is_volume_slice(path) else image


def file_of(path: Path) -> Path:
    """The file of a slice's path; a picture's own path."""
    return path.parent if is_volume_slice(path) else path


def is_volume_slice(path: PurePath) -> bool:
    """Whether a path is that of a volume's slice."""
    return path.name.isdecimal() and suffix_of(path.parent.name) in VOLUME_SUFFIXES


def is_volume(path: Path) -> bool:
    """Whether a path is that of a whole volume, which no case is: of a patient of whom nothing can be used."""
    return suffix_of(path.name) in VOLUME_SUFFIXES


def read_volume_slice(path: Path, channels: Channels | None, limits: Limits) -> Scan:
    """One slice as a scan of its own. Raises ScanError and what a reader's libraries raise."""
    volume = file_of(path)
    scan = _scans.get((volume, *(channels or ())), lambda: _read_scan(volume, channels, limits))
    index = int(path.name)
    if index >= len(scan.pixels):
        raise ScanError("unreadable", f"The volume has {len(scan.pixels)} slices now and had more; evaluate it again.")
    pixels = scan.pixels[index : index + 1]
    return Scan(pixels, scan.format, scan.geometry, scan.warnings, sequence=scan.sequence)


def read_slice_labels(path: Path, image: Path, limits: Limits) -> LabelMap:
    """The expert's mask of a slice, which has the path `image`, bool (H, W). Raises as `read_volume_slice`."""
    mask, volume = file_of(path), file_of(image)
    return LabelMap(_truths.get((mask, volume), lambda: _read_truth(mask, volume, limits))[int(path.name)])


def sha256_of_image(path: Path, channels: Channels | None = None) -> str:
    """Of a file's bytes; of three channels' files, of their digests in order. Raises OSError."""
    file = file_of(path)
    if channels is None:
        return _sha256(file, _stamp(file))
    return sha256_of_lines(_sha256(one, _stamp(one)) for one in (channels[0], file, channels[1]))


def _read_scan(volume: Path, channels: Channels | None, limits: Limits) -> Scan:
    scan = read_scan(volume, limits)
    if channels is None:
        return scan
    flair: NDArray[np.uint8] = scan.pixels[..., 1].copy()
    pixels = scan.pixels
    for plane, file in ((0, channels[0]), (2, channels[1])):
        other = read_scan(file, limits)
        if other.pixels.shape != pixels.shape:
            raise ScanError("unreadable", f"{file.name} has another number of voxels than {volume.name}.")
        pixels[..., plane] = other.pixels[..., 0]
    pixels[..., 1] = flair
    return Scan(pixels, scan.format, scan.geometry, scan.warnings, grid=scan.grid, sequence=scan.sequence)


def _read_truth(mask: Path, volume: Path, limits: Limits) -> NDArray[np.bool]:
    labels, grid = read_label_volume(mask, limits), read_grid(volume, limits)
    if labels is None or grid is None:
        raise ScanError("unreadable", "The mask of a volume must be a volume.")
    if not labels.is_whole:
        raise ScanError(
            "unreadable",
            "The mask has values that are no whole numbers, as interpolation leaves them: export the labels.",
        )
    return np.stack(list(cut_labels(labels, grid, stack_shape(grid))))


class _Last(Generic[Value]):
    """Keeps what was read of the last files, or why nothing was, until these change or others are asked for."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: object = None
        self._found: Value | None = None
        self._error: ScanError | None = None

    def get(self, files: tuple[Path, ...], read: Callable[[], Value]) -> Value:
        """Raises what `read` raises."""
        key = [(file, *_stamp(file)) for file in files]
        with self._lock:
            if key != self._key:
                self._key = self._found = self._error = None  # before the next one is read: both have no room
                try:
                    self._found = read()
                except ScanError as error:
                    self._error = error
                self._key = key
            if self._error is not None:
                raise ScanError(self._error.code, self._error.message)
            assert self._found is not None  # noqa: S101 - one of the two is there
            return self._found


_scans: _Last[Scan] = _Last()
_truths: _Last[NDArray[np.bool]] = _Last()


def _stamp(file: Path) -> tuple[int, int]:
    """What changes when a file does."""
    status = file.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(64)
def _sha256(file: Path, stamp: tuple[int, int]) -> str:
    return sha256_of(file)

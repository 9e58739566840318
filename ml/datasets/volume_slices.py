"""Slices of volumes as cases: a slice's path is its file's and below it the slice's number in the axial stack, as if
the file was a folder (`P1/P1-t2f.nii.gz/0042`); of a DICOM series by the first of its files (`P1/0001.dcm/0042`).

A volume is decoded once for all of its slices, by the readers of `ml.scans`, and kept until the next one is asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePath, PurePosixPath
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ml.datasets.file_names import DICOM_SUFFIXES, MASK_VOLUME_SUFFIXES, VOLUME_SUFFIXES, suffix_of
from ml.digests import sha256_of, sha256_of_lines
from ml.scans import (
    LabelMap,
    Limits,
    Scan,
    ScanError,
    read_grid,
    read_label_volume,
    read_labels_on,
    read_scan,
    read_series,
    read_volume,
)
from ml.volumes.axial import stack_shape
from ml.volumes.grid import VolumeGrid
from ml.volumes.label_volumes import (
    LEAST_SHARE_INSIDE,
    LabelVolume,
    cut_labels,
    is_cut_off,
    is_same_lattice,
    share_inside,
)
from ml.volumes.places import unplaced, why_unplaced

Value = TypeVar("Value")

_SUFFIXES = (*VOLUME_SUFFIXES, *DICOM_SUFFIXES, *MASK_VOLUME_SUFFIXES)
# What a reader says of a file of several volumes.
_CHOSEN = "volume_chosen"

# The first and the last of a scan's three channels: FLAIR is the one between (docs/datasets.md).
Channels = tuple[Path, Path]


@dataclass(frozen=True)
class VolumeSlice:
    """What a slice's case knows of its volume.

    slices: in the axial stack. spacing_mm: of slices, rows and columns. channels: the files of T1 and of T1 after
    contrast, None where FLAIR stands for all three. series: all files of a DICOM series; () of one file. numbers: where
    a file holds several volumes (4-D), which of them, from 1, is FLAIR; with `channels` T1, FLAIR, and T1 after
    contrast.
    """

    slices: int
    spacing_mm: tuple[float, float, float]
    channels: Channels | None = None
    series: tuple[Path, ...] = ()
    numbers: tuple[int, ...] = ()

    def to_json(self, folder: Path | None = None) -> dict[str, Any]:
        """Plain values; paths below `folder`, else absolute ones, for a child process."""

        def written(paths: tuple[Path, ...]) -> list[str]:
            return [(path.relative_to(folder) if folder else path.absolute()).as_posix() for path in paths]

        channels = None if self.channels is None else written(self.channels)
        fields: dict[str, Any] = {"slices": self.slices, "spacing_mm": list(self.spacing_mm), "channels": channels}
        fields |= {"series": written(self.series)} if self.series else {}
        return fields | ({"numbers": list(self.numbers)} if self.numbers else {})


def volume_of(fields: dict[str, Any] | None, folder: Path = Path()) -> VolumeSlice | None:
    """What `to_json` wrote, its paths below `folder`."""
    if fields is None:
        return None
    slice_mm, row_mm, column_mm = (float(distance) for distance in fields["spacing_mm"])
    channels = None
    if fields["channels"] is not None:
        before, after = fields["channels"]
        channels = folder / before, folder / after
    series = tuple(folder / path for path in fields.get("series", ()))
    numbers = tuple(map(int, fields.get("numbers", ())))
    return VolumeSlice(int(fields["slices"]), (slice_mm, row_mm, column_mm), channels, series, numbers)


def number_of(numbers: Sequence[int], plane: int) -> int | None:
    """Which volume of its file a channel, 0 to 2, is, from 1; None of a file with one. numbers: of `VolumeSlice`."""
    return numbers[plane if len(numbers) > 1 else 0] if numbers else None


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
    return path.name.isdecimal() and suffix_of(path.parent.name) in _SUFFIXES


def is_volume(path: Path) -> bool:
    """Whether a path is that of a whole volume, which no case is: of a patient of whom nothing can be used."""
    return suffix_of(path.name) in _SUFFIXES


def read_volume_slice(path: Path, volume: VolumeSlice | None, limits: Limits) -> Scan:
    """One slice as a scan of its own. Raises ScanError and what a reader's libraries raise."""
    scan = _whole(path, volume, limits)
    index = int(path.name)
    if index >= len(scan.pixels):
        raise ScanError("unreadable", f"The volume has {len(scan.pixels)} slices now and had more; evaluate it again.")
    pixels = scan.pixels[index : index + 1]
    return Scan(pixels, scan.format, scan.geometry, scan.warnings, sequence=scan.sequence)


def read_slice_labels(path: Path, image: Path, volume: VolumeSlice | None, limits: Limits) -> LabelMap:
    """The expert's mask of a slice, which has the path `image`, bool (H, W). Raises as `read_volume_slice`."""
    mask, file = file_of(path), file_of(image)
    if volume is not None and volume.series:
        grid = _whole(image, volume, limits).grid
        truth = _truths.get((mask, *volume.series), lambda: _read_truth_of_series(mask, grid, limits))
    else:
        truth = _truths.get((mask, file), lambda: _read_truth(mask, image, volume, limits))
    return LabelMap(
        truth.slices[int(path.name)],
        is_on_another_grid=truth.is_on_another_grid,
        is_cut_off=truth.is_cut_off,
        is_resampled=truth.is_resampled,
    )


def files_of(path: Path, volume: VolumeSlice | None) -> tuple[Path, ...]:
    """All files that a slice's pixels are read from; those of three channels in their order."""
    if volume is None or (volume.channels is None and not volume.series):
        return (file_of(path),)
    if volume.channels is None:
        return volume.series
    return (volume.channels[0], file_of(path), volume.channels[1])


def sha256_of_image(path: Path, volume: VolumeSlice | None = None) -> str:
    """Of a file's bytes; of several files, of their digests in order. Raises OSError."""
    first, *others = files_of(path, volume)
    if not others:
        return _sha256(first, _stamp(first))
    return sha256_of_lines(_sha256(one, _stamp(one)) for one in (first, *others))


def _whole(path: Path, volume: VolumeSlice | None, limits: Limits) -> Scan:
    """The volume of a slice, which is kept."""
    if volume is not None and volume.series:
        return _scans.get(volume.series, lambda: read_series(volume.series, limits))
    channels = () if volume is None or volume.channels is None else volume.channels
    return _scans.get((file_of(path), *channels), lambda: _read_scan(file_of(path), volume, limits))


def _read_one(file: Path, number: int | None, limits: Limits) -> Scan:
    """A file, or one of its volumes: the set says which it is, so that nothing is to be told of it."""
    if number is None:
        return read_scan(file, limits)
    scan = read_volume(file, limits, number)
    return replace(scan, warnings=tuple(code for code in scan.warnings if code != _CHOSEN))


def _read_scan(file: Path, volume: VolumeSlice | None, limits: Limits) -> Scan:
    scan = _read_one(file, number_of(volume.numbers, 1) if volume else None, limits)
    if volume is None or volume.channels is None:
        return scan
    flair: NDArray[np.uint8] = scan.pixels[..., 1].copy()
    pixels = scan.pixels
    for plane, channel in zip((0, 2), volume.channels, strict=True):
        other = _read_one(channel, number_of(volume.numbers, plane), limits)
        if other.pixels.shape != pixels.shape:
            raise ScanError("unreadable", f"{channel.name} has another number of voxels than {file.name}.")
        pixels[..., plane] = other.pixels[..., 0]
    pixels[..., 1] = flair
    return Scan(pixels, scan.format, scan.geometry, scan.warnings, grid=scan.grid, sequence=scan.sequence)


@dataclass(frozen=True)
class _Truth:
    """slices: bool (N, H, W). Further fields: as of `LabelMap`."""

    slices: NDArray[np.bool]
    is_on_another_grid: bool = False
    is_cut_off: bool = False
    is_resampled: bool = False


def _read_truth(mask: Path, image: Path, volume: VolumeSlice | None, limits: Limits) -> _Truth:
    labels = read_label_volume(mask, limits)
    has_several = volume is not None and volume.numbers
    grid = _whole(image, volume, limits).grid if has_several else read_grid(file_of(image), limits)
    if labels is None or grid is None:
        raise ScanError("unreadable", "The mask of a volume must be a volume.")
    if not labels.has_labels:
        raise ScanError(
            "unreadable",
            "The mask has values that are no labels, fractions or many shades, as interpolation leaves them: export the"
            " labels, or set a threshold (0 for background, 1 for tumor).",
        )
    _check_inside(labels, grid)
    return replace(_cut_truth(labels, grid), is_cut_off=is_cut_off(labels, grid))


def _cut_truth(labels: LabelVolume, grid: VolumeGrid) -> _Truth:
    shape = stack_shape(grid)
    return _Truth(np.stack(list(cut_labels(labels, grid, shape))), is_resampled=shape != grid.axial_shape)


def _check_inside(labels: LabelVolume, grid: VolumeGrid) -> None:
    """Raises ScanError where a part of the tumor lies outside of the scan, or one of both has no place."""
    if (lacking := unplaced(grid, labels.grid)) is not None:
        names = ("the scan", "the mask") if lacking is grid else ("the mask", "the scan")
        raise ScanError("unreadable", why_unplaced(*names))
    share = share_inside(labels, grid)
    if share is not None and share < LEAST_SHARE_INSIDE:
        raise ScanError(
            "unreadable", f"Of the mask's tumor {share:.0%} lies inside of its scan; export it on this very scan."
        )


def _read_truth_of_series(mask: Path, grid: VolumeGrid | None, limits: Limits) -> _Truth:
    labels = None if grid is None else read_labels_on(mask, limits, grid)
    if grid is None or labels is None:
        raise ScanError(
            "unreadable", "The mask of a series must be a DICOM SEG or an RTSTRUCT, on slices that lie even."
        )
    _check_inside(labels, grid)
    truth = _cut_truth(labels, grid)
    return replace(truth, is_on_another_grid=bool(truth.slices.any()) and not is_same_lattice(labels.grid, grid))


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
_truths: _Last[_Truth] = _Last()


def _stamp(file: Path) -> tuple[int, int]:
    """What changes when a file does."""
    status = file.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(4096)  # of the files of a series, for each of its slices
def _sha256(file: Path, stamp: tuple[int, int]) -> str:
    return sha256_of(file)

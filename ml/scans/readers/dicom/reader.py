"""A DICOM file, or the files of a series, to a scan: axial slices on the training data's scale, as every volume."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ml.scans.labels import LabelMap
from ml.scans.readers.dicom.instances import Instance, read_dataset, read_instance
from ml.scans.readers.dicom.mosaics import tiles_of
from ml.scans.readers.dicom.pixels import read_frames
from ml.scans.readers.dicom.series import Volume, order_frames
from ml.scans.readers.volumes import check_grid, make_scan, make_unplaced_scan
from ml.scans.scan import Limits, Scan, ScanError
from ml.volumes.axial import axial_view


def read(path: Path, limits: Limits) -> Scan:
    """Decode one file, of one frame or several. Raises ScanError."""
    return read_series([path], limits)


def read_labels(path: Path, limits: Limits) -> LabelMap:
    """Masks are pictures so far. Raises ScanError `unreadable`."""
    raise ScanError(
        "unreadable", "The mask is a DICOM file, and masks are read from pictures; store it as PNG or TIFF."
    )


def read_label_stack(path: Path, limits: Limits) -> Iterator[LabelMap]:
    """An expert's mask of a scan is read from images. Raises ScanError `unreadable`."""
    raise ScanError(
        "unreadable",
        "The mask is a DICOM file, which is not read as an expert's mask; store it as a TIFF with a page for each axial"
        " slice of the scan.",
    )


def read_series(paths: Sequence[Path], limits: Limits) -> Scan:
    """Decode the files of one scan, whatever their order. Raises ScanError."""
    instances = [read_instance(path, limits) for path in paths]
    said = {item.sequence for item in instances}
    return replace(_read(instances, limits), sequence=said.pop() if len(said) == 1 else None)


def _read(instances: Sequence[Instance], limits: Limits) -> Scan:
    first = instances[0]
    volume = order_frames(instances)
    count = len(volume.places)
    limits.check_stack(count, first.columns, first.rows)
    stored = _read_stored(instances, volume)  # (slice, row, column)
    notes = [*volume.notes, *(["burned_in_text"] if any(item.has_burned_in_text for item in instances) else [])]
    scaling = (-1.0, 0.0) if first.is_inverted else (1.0, 0.0)
    if volume.affine is None:
        return make_unplaced_scan(stored, limits, "dicom", notes, scaling)
    voxels = stored.transpose(2, 1, 0)  # (column, row, slice)
    grid = check_grid(volume.affine, (first.columns, first.rows, count), first.frame_of_reference)
    if not volume.is_even:
        if grid.axial[0].axis != 2:
            raise ScanError(
                "unreadable",
                "Slices of the series are missing, and without them no axial slices can be made of it;"
                " send all of its files.",
            )
        return make_unplaced_scan(axial_view(grid, voxels), limits, "dicom", notes, scaling)
    return make_scan(grid, voxels, limits, "dicom", notes, scaling)


def _pictures(dataset: Dataset, item: Instance) -> Iterator[NDArray[np.generic]]:
    """The stored values of each frame, (rows, columns). Raises ScanError `unreadable`."""
    if item.tiles_across == 1:
        yield from read_frames(dataset, len(item.frames))
    else:
        for picture in read_frames(dataset, 1):
            yield from tiles_of(picture, len(item.frames), item.tiles_across)


def _read_stored(instances: Sequence[Instance], volume: Volume) -> NDArray[np.generic]:
    """The values of all frames in the file's unit, (slice, row, column): whole numbers where no slope is stated."""
    frames = [place.frame for place in volume.places]
    is_scaled = any((frame.slope, frame.intercept) != (1.0, 0.0) for frame in frames)
    where = {(place.file, place.frame.index): index for index, place in enumerate(volume.places)}
    stack: NDArray[np.generic] | None = None
    for file, item in enumerate(instances):
        dataset = read_dataset(item.path, is_whole=True)
        for index, values in enumerate(_pictures(dataset, item)):
            if (file, index) not in where:  # a copy
                continue
            if stack is None:
                stack = np.empty((len(frames), *values.shape), np.float32 if is_scaled else np.int32)
            place = where[file, index]
            frame = frames[place]
            stack[place] = values.astype(np.float64) * frame.slope + frame.intercept if is_scaled else values
    if stack is None:
        raise ScanError("unreadable", "The DICOM files have no pixels; export the series again.")
    return stack

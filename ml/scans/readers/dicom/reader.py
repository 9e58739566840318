"""A DICOM file, or the files of a series, to a scan: axial slices on the training data's scale, as every volume."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ml.scans.labels import LabelMap
from ml.scans.readers.dicom.elements import read_dataset
from ml.scans.readers.dicom.instances import Instance, read_instance
from ml.scans.readers.dicom.mosaics import tiles_of
from ml.scans.readers.dicom.pixels import read_frames
from ml.scans.readers.dicom.segmentations import is_segmentation, read_segmentation
from ml.scans.readers.dicom.series import Volume, order_frames, sort_files
from ml.scans.readers.dicom.structure_sets import is_structure_set, read_structure_set
from ml.scans.readers.volumes import check_grid, make_scan, make_unplaced_scan
from ml.scans.scan import DamagedFile, LeftOut, Limits, Scan, ScanError
from ml.volumes.axial import axial_view
from ml.volumes.grid import VolumeGrid
from ml.volumes.label_volumes import LabelVolume

# Of a series so many files may be damaged, and one always: the others are read without them.
MOST_DAMAGED_SHARE = 0.25
# Places that a sentence names, before it counts the others.
MOST_NAMED = 8


def read(path: Path, limits: Limits) -> Scan:
    """Decode one file, of one frame or several. Raises ScanError."""
    return read_series([path], limits)


def read_labels(path: Path, limits: Limits) -> LabelMap:
    """Masks are pictures so far. Raises ScanError `unreadable`."""
    raise ScanError(
        "unreadable", "The mask is a DICOM file, and masks are read from pictures; store it as PNG or TIFF."
    )


def read_label_stack(path: Path, limits: Limits) -> Iterator[LabelMap]:
    """A DICOM SEG or RTSTRUCT is read by `read_labels_on`. Raises ScanError `unreadable`."""
    raise ScanError(
        "unreadable",
        "The mask is a DICOM file, which is read as an expert's mask where it is a DICOM SEG or an RTSTRUCT and its"
        " scan says where its voxels lie; store it as a TIFF with a page for each axial slice of the scan.",
    )


def read_labels_on(path: Path, limits: Limits, grid: VolumeGrid, regions: Sequence[str] = ()) -> LabelVolume | None:
    """A DICOM SEG or RTSTRUCT of a series; None of any other DICOM file. Raises ScanError.

    regions: names of the segments or ROIs that are the tumor; () where the file's own names tell.
    """
    limits.check_bytes(path.stat().st_size)
    header = read_dataset(path, is_whole=False)
    if is_segmentation(header):
        return read_segmentation(path, limits, grid, regions)
    return read_structure_set(path, limits, grid, regions) if is_structure_set(header) else None


def read_volume(path: Path, limits: Limits, volume: int) -> Scan:
    """Decode one of the volumes of a file, by its number from 1. Raises ScanError."""
    return read_series([path], limits, volume)


def read_series(paths: Sequence[Path], limits: Limits, volume: int | None = None) -> Scan:
    """Decode the files of one scan, whatever their order; of several the damaged ones are left out.

    volume: where each position has several pictures, the number of the one to read, from 1. Raises ScanError, which
    names the damaged files where the others cannot be read without them.
    """
    instances = [read_instance(path, limits) for path in paths]
    left_out: tuple[LeftOut, ...] = ()
    try:
        scan = _read(instances, limits, volume)
    except ScanError as error:
        left_out = error.files
        if not left_out or len(left_out) > max(1, MOST_DAMAGED_SHARE * len(instances)):
            raise
        lacking = {item.place for item in left_out}
        instances = [item for place, item in enumerate(instances) if place not in lacking]
        scan = _read_others(instances, limits, volume, left_out)
    said = {item.sequence for item in instances}
    return replace(scan, sequence=said.pop() if len(said) == 1 else None, left_out=left_out)


def read_series_grid(paths: Sequence[Path], limits: Limits) -> VolumeGrid:
    """Where the voxels of a series lie, by its headers alone. Raises ScanError, also where it is no volume."""
    instances = [read_instance(path, limits) for path in paths]
    if len(sort_files(instances)) != 1:
        raise ScanError(
            "unreadable",
            "The series has pictures of several sizes, directions, echoes or acquisitions: keep those that are one"
            " volume.",
        )
    volume = order_frames(instances)
    if volume.affine is None or (not volume.is_even and not volume.fillable):
        raise ScanError(
            "unreadable",
            "The slices of the series lie at uneven distances, or the files do not say where: add the missing ones.",
        )
    first = instances[0]
    shape = (first.columns, first.rows, len(volume.places) + len(volume.fillable))
    limits.check_stack(shape[2], first.columns, first.rows)
    return check_grid(volume.affine, shape, first.frame_of_reference)


def _read_others(
    instances: Sequence[Instance], limits: Limits, volume: int | None, left_out: tuple[LeftOut, ...]
) -> Scan:
    """What is left of a series. Raises ScanError, with the files that lack."""
    try:
        return _read(instances, limits, volume)
    except ScanError as error:
        raise ScanError(error.code, error.message, left_out) from error


def _read(instances: Sequence[Instance], limits: Limits, chosen: int | None) -> Scan:
    """Raises ScanError, with the damaged files among several."""
    first = instances[0]
    volume = order_frames(instances, chosen)
    count = len(volume.places)
    limits.check_stack(count, first.columns, first.rows)
    notes = [*volume.notes, *(["burned_in_text"] if any(item.has_burned_in_text for item in instances) else [])]
    scaling = (-1.0, 0.0) if first.is_inverted else (1.0, 0.0)
    if volume.affine is None:
        return make_unplaced_scan(_read_stored(instances, volume), limits, "dicom", notes, scaling)
    shape = (first.columns, first.rows, count + len(volume.fillable))
    grid = check_grid(volume.affine, shape, first.frame_of_reference)
    if not volume.is_even and grid.axial[0].axis == 2:
        shown = axial_view(grid, _read_stored(instances, volume).transpose(2, 1, 0))
        scan = make_unplaced_scan(shown, limits, "dicom", ["slices_uneven", *notes], scaling)
        return replace(scan, details={"slices_uneven": _between_slices(volume, grid.axial[0].is_turned)})
    where = _between_files(instances, volume)
    if not volume.is_even and not volume.fillable:
        raise ScanError(
            "unreadable",
            f"Slices of the series are missing {where}, and without them no axial slices can be made of it; send all of"
            " its files.",
        )
    limits.check_stack(shape[2], first.columns, first.rows)
    voxels = _read_stored(instances, volume, volume.fillable).transpose(2, 1, 0)  # (column, row, slice)
    if not volume.fillable:
        return make_scan(grid, voxels, limits, "dicom", notes, scaling)
    scan = make_scan(grid, voxels, limits, "dicom", ["slices_filled", *notes], scaling)
    return replace(scan, details={"slices_filled": f"Missing: {where}."})


def _between_slices(volume: Volume, is_turned: bool) -> str:
    """Where slices lack among those that are shown, which are counted from 1."""
    count = len(volume.places)
    behind = sorted(count - 1 - gap if is_turned else gap + 1 for gap in volume.gaps)
    if not behind:
        return "Distances differ along the whole series."
    return f"Long gaps: between slices {_listed([f'{number} and {number + 1}' for number in behind])}."


def _between_files(instances: Sequence[Instance], volume: Volume) -> str:
    """Where slices lack, by the numbers of the files beside."""
    numbers = [instances[place.file].number for place in volume.places]
    pairs = sorted((min(pair), max(pair)) for pair in ((numbers[gap], numbers[gap + 1]) for gap in volume.gaps))
    if not pairs:
        return "or lie at uneven distances"
    return f"between the files of InstanceNumber {_listed([f'{low} and {high}' for low, high in pairs])}"


def _listed(parts: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(parts) - MOST_NAMED
    return ", ".join(parts[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _pictures(dataset: Dataset, item: Instance) -> Iterator[NDArray[np.generic]]:
    """The stored values of each frame, (rows, columns). Raises ScanError `unreadable`."""
    try:
        if item.tiles_across == 1:
            yield from read_frames(dataset, len(item.frames))
        else:
            for picture in read_frames(dataset, 1):
                yield from tiles_of(picture, len(item.frames), item.tiles_across)
    except (MemoryError, ScanError):
        raise
    except Exception as error:  # of a damaged file pydicom and the codecs raise anything
        raise DamagedFile("The pixels of the DICOM file are cut or damaged; copy or export it again.") from error


def _read_stored(instances: Sequence[Instance], volume: Volume, gaps: Sequence[int] = ()) -> NDArray[np.generic]:
    """The values of all frames in the file's unit, (slice, row, column): whole numbers where no slope is stated.

    What the files say is padding becomes air. gaps: of `Volume.fillable`; a slice more stands
    behind each, the mean of its neighbors. Raises ScanError, with the damaged files among several.
    """
    frames = [place.frame for place in volume.places]
    is_scaled = any((frame.slope, frame.intercept) != (1.0, 0.0) for frame in frames)
    where = {(place.file, place.frame.index): index for index, place in enumerate(volume.places)}
    wanted = {place.file for place in volume.places}
    rows = [index + sum(gap < index for gap in gaps) for index in range(len(frames))]
    stack: NDArray[np.generic] | None = None
    padded: NDArray[np.bool_] | None = None
    damaged: list[LeftOut] = []
    for file, item in enumerate(instances):
        if file not in wanted:  # a copy, or of another volume
            continue
        try:
            for index, values in enumerate(_pictures(read_dataset(item.path, is_whole=True), item)):
                if (file, index) not in where:  # of another volume
                    continue
                if stack is None:
                    size = (len(frames) + len(gaps), *values.shape)
                    whole = np.int64 if values.dtype.kind == "u" and values.dtype.itemsize == 4 else np.int32
                    stack = np.empty(size, np.float32 if is_scaled else whole)
                place = where[file, index]
                frame = frames[place]
                stack[rows[place]] = values.astype(np.float64) * frame.slope + frame.intercept if is_scaled else values
                if item.padding is not None:
                    padded = np.zeros(stack.shape, np.bool_) if padded is None else padded
                    low, high = item.padding
                    padded[rows[place]] = np.greater_equal(values, low) & np.less_equal(values, high)
        except DamagedFile as error:
            if len(instances) == 1:
                raise
            damaged.append(LeftOut(file, error.message))
    if damaged:
        raise ScanError(
            "unreadable",
            f"Of the {len(instances)} files of this series {len(damaged)} cannot be read, too many to do without; copy"
            " or export them again, and send all.",
            tuple(damaged),
        )
    if stack is None:
        raise ScanError("unreadable", "The DICOM files have no pixels; export the series again.")
    if padded is not None:
        _darken(stack, padded, rows, is_inverted=instances[0].is_inverted)
    for gap in gaps:
        row = rows[gap]
        stack[row + 1] = (stack[row].astype(np.float64) + stack[row + 2]) / 2
    return stack


def _darken(stack: NDArray[Any], padded: NDArray[np.bool_], rows: Sequence[int], *, is_inverted: bool) -> None:
    """Make padding as dark as air: 0, of which MR has no signal, or the darkest value of the slices in `rows`."""
    edge = np.max if is_inverted else np.min
    found = [edge(stack[row][~padded[row]]) for row in rows if not padded[row].all()]
    if found:
        stack[padded] = max(found) if is_inverted else min(*found, 0)

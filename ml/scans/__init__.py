"""Files to scans: the only place where bytes of strangers are parsed.

What reads belongs inside the sandbox (`ml.sandbox.decoder.Decoder`); a data set of the operator's own may be read
without. Importing this package loads neither numpy nor a reader, so that a web process stays small. No torch and no
SciPy in here.

A new format is one file with the functions of `ml.scans.formats.Reader`, which share what they decode, and one line in
`ml.scans.formats.FORMATS`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ml.scans.formats import find_reader
from ml.scans.labels import LabelMap
from ml.scans.scan import WARNINGS, Geometry, Limits, Scan, ScanError

if TYPE_CHECKING:
    from ml.volumes.grid import VolumeGrid
    from ml.volumes.label_volumes import LabelVolume

__all__ = [
    "WARNINGS",
    "Geometry",
    "LabelMap",
    "Limits",
    "Scan",
    "ScanError",
    "read_grid",
    "read_label_stack",
    "read_label_volume",
    "read_labels",
    "read_labels_on",
    "read_scan",
    "read_series",
    "read_volume",
]


def read_scan(path: Path, limits: Limits) -> Scan:
    """Decode a file of any known format, whatever its name says.

    Raises ScanError for what a reader recognizes as bad, and whatever else its libraries raise: the sandbox turns
    those into ScanError as well.
    """
    return find_reader(path, limits).read(path, limits)


def read_volume(path: Path, limits: Limits, volume: int) -> Scan:
    """Decode one of a file's volumes, by its number from 1, where the format can have several; else as `read_scan`."""
    reader = find_reader(path, limits)
    read = getattr(reader, "read_volume", None)
    scan: Scan = reader.read(path, limits) if read is None else read(path, limits, volume)
    return scan


def read_series(paths: Sequence[Path], limits: Limits) -> Scan:
    """Decode the files of a DICOM series. Raises as `read_scan`."""
    from ml.scans.readers.dicom import reader  # NumPy and pydicom, where it is needed

    return reader.read_series(paths, limits)


def read_labels(path: Path, limits: Limits) -> LabelMap:
    """Decode an expert's mask of any known format; raises as `read_scan` does."""
    return find_reader(path, limits).read_labels(path, limits)


def read_label_stack(path: Path, limits: Limits) -> Iterator[LabelMap]:
    """Decode the experts' masks of all slices of a file, one at a time; raises as `read_labels` does."""
    return find_reader(path, limits).read_label_stack(path, limits)


def read_grid(path: Path, limits: Limits, volumes: int = 1) -> "VolumeGrid | None":
    """Where a volume's voxels lie, by its header alone; None of pictures. Raises as `read_scan`.

    volumes: how many the file must hold, where its format can have several.
    """
    read = getattr(find_reader(path, limits), "read_grid", None)
    if read is None:
        return None
    grid: VolumeGrid = read(path, limits) if volumes == 1 else read(path, limits, volumes)
    return grid


def read_label_volume(path: Path, limits: Limits) -> "LabelVolume | None":
    """Decode an expert's mask that says where its voxels lie; None where the format does not. Raises as `read_scan`."""
    read = getattr(find_reader(path, limits), "read_label_volume", None)
    volume: LabelVolume | None = None if read is None else read(path, limits)
    return volume


def read_labels_on(path: Path, limits: Limits, grid: "VolumeGrid", regions: Sequence[str] = ()) -> "LabelVolume | None":
    """Decode an expert's mask of a scan with this grid; None where the format says nothing of where it lies.

    regions: of a file with several named ones (DICOM), those that are the tumor. Raises as `read_scan`.
    """
    read = getattr(find_reader(path, limits), "read_labels_on", None)
    volume: LabelVolume | None = read_label_volume(path, limits) if read is None else read(path, limits, grid, regions)
    return volume

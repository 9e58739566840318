"""The instances that a scan was made of, read from its stored original, in the order of its voxels' slices."""

import io
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from ml.scans.readers.dicom.instances import Instance, instance_of
from ml.scans.readers.dicom.series import Volume, order_frames
from ml.scans.scan import Limits, ScanError

# Of a joined scan, whose voxels are those of FLAIR.
_JOINED = "flair/"
_LARGEST_MEMBER_BYTES = 2**30


class NoSeries(Exception):
    """What is stored is no series of images with a place, in one sentence."""


@dataclass(frozen=True)
class Sources:
    """datasets: headers without pixels, one a file. places: of each slice its file and its frame there, from 0."""

    datasets: tuple[Dataset, ...]
    places: tuple[tuple[int, int], ...]
    volume: Volume

    @property
    def is_multiframe(self) -> bool:
        """Whether the slices are frames of one file. A file of one frame may say so (NumberOfFrames of 1), and is
        referred to as a whole."""
        return len(self.datasets) == 1 and len(self.places) > 1

    @property
    def by_slice(self) -> list[Dataset]:
        """The file of each slice."""
        return [self.datasets[file] for file, _ in self.places]


def read_sources(original: Path) -> Sources:
    """Read the headers of a stored series. Raises NoSeries and ScanError."""
    datasets = tuple(_headers(original))
    if not datasets:
        raise NoSeries("Nothing of a DICOM series is stored of this scan.")
    if any("MOSAIC" in str(dataset.get("ImageType", "")).upper() for dataset in datasets):
        raise NoSeries("The series is a mosaic, whose tiles have no instances of their own; download the NIfTI.")
    if any(not dataset.get("FrameOfReferenceUID") for dataset in datasets):
        raise NoSeries("The series has no frame of reference, in which a result could lie; download the NIfTI.")
    instances: list[Instance] = [instance_of(dataset, original, Limits()) for dataset in datasets]
    volume = order_frames(instances)
    if volume.affine is None:
        raise NoSeries("The series does not say where its slices lie.")
    if volume.fillable:
        raise NoSeries("Slices of the series are missing, and a result cannot refer to them; download the NIfTI.")
    for dataset in datasets:
        _share_groups(dataset)
    return Sources(datasets, tuple((place.file, place.frame.index) for place in volume.places), volume)


def _headers(original: Path) -> Iterator[Dataset]:
    if not zipfile.is_zipfile(original):
        yield _header(original.read_bytes())
        return
    with zipfile.ZipFile(original) as archive:
        names = archive.namelist()
        joined = [name for name in names if name.startswith(_JOINED)]
        if joined and not joined[0].endswith(".zip"):
            raise NoSeries("FLAIR of this scan is no DICOM series; download the NIfTI instead.")
        if joined:
            with zipfile.ZipFile(io.BytesIO(_member(archive, joined[0]))) as inner:
                for name in inner.namelist():
                    yield _header(_member(inner, name))
            return
        for name in names:
            yield _header(_member(archive, name))


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _LARGEST_MEMBER_BYTES:
        raise NoSeries("A file of the series is larger than what is read for an export.")
    return archive.read(name)


def _header(data: bytes) -> Dataset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    except Exception as error:
        raise ScanError("unreadable", "A stored file of the series is damaged; send the series again.") from error


def _share_groups(dataset: Dataset) -> None:
    """Put size of pixels and directions, which scanners write with every frame, where those of all frames stand and
    highdicom looks for them (PS3.3 C.7.6.16). `order_frames` has found them equal."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    if not per_frame:
        return
    if not dataset.get("SharedFunctionalGroupsSequence"):
        dataset.SharedFunctionalGroupsSequence = [Dataset()]
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for name in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        if name not in shared and name in per_frame[0]:
            setattr(shared, name, per_frame[0][name].value)

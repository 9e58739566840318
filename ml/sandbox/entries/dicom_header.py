"""Read what the DICOM files of a data set say of themselves, and where a series' voxels lie
(`ml.datasets.dicom_headers`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from ml.datasets.case import LIMITS
from ml.sandbox.entries.headers import answer_of, grid_answer
from ml.sandbox.entries.preload import preload_readers
from ml.scans import ScanError
from ml.scans.readers.dicom.elements import read_dataset
from ml.scans.readers.dicom.instances import instance_of
from ml.scans.readers.dicom.reader import read_series_grid
from ml.scans.readers.dicom.segmentations import is_segmentation, segment_names
from ml.scans.readers.dicom.structure_sets import is_structure_set, region_names
from ml.scans.sequence import SequenceKind

# A plan of radiotherapy has a few dozen.
MOST_REGIONS = 1000

preload_readers()


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Answer {"path"}: {"series", "patient", "is_flair"} of an image, {"mask", "refers", "regions"} of an expert's
    mask; or {"series"}, the files of one: {"grid"} of `VolumeGrid.to_json`. Else {"message"}, and
    {"other_series"} of an image that is not read."""
    return answer_of(lambda: _read(request))


def _read(request: dict[str, Any]) -> dict[str, Any]:
    if "path" in request:
        return _describe(Path(request["path"]))
    return grid_answer(read_series_grid([Path(path) for path in request["series"]], LIMITS))


def _describe(path: Path) -> dict[str, Any]:
    LIMITS.check_bytes(path.stat().st_size)
    header = read_dataset(path, is_whole=False)
    if is_segmentation(header):
        refers = _of(header.get("ReferencedSeriesSequence"))
        return {"mask": "DICOM SEG", "refers": refers, "regions": segment_names(header)[:MOST_REGIONS]}
    if is_structure_set(header):
        names = _names_in(header)[:MOST_REGIONS]
        return {"mask": "RTSTRUCT", "refers": sorted(set(_referred(header))), "regions": names}
    try:
        image = instance_of(header, path, LIMITS)
    except ScanError as error:
        return {"message": error.message, "other_series": str(header.get("SeriesInstanceUID", ""))}
    is_flair = None if image.sequence is None else image.sequence is SequenceKind.FLAIR
    return {"series": image.series_uid, "patient": image.patient, "is_flair": is_flair}


def _names_in(header: Dataset) -> list[str]:
    """Of an RTSTRUCT; nothing of damaged regions, which its reader names."""
    try:
        return region_names(header)
    except (AttributeError, TypeError, ValueError):
        return []


def _referred(header: Dataset) -> Iterator[str]:
    """The series that an RTSTRUCT was drawn on (PS3.3 C.8.8.5)."""
    for frame in header.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            yield from _of(study.get("RTReferencedSeriesSequence"))


def _of(sequence: Any) -> list[str]:
    return [str(item.get("SeriesInstanceUID") or "") for item in sequence or ()]

"""DICOM SEG (PS3.3 A.51) as an expert's mask: binary segments, those of the tumor, on the very voxels of their series.

Frames that a SEG leaves out are empty (C.8.20.2): a slice without a frame has no tumor. Nothing is resampled: what does
not lie on the scan's voxels is refused.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, SegmentationStorage

from ml.scans.readers.dicom.elements import read_dataset
from ml.scans.readers.dicom.frames import Frame, frames_of
from ml.scans.readers.dicom.regions import choose_regions
from ml.scans.scan import DamagedFile, Limits, ScanError
from ml.volumes.grid import VolumeGrid
from ml.volumes.label_volumes import LabelVolume

# Of a voxel: headers are rounded.
_SAME_VOXELS = 0.1
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def is_segmentation(header: Dataset) -> bool:
    """Whether a header is that of a SEG."""
    return bool(header.get("SOPClassUID") == SegmentationStorage)


def segment_names(header: Dataset) -> list[str]:
    """The labels of its segments."""
    return [str(segment.get("SegmentLabel", "")) for segment in header.get("SegmentSequence") or ()]


def read_segmentation(path: Path, limits: Limits, grid: VolumeGrid, regions: Sequence[str] = ()) -> LabelVolume:
    """The mask on the voxels of a scan. Raises ScanError.

    regions: the labels of the segments that are the tumor; () where the file's own labels tell.
    """
    limits.check_bytes(path.stat().st_size)
    header = read_dataset(path, is_whole=False)
    _check(header, grid)
    numbers = _chosen(header, regions)
    count, rows, columns = (int(header.get(name) or 0) for name in ("NumberOfFrames", "Rows", "Columns"))
    if min(count, rows, columns) < 1:
        raise DamagedFile("The DICOM SEG does not say how many frames and pixels it has; export it again.")
    limits.check_slice(columns, rows)
    limits.check_stack(count, columns, rows)
    masks, frames = _read_bits(path, (count, rows, columns)), frames_of(header, count)
    if numbers is not None:
        is_tumor = [number in numbers for number in _segments_of_frames(header, count)]
        masks, frames = masks[is_tumor], tuple(frame for frame, is_own in zip(frames, is_tumor, strict=True) if is_own)
    return LabelVolume(grid, _place(masks, frames, grid))


def _check(header: Dataset, grid: VolumeGrid) -> None:
    """Raises ScanError for what is not binary, in the scan's frame of reference."""
    kind = str(header.get("SegmentationType", ""))
    if kind != "BINARY":
        raise ScanError(
            "unreadable",
            f"The DICOM SEG is of the type {kind[:16] or 'unknown'}, and an expert's mask is BINARY: export it so.",
        )
    reference = str(header.get("FrameOfReferenceUID") or "")
    if reference and grid.frame_of_reference and reference != grid.frame_of_reference:
        raise ScanError(
            "unreadable",
            "The DICOM SEG has another frame of reference than its scan: it was drawn on another examination, or on a"
            " registered copy; export it on the scan's own series.",
        )


def _chosen(header: Dataset, wanted: Sequence[str]) -> set[int] | None:
    """The numbers of the tumor's segments; None where there is one segment, whose frames all are. Raises ScanError."""
    segments = list(header.get("SegmentSequence") or ())
    places = choose_regions(segment_names(header), wanted, "DICOM SEG")
    if len(segments) == 1:
        return None
    try:
        return {int(segments[place].SegmentNumber) for place in places}
    except (AttributeError, TypeError, ValueError) as error:
        raise DamagedFile("The DICOM SEG has segments without a number; export it again.") from error


def _segments_of_frames(header: Dataset, count: int) -> list[int]:
    """The segment of each frame (C.8.20.3.1). Raises DamagedFile."""
    groups = [*(header.get("PerFrameFunctionalGroupsSequence") or ())]
    shared = list(header.get("SharedFunctionalGroupsSequence") or ())[:1]
    try:
        found = [
            int(
                next(part for part in (own, *shared) if "SegmentIdentificationSequence" in part)
                .SegmentIdentificationSequence[0]
                .ReferencedSegmentNumber
            )
            for own in groups
        ]
    except (StopIteration, AttributeError, IndexError, TypeError, ValueError) as error:
        raise DamagedFile("The DICOM SEG does not say which segment its frames are of; export it again.") from error
    if len(found) != count:
        raise DamagedFile("The DICOM SEG describes another number of frames than it has; export it again.")
    return found


def _read_bits(path: Path, shape: tuple[int, int, int]) -> NDArray[np.bool]:
    """Frames (N, rows, columns). Raises ScanError."""
    dataset = read_dataset(path, is_whole=True)
    if UID(str(dataset.file_meta.TransferSyntaxUID)).is_encapsulated or dataset.get("BitsAllocated") != 1:
        raise ScanError("unreadable", "The DICOM SEG is compressed or has not one bit a pixel: export it uncompressed.")
    stored = np.frombuffer(dataset.get("PixelData") or b"", np.uint8)
    pixels = int(np.prod(shape))
    if stored.size * 8 < pixels:
        raise DamagedFile("The DICOM SEG is cut: pixels are missing; export it again.")
    bits = np.unpackbits(stored, count=pixels, bitorder="little")  # PS3.5 8.1.1
    return bits.reshape(shape).view(np.bool)


def _place(masks: NDArray[np.bool], frames: Sequence[Frame], grid: VolumeGrid) -> NDArray[np.bool]:
    """Frames (N, rows, columns) on the voxels (i, j, k) of a scan. Raises ScanError where they lie beside them."""
    to_voxels = np.linalg.inv(grid.matrix)
    is_tumor = np.zeros(grid.shape, np.bool)
    for mask, frame in zip(masks, frames, strict=True):
        pixels = np.argwhere(mask)  # (n, 2): row, column
        if not len(pixels):
            continue
        if frame.position is None or frame.orientation is None or frame.spacing_mm is None:
            raise ScanError(
                "unreadable", "The DICOM SEG has frames that say nothing of where they lie; export it again."
            )
        along_row, along_column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
        row_mm, column_mm = frame.spacing_mm
        # PS3.3 C.7.6.2.1.1: a column's number grows along a row.
        mm = (
            np.array(frame.position) + pixels[:, 1:] * column_mm * along_row + pixels[:, :1] * row_mm * along_column
        ) * _LPS_TO_RAS
        voxels = mm @ to_voxels[:3, :3].T + to_voxels[:3, 3]  # (n, 3)
        nearest = np.rint(voxels).astype(np.int64)
        if np.abs(voxels - nearest).max() > _SAME_VOXELS:
            raise ScanError(
                "unreadable",
                "The DICOM SEG does not lie on the voxels of its scan; export it on the scan's own series.",
            )
        if nearest.min() < 0 or (nearest >= grid.shape).any():
            raise ScanError(
                "unreadable",
                "Tumor of the DICOM SEG lies outside of its scan; it is of another series, or slices of it"
                " are missing here: send the whole series, or export the mask on this one.",
            )
        is_tumor[tuple(nearest.T)] = True
    return is_tumor

"""DICOM SEG (PS3.3 A.51) as an expert's mask: one binary segment on the very voxels of its series.

Frames that a SEG leaves out are empty (C.8.20.2): a slice without a frame has no tumor. Nothing is resampled: what does
not lie on the scan's voxels is refused.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, SegmentationStorage

from ml.scans.readers.dicom.instances import Frame, frames_of, read_dataset
from ml.scans.scan import DamagedFile, Limits, ScanError
from ml.volumes.grid import VolumeGrid
from ml.volumes.label_volumes import LabelVolume

# Of a voxel: headers are rounded.
_SAME_VOXELS = 0.1
_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def read_segmentation(path: Path, limits: Limits, grid: VolumeGrid) -> LabelVolume | None:
    """The mask on the voxels of a scan; None of a DICOM file that is no SEG. Raises ScanError."""
    limits.check_bytes(path.stat().st_size)
    header = read_dataset(path, is_whole=False)
    if header.get("SOPClassUID") != SegmentationStorage:
        return None
    _check(header, grid)
    count, rows, columns = (int(header.get(name) or 0) for name in ("NumberOfFrames", "Rows", "Columns"))
    if min(count, rows, columns) < 1:
        raise DamagedFile("The DICOM SEG does not say how many frames and pixels it has; export it again.")
    limits.check_slice(columns, rows)
    limits.check_stack(count, columns, rows)
    frames = _read_bits(path, (count, rows, columns))
    return LabelVolume(grid, _place(frames, frames_of(header, count), grid))


def _check(header: Dataset, grid: VolumeGrid) -> None:
    """Raises ScanError for what is not one binary segment in the scan's frame of reference."""
    kind = str(header.get("SegmentationType", ""))
    if kind != "BINARY":
        raise ScanError(
            "unreadable",
            f"The DICOM SEG is of the type {kind[:16] or 'unknown'}, and an expert's mask is BINARY: export it so.",
        )
    count = len(header.get("SegmentSequence") or ())
    if count != 1:
        raise ScanError(
            "unreadable",
            f"The DICOM SEG has {count} segments, and an expert's mask has one: export that of the tumor alone.",
        )
    reference = str(header.get("FrameOfReferenceUID") or "")
    if reference and grid.frame_of_reference and reference != grid.frame_of_reference:
        raise ScanError(
            "unreadable",
            "The DICOM SEG has another frame of reference than its scan: it was drawn on another examination, or on a"
            " registered copy; export it on the scan's own series.",
        )


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

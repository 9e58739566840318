"""The pictures of a DICOM file and their places: of plain, multi-frame and enhanced objects, and of mosaics."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ml.scans.readers.dicom.elements import number_of, numbers_of, whole_of
from ml.scans.readers.dicom.mosaics import Mosaic
from ml.scans.scan import DamagedFile, ScanError


@dataclass(frozen=True)
class Frame:
    """One picture of a file.

    position: of the first voxel's center, mm (LPS), and orientation: the directions in which the indices of columns and
    of rows grow, 6 numbers; None where the file does not place it. spacing_mm: of rows and of columns. slope,
    intercept: from stored values to the file's unit. apart_mm: between slices, as the header says. time: the number of
    its volume among several of a file.
    """

    index: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing_mm: tuple[float, ...] | None
    slope: float
    intercept: float
    apart_mm: float | None
    time: int

    @property
    def normal(self) -> NDArray[np.float64]:
        """The direction in which slices follow each other, float64 (3,), of a frame that is placed.

        Raises DamagedFile where the header's directions are none.
        """
        columns, rows = np.array(self.orientation).reshape(2, 3)
        across = np.cross(columns, rows)
        length = float(np.linalg.norm(across))
        if not 0.9 < length < 1.1:
            raise DamagedFile("The DICOM header's directions are not at right angles; export the series again.")
        unit: NDArray[np.float64] = across / length
        return unit


def frames_of(header: Dataset, count: int) -> tuple[Frame, ...]:
    """The frames with their places: of the file itself, or of an enhanced object's functional groups (C.7.6.16)."""
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if per_frame is None:
        # Frames of a plain multi-frame object have no place of their own.
        return tuple(_frame([header], index, has_place=count == 1) for index in range(count))
    if len(per_frame) != count:
        raise ScanError("unreadable", "The DICOM file describes another number of frames than it has; export it again.")
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])[:1]
    return tuple(_frame(_groups(own, *shared), index) for index, own in enumerate(per_frame))


def tiles_of(header: Dataset, mosaic: Mosaic) -> tuple[Frame, ...]:
    """The slices of a mosaic. Raises ScanError `unreadable` where it is not placed."""
    whole = _frame([header], 0)
    if whole.position is None or whole.orientation is None or whole.spacing_mm is None or not whole.apart_mm:
        raise ScanError("unreadable", "The DICOM file is a mosaic without a place in the patient; export it again.")
    share = (1 - 1 / mosaic.across) / 2  # of the picture's sides: where a slice of its middle begins
    down = share * whole_of(header, "Rows") * whole.spacing_mm[0]
    right = share * whole_of(header, "Columns") * whole.spacing_mm[1]
    first = [
        corner + right * column + down * row
        for corner, column, row in zip(whole.position, whole.orientation[:3], whole.orientation[3:], strict=True)
    ]
    return tuple(
        replace(
            whole,
            index=index,
            position=tuple(
                start + index * whole.apart_mm * step for start, step in zip(first, mosaic.normal, strict=True)
            ),
        )
        for index in range(mosaic.count)
    )


def _groups(*parts: Dataset) -> list[Dataset]:
    """The functional groups of a frame, its own before the shared ones."""
    names = (
        "PlanePositionSequence",
        "PlaneOrientationSequence",
        "PixelMeasuresSequence",
        "PixelValueTransformationSequence",
        "FrameContentSequence",
    )
    return [group for part in parts for name in names for group in list(part.get(name) or [])[:1]]


def _frame(groups: Sequence[Dataset], index: int, *, has_place: bool = True) -> Frame:
    """A frame by the first of the groups that has each element."""

    def value(name: str) -> Any:
        return next((group.get(name) for group in groups if name in group), None)

    position, orientation = (
        numbers_of(value("ImagePositionPatient"), 3),
        numbers_of(value("ImageOrientationPatient"), 6),
    )
    spacing = numbers_of(value("PixelSpacing"), 2)
    has_spacing = spacing is not None and min(spacing) > 0
    is_placed = has_place and position is not None and orientation is not None and has_spacing
    return Frame(
        index,
        position if is_placed else None,
        orientation if is_placed else None,
        spacing if has_spacing else None,
        number_of(value("RescaleSlope")) or 1.0,
        number_of(value("RescaleIntercept")) or 0.0,
        number_of(value("SpacingBetweenSlices")) or number_of(value("SliceThickness")),
        int(number_of(value("TemporalPositionIndex")) or 0),
    )

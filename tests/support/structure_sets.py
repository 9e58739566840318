"""RTSTRUCT files of outlines, as planning systems write them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from tests.support import dicom_files

FRAME = "1.2.826.0.1.3680043.8.498.1"  # of `dicom_files.image`


@dataclass(frozen=True)
class Outline:
    """points: (row, column) in pixels, on a slice that may lie between two."""

    points: Sequence[tuple[float, float]]
    slice: float
    kind: str = "CLOSED_PLANAR"


def box(top: float, left: float, bottom: float, right: float) -> list[tuple[float, float]]:
    return [(top, left), (top, right), (bottom, right), (bottom, left)]


def structure_set(
    affine: NDArray, regions: Sequence[tuple[str, Sequence[Outline]]], *, series: str = "1.2.3", **elements: object
) -> bytes:
    """affine: of voxels (column, row, slice) to mm (RAS). series: the referenced one. elements: of the file."""
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    made = dicom_files.blank(RTStructureSetStorage, ExplicitVRLittleEndian)
    made.Modality, made.StructureSetLabel = "RTSTRUCT", "PLAN"
    referred = dataset_of(
        RTReferencedStudySequence=[dataset_of(RTReferencedSeriesSequence=[dataset_of(SeriesInstanceUID=series)])]
    )
    referred.FrameOfReferenceUID = FRAME
    made.ReferencedFrameOfReferenceSequence = [referred]
    made.StructureSetROISequence, made.ROIContourSequence = [], []
    for number, (name, outlines) in enumerate(regions, 1):
        made.StructureSetROISequence.append(
            dataset_of(
                ROINumber=number, ROIName=name, ReferencedFrameOfReferenceUID=FRAME, ROIGenerationAlgorithm="MANUAL"
            )
        )
        contours = [_contour(outline, to_lps) for outline in outlines]
        made.ROIContourSequence.append(dataset_of(ReferencedROINumber=number, ContourSequence=contours))
    for name, value in elements.items():
        setattr(made, name, value)
    return dicom_files.written(made)


def _contour(outline: Outline, to_lps: NDArray) -> Dataset:
    places = [(column, row, outline.slice, 1.0) for row, column in outline.points]
    points = (np.array(places).reshape(-1, 4) @ to_lps.T)[:, :3]
    return dataset_of(
        ContourGeometricType=outline.kind,
        NumberOfContourPoints=len(points),
        ContourData=[f"{value:.4f}" for value in points.ravel()],
    )


def dataset_of(**elements: object) -> Dataset:
    made = Dataset()
    for name, value in elements.items():
        setattr(made, name, value)
    return made

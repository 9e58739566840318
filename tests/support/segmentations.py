"""DICOM SEG files, written element by element: nothing of them is ours."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage

from tests.support import dicom_files
from tests.support.structure_sets import FRAME, dataset_of


def segmentation(
    mask: NDArray[np.bool],
    affine: NDArray,
    *,
    labels: Sequence[str] = ("Tumor",),
    series: str = "1.2.3",
    **elements: object,
) -> bytes:
    """mask: (column, row, slice), of every label. series: the referenced one; elements: of the file."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    slices = [k for k in range(mask.shape[2]) if mask[:, :, k].any()] or [0]
    made = dicom_files.blank(SegmentationStorage, ExplicitVRLittleEndian)
    made.Modality, made.SegmentationType, made.FrameOfReferenceUID = "SEG", "BINARY", FRAME
    made.ReferencedSeriesSequence = [dataset_of(SeriesInstanceUID=series)]
    made.SegmentSequence = [
        dataset_of(SegmentNumber=number, SegmentLabel=label, SegmentAlgorithmType="MANUAL")
        for number, label in enumerate(labels, 1)
    ]
    made.Rows, made.Columns, made.NumberOfFrames = mask.shape[1], mask.shape[0], len(slices) * len(labels)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 1
    made.HighBit = made.PixelRepresentation = 0
    direction = [f"{value:.10g}" for value in (*lps[:3, 0] / spacing[0], *lps[:3, 1] / spacing[1])]
    shared = dataset_of(
        PlaneOrientationSequence=[dataset_of(ImageOrientationPatient=direction)],
        PixelMeasuresSequence=[
            dataset_of(PixelSpacing=[f"{spacing[1]:.8g}", f"{spacing[0]:.8g}"], SliceThickness=f"{spacing[2]:.8g}")
        ],
    )
    made.SharedFunctionalGroupsSequence = [shared]
    made.PerFrameFunctionalGroupsSequence = [
        dataset_of(
            PlanePositionSequence=[
                dataset_of(ImagePositionPatient=[f"{value:.8g}" for value in lps[:3] @ [0, 0, k, 1]])
            ],
            SegmentIdentificationSequence=[dataset_of(ReferencedSegmentNumber=number)],
        )
        for number in range(1, len(labels) + 1)
        for k in slices
    ]
    frames = np.tile(mask[:, :, slices].transpose(2, 1, 0), (len(labels), 1, 1))  # (frame, row, column)
    packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
    made.PixelData = packed + b"\0" * (len(packed) % 2)
    made["PixelData"].VR = "OB"
    for name, value in elements.items():
        setattr(made, name, value)
    return dicom_files.written(made)

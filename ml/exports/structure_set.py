"""DICOM RTSTRUCT (PS3.3 A.19): the mask's outlines on the slices of its series, in mm."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage

from ml.exports.common_modules import (
    COPIED,
    DISCLAIMER,
    MANUFACTURER,
    SERIES_NUMBERS,
    finish,
    uid_of,
)
from ml.exports.facts import Facts
from ml.exports.outlines import is_hole, outlines
from ml.exports.sources import Sources

# Retired, and still what the Referenced SOP Class of a study is written as (PS3.6 table A-1).
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
_COLOR = ["230", "60", "40"]


def make_structure_set(sources: Sources, mask: NDArray[np.uint8], facts: Facts) -> Dataset:
    """Build the object. mask: uint8 (slice, row, column), 0 or 1; of an empty one the region has no outlines."""
    first = sources.datasets[0]
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = uid_of(facts, "rtstruct", "instance")
    for name in COPIED:
        setattr(made, name, first.get(name) or "")
    made.Modality, made.Manufacturer, made.OperatorsName = "RTSTRUCT", MANUFACTURER, ""
    made.ManufacturerModelName, made.SoftwareVersions = f"{facts.model} {facts.model_version}"[:64], facts.version
    made.SeriesInstanceUID, made.SeriesNumber = uid_of(facts, "rtstruct", "series"), SERIES_NUMBERS["rtstruct"]
    made.SeriesDescription, made.InstanceNumber = f"{facts.title('Outlines')} {DISCLAIMER}", 1
    made.SeriesDate = made.SeriesTime = made.InstanceCreationDate = made.InstanceCreationTime = ""
    made.StructureSetLabel = "TUMOR" if facts.is_assessed else "NOT ASSESSED"
    made.StructureSetDate = made.StructureSetTime = ""
    made.StructureSetDescription = " ".join(
        filter(None, [facts.doubt, f"Mask of {facts.model} at threshold {facts.threshold}.", DISCLAIMER])
    )
    made.ReferencedFrameOfReferenceSequence = [_frame_of_reference(sources)]
    made.StructureSetROISequence = [
        _dataset(
            ROINumber=1,
            ReferencedFrameOfReferenceUID=first.FrameOfReferenceUID,
            ROIName=facts.label,
            **({"ROIDescription": facts.doubt} if facts.doubt else {}),
            ROIGenerationAlgorithm="AUTOMATIC",
        )
    ]
    contours = list(_contours(sources, mask))
    roi = _dataset(ROIDisplayColor=_COLOR, ReferencedROINumber=1)
    if contours:
        roi.ContourSequence = contours
    made.ROIContourSequence = [roi]
    made.RTROIObservationsSequence = [
        _dataset(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="", ROIInterpreter="")
    ]
    made.ApprovalStatus = "UNAPPROVED"
    finish(made, facts)
    return made


def _contours(sources: Sources, mask: NDArray[np.uint8]) -> Iterator[Dataset]:
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(sources.volume.affine)
    number = 0
    for index in np.flatnonzero(mask.any(axis=(1, 2))).tolist():
        polygons = outlines(mask[index] > 0)
        # Contours of a plane are united unless they say that they exclude each other (PS3.3 C.8.8.6.3).
        kind = "CLOSEDPLANAR_XOR" if any(map(is_hole, polygons)) else "CLOSED_PLANAR"
        for polygon in polygons:
            number += 1
            ends = np.column_stack([polygon[:, ::-1], np.full(len(polygon), index), np.ones(len(polygon))])
            points = (ends @ to_lps.T)[:, :3]
            yield _dataset(
                ContourImageSequence=[_reference(sources, index)],
                ContourGeometricType=kind,
                NumberOfContourPoints=len(points),
                ContourNumber=number,
                ContourData=[f"{value:.4f}" for value in points.ravel()],
            )


def _frame_of_reference(sources: Sources) -> Dataset:
    first = sources.datasets[0]
    images = [
        _dataset(ReferencedSOPClassUID=item.SOPClassUID, ReferencedSOPInstanceUID=item.SOPInstanceUID)
        for item in sources.datasets
    ]
    series = _dataset(SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=images)
    study = _dataset(
        ReferencedSOPClassUID=_STUDY_CLASS,
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    return _dataset(FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=[study])


def _reference(sources: Sources, index: int) -> Dataset:
    file, frame = sources.places[index]
    dataset = sources.datasets[file]
    found = _dataset(ReferencedSOPClassUID=dataset.SOPClassUID, ReferencedSOPInstanceUID=dataset.SOPInstanceUID)
    if sources.is_multiframe:
        found.ReferencedFrameNumber = frame + 1
    return found


def _dataset(**elements: object) -> Dataset:
    made = Dataset()
    for name, value in elements.items():
        setattr(made, name, value)
    return made

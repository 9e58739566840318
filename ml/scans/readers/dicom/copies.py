"""What is kept of a DICOM file: its pixels, and the elements of this list. All others are left out, so no patient's
name, id or date, no institution, no free text and no private element is stored.

A list of what stays, not of what goes: elements that nobody thought of are gone, too (PS3.15 annex E lists hundreds).
"""

import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from ml.scans.readers.dicom.elements import read_dataset

KEPT = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality",
    "ImageType", "ScanningSequence", "SequenceVariant", "MRAcquisitionType", "SliceThickness",
    "SpacingBetweenSlices", "RepetitionTime", "EchoTime", "InversionTime", "EchoNumbers", "FlipAngle",
    "MagneticFieldStrength", "PatientPosition", "SeriesNumber", "AcquisitionNumber", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "SliceLocation", "PixelSpacing", "SamplesPerPixel",
    "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter", "WindowWidth",
    "BurnedInAnnotation", "StackID", "InStackPositionNumber", "TemporalPositionIndex",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PlanePositionSequence",
    "PlaneOrientationSequence", "PixelMeasuresSequence", "PixelValueTransformationSequence", "FrameContentSequence",
    "PixelData",
)  # fmt: skip
# Elements that an image must have, with or without a value (type 2).
_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
)


def write_copies(paths: Sequence[Path], target: Path) -> None:
    """Write what is kept of files as a zip, equal for equal files in equal order. Raises ScanError and OSError."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for number, path in enumerate(paths, start=1):
            buffer = BytesIO()
            kept = copy_of(read_dataset(path, is_whole=True))
            kept.save_as(buffer, enforce_file_format=True)
            archive.writestr(zipfile.ZipInfo(f"{number:04d}.dcm"), buffer.getvalue())


def copy_of(dataset: Dataset) -> Dataset:
    """A file's elements without what is not in `KEPT`."""
    kept = _kept(dataset)
    for name in _EMPTY:
        setattr(kept, name, "")
    kept.PatientIdentityRemoved = "YES"
    kept.DeidentificationMethod = "Glioscope: elements for geometry and pixels alone"
    kept.file_meta = FileMetaDataset()
    kept.file_meta.MediaStorageSOPClassUID = kept.get("SOPClassUID", UID("1.2.840.10008.5.1.4.1.1.4"))
    kept.file_meta.MediaStorageSOPInstanceUID = kept.get("SOPInstanceUID", "")
    kept.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    return kept


def _kept(dataset: Dataset) -> Dataset:
    kept = Dataset()
    for name in KEPT:
        if name not in dataset:
            continue
        element = dataset[name]
        if element.VR == "SQ":
            setattr(kept, name, [_kept(item) for item in element.value])
        else:
            kept[name] = element
    return kept

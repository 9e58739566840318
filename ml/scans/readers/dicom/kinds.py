"""What a DICOM file is: a gray MR image, or a sentence for each kind of object that is none. DICOM PS3.3."""

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    MediaStorageDirectoryStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from ml.scans.scan import DamagedFile, ScanError

# Modalities that are images and no MR (PS3.3 C.7.3.1.1.1), as a sentence names them.
_OTHERS = {
    "CT": "CT",
    "PT": "PET",
    "NM": "nuclear medicine",
    "US": "ultrasound",
    "XA": "angiography",
    "CR": "radiography",
    "DX": "radiography",
    "MG": "mammography",
    "RF": "fluoroscopy",
    "RG": "radiography",
    "IO": "dental radiography",
    "PX": "dental radiography",
    "BMD": "bone densitometry",
    "ES": "endoscopy",
    "XC": "photography",
    "GM": "microscopy",
    "SM": "microscopy",
    "OP": "ophthalmology",
    "OPT": "ophthalmology",
    "IVUS": "ultrasound",
    "IVOCT": "optical coherence tomography",
    "RTIMAGE": "radiotherapy imaging",
    "RTDOSE": "a radiotherapy dose",
    "SEG": "a segmentation",
}
_CAPTURES = frozenset(
    {
        SecondaryCaptureImageStorage,
        MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    }
)
_GRAY = ("MONOCHROME1", "MONOCHROME2")


def check_kind(header: Dataset) -> None:
    """Raises ScanError for what is no gray MR image."""
    kind = _kind(header)
    if kind == MediaStorageDirectoryStorage:
        raise ScanError(
            "unsupported",
            "A DICOMDIR lists images and holds none; they are read from their own files, where these are sent, too.",
        )
    if "Rows" not in header or "Columns" not in header:
        if not kind:
            raise DamagedFile("The DICOM file is cut or damaged: it does not say what it is; copy or export it again.")
        if kind.name.endswith("Image Storage"):
            raise DamagedFile(
                f"The DICOM file is cut: it says that it is an image ({kind.name}), and ends before its picture; copy"
                " or export it again."
            )
        name = f" ({kind.name})" if kind.name != str(kind) else ""  # of the standard's own list
        raise ScanError("unreadable", f"The DICOM object{name} has no picture; send the images of a series.")
    modality = str(header.get("Modality", ""))
    if modality in _OTHERS:
        raise ScanError(
            "unreadable", f"The DICOM file is {_OTHERS[modality]}, and the models read MR; send an MR series."
        )
    if header.get("PhotometricInterpretation") not in _GRAY or header.get("SamplesPerPixel", 1) != 1:
        raise ScanError("unreadable", "The DICOM picture is in color, and MR series are gray; send the series itself.")


def is_capture(header: Dataset) -> bool:
    """Whether it is what a screen or a film showed, by its kind."""
    return _kind(header) in _CAPTURES


def _kind(header: Dataset) -> UID:
    """The SOP class; empty where the file states none."""
    return UID(str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or ""))

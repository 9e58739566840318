"""DICOM series of a volume, written slice by slice, with a patient's name that must appear nowhere."""

from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

CANARY = "Canary^Patient^4711"
ENCODERS = {
    JPEGLosslessSV1: lambda frame: imagecodecs.ljpeg_encode(frame, bitspersample=16),
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEG2000Lossless: lambda frame: imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True),
}


def series(
    voxels: NDArray, affine: NDArray, syntax: UID = ExplicitVRLittleEndian, uid: str | None = None, **elements: Any
) -> list[bytes]:
    """Slices along the third axis. voxels: (i, j, k) = (column, row, slice); affine: to mm (RAS).

    elements: of every file; a list is one value a slice.
    """
    uid = uid or generate_uid()
    files = []
    for k in range(voxels.shape[2]):
        own = {name: value[k] if isinstance(value, list) else value for name, value in elements.items()}
        files.append(image(voxels[:, :, k].T, affine, k, uid, syntax, **own))
    return files


def image(pixels: NDArray, affine: NDArray, k: int, uid: str, syntax: UID, **elements: Any) -> bytes:
    """One slice. pixels: (row, column) of 16 bits."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    dataset = blank(MRImageStorage, syntax)
    dataset.SeriesInstanceUID, dataset.Modality, dataset.InstanceNumber = uid, "MR", k + 1
    dataset.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.498.1"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.ImagePositionPatient = [f"{value:.8g}" for value in lps[:3] @ [0, 0, k, 1]]
    dataset.ImageOrientationPatient = [
        f"{value:.10g}" for value in (*lps[:3, 0] / spacing[0], *lps[:3, 1] / spacing[1])
    ]
    dataset.PixelSpacing = [f"{spacing[1]:.8g}", f"{spacing[0]:.8g}"]
    dataset.SliceThickness = f"{spacing[2]:.8g}"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, int(pixels.dtype.kind == "i")
    for name, value in elements.items():
        setattr(dataset, name, value)
    if syntax == RLELossless:
        dataset.PixelData = pixels.astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(RLELossless)
    elif syntax in ENCODERS:
        frame = np.ascontiguousarray(pixels.astype(np.uint16))
        dataset.PixelData = encapsulate([bytes(ENCODERS[syntax](frame))])
        dataset["PixelData"].VR = "OB"
    else:
        dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<" if syntax.is_little_endian else ">")).tobytes()
        dataset["PixelData"].VR = "OW"
    return written(dataset)


def pdf() -> bytes:
    """A document among the images."""
    dataset = blank(EncapsulatedPDFStorage, ExplicitVRLittleEndian)
    dataset.Modality, dataset.MIMETypeOfEncapsulatedDocument = "DOC", "application/pdf"
    dataset.EncapsulatedDocument = b"%PDF-1.7 of a patient"
    return written(dataset)


def blank(kind: UID, syntax: UID) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = kind
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = CANARY, "ID-" + CANARY, "19330204"
    dataset.InstitutionName = dataset.SeriesDescription = dataset.ImageComments = CANARY
    dataset.add_new(0x00091010, "LO", CANARY)
    return dataset


def written(dataset: Dataset) -> bytes:
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()

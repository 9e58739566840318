"""Stored values of a DICOM file's frames, encoded or not (PS3.5 section 8 and annex A)."""

from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from ml.scans.scan import DamagedFile, ScanError

_JPEG, _JPEG_LS, _JPEG_2000, _HTJ2K = "jpeg", "jpeg-ls", "jpeg 2000", "htj2k"
_CODECS: dict[str, str] = {
    "1.2.840.10008.1.2.4.50": _JPEG,
    "1.2.840.10008.1.2.4.51": _JPEG,
    "1.2.840.10008.1.2.4.57": _JPEG,
    "1.2.840.10008.1.2.4.70": _JPEG,
    "1.2.840.10008.1.2.4.80": _JPEG_LS,
    "1.2.840.10008.1.2.4.81": _JPEG_LS,
    "1.2.840.10008.1.2.4.90": _JPEG_2000,
    "1.2.840.10008.1.2.4.91": _JPEG_2000,
    "1.2.840.10008.1.2.4.201": _HTJ2K,
    "1.2.840.10008.1.2.4.202": _HTJ2K,
    "1.2.840.10008.1.2.4.203": _HTJ2K,
}
_RLE = "1.2.840.10008.1.2.5"
# Where an object of real numbers has its pixels (PS3.3 C.7.6.24).
_REAL_NUMBERS = ("FloatPixelData", "DoubleFloatPixelData")
_DECODERS: dict[str, Callable[[bytes], NDArray[Any]]] = {
    _JPEG: imagecodecs.jpeg_decode,
    _JPEG_LS: imagecodecs.jpegls_decode,
    _JPEG_2000: imagecodecs.jpeg2k_decode,
    _HTJ2K: imagecodecs.htj2k_decode,
}


def read_frames(dataset: Dataset, count: int) -> Iterator[NDArray[np.generic]]:
    """The stored values of each frame, (rows, columns), whole numbers. Raises ScanError `unreadable`."""
    if "PixelData" not in dataset and not any(name in dataset for name in _REAL_NUMBERS):
        raise DamagedFile("The DICOM file is cut: it ends before its pixels; copy or export it again.")
    allocated, shape = int(dataset.BitsAllocated), (int(dataset.Rows), int(dataset.Columns))
    if "PixelData" not in dataset or allocated not in (8, 16, 32):
        raise ScanError("unreadable", "The DICOM file has no pixels of 8, 16 or 32 bits; export the series again.")
    syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
    signed = bool(dataset.get("PixelRepresentation", 0))
    stored = np.dtype(f"{'<' if syntax.is_little_endian else '>'}{'i' if signed else 'u'}{allocated // 8}")
    bits = min(int(dataset.get("BitsStored", allocated)), allocated)
    if not syntax.is_encapsulated:
        size = shape[0] * shape[1] * stored.itemsize
        data = memoryview(dataset.PixelData)
        if len(data) < count * size:
            raise DamagedFile("The DICOM file is cut: pixels are missing; export it again.")
        for index in range(count):
            yield _narrow(np.frombuffer(data[index * size : (index + 1) * size], stored).reshape(shape), bits)
        return
    found = 0
    for encoded in generate_frames(dataset.PixelData, number_of_frames=count):
        found += 1
        yield _narrow(_decode(syntax, encoded, stored, shape), bits)
    if found != count:
        raise DamagedFile("The DICOM file is cut: frames are missing; export it again.")


def _decode(syntax: UID, data: bytes, stored: np.dtype[Any], shape: tuple[int, int]) -> NDArray[np.generic]:
    codec = _CODECS.get(str(syntax))
    if codec is None and syntax != _RLE:
        raise ScanError("unreadable", f"The DICOM file is compressed as {syntax.name}; export it uncompressed.")
    try:
        frame: NDArray[np.generic]
        if codec is None:
            frame = np.frombuffer(imagecodecs.dicomrle_decode(data, stored), stored)
            frame = frame.reshape(shape)
        else:
            frame = _DECODERS[codec](data)
    except (MemoryError, ScanError):
        raise
    except Exception as error:
        raise DamagedFile("The compressed pixels of the DICOM file are damaged; export it again.") from error
    if frame.shape != shape or frame.dtype.kind not in "ui":
        raise DamagedFile("The compressed pixels are no picture of the header's size; export it again.")
    if stored.kind == "i" and frame.dtype.kind == "u":
        frame = frame.view(np.dtype(f"i{frame.dtype.itemsize}"))
    return frame


def _narrow(frame: NDArray[np.generic], bits: int) -> NDArray[np.generic]:
    """The stored bits alone: others may hold an overlay (PS3.5 8.1.1, retired), and signs need to be spread."""
    spare = 8 * frame.dtype.itemsize - bits
    if spare <= 0:
        return frame
    native = frame.astype(frame.dtype.newbyteorder("="))
    narrowed: NDArray[np.generic] = np.right_shift(np.left_shift(native, spare), spare)
    return narrowed

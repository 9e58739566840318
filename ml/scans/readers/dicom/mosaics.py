"""Siemens mosaics: the slices of a volume as tiles of one picture, row by row.

How many there are and to which side they follow each other stands in the private CSA header alone (dcm2niix and
https://nipy.org/nibabel/dicom/siemens_csa.html describe it). ImagePositionPatient is that of a slice as large as the
whole picture, around the same middle (https://nipy.org/nibabel/dicom/dicom_mosaic.html).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ml.scans.scan import ScanError

_CREATOR, _HEADER = (0x0029, 0x0010), (0x0029, 0x1010)
_MAGIC = b"SV10\4\3\2\1"
_TAG = struct.Struct("<64si4s3i")  # name, multiplicity, VR, type, items, 77 or 205
_ITEM = struct.Struct("<4i")  # the second is the length
_MOST_TAGS, _MOST_ITEMS, _LONGEST_ITEM = 256, 256, 2**16
_MOST_SLICES = 1024


@dataclass(frozen=True)
class Mosaic:
    """count: slices; normal: the direction (LPS) in which they follow each other; across: tiles of a row."""

    count: int
    normal: tuple[float, float, float]

    @property
    def across(self) -> int:
        """Tiles of a row, and of a column."""
        return ceil(sqrt(self.count))


def mosaic_of(header: Dataset) -> Mosaic:
    """How a mosaic is laid out. Raises ScanError `unreadable` where its CSA header does not say."""
    try:
        values = _csa_values(header)
        count = int(values["NumberOfImagesInMosaic"][0])
        x, y, z = (float(value) for value in values["SliceNormalVector"][:3])
    except (KeyError, IndexError, ValueError, TypeError, struct.error) as error:
        raise _refused() from error
    if not 1 < count <= _MOST_SLICES or not 0.9 < float(np.linalg.norm((x, y, z))) < 1.1:
        raise _refused()
    return Mosaic(count, (x, y, z))


def tiles_of(picture: NDArray[np.generic], count: int, across: int) -> Iterator[NDArray[np.generic]]:
    """The slices of a mosaic, (rows, columns) each."""
    rows, columns = picture.shape[0] // across, picture.shape[1] // across
    for index in range(count):
        top, left = rows * (index // across), columns * (index % across)
        yield picture[top : top + rows, left : left + columns]


def _csa_values(header: Dataset) -> dict[str, list[str]]:
    """The texts of the two elements that are needed. Raises KeyError, ValueError or struct.error."""
    if str(header[_CREATOR].value).strip() != "SIEMENS CSA HEADER":
        raise ValueError("another maker's element")
    data = bytes(header[_HEADER].value)
    if not data.startswith(_MAGIC):
        raise ValueError("another version")
    (tags,) = struct.unpack_from("<I", data, 8)
    place = 16
    found: dict[str, list[str]] = {}
    for _ in range(min(tags, _MOST_TAGS)):
        name, _, _, _, items, _ = _TAG.unpack_from(data, place)
        place += _TAG.size
        values = []
        for _ in range(min(items, _MOST_ITEMS)):
            _, length, _, _ = _ITEM.unpack_from(data, place)
            place += _ITEM.size
            if not 0 <= length <= _LONGEST_ITEM:
                raise ValueError("no length")
            values.append(data[place : place + length].split(b"\0")[0].decode("latin-1").strip())
            place += -(-length // 4) * 4
        key = name.split(b"\0")[0].decode("latin-1")
        if key in ("NumberOfImagesInMosaic", "SliceNormalVector"):
            found[key] = [value for value in values if value]
    return found


def _refused() -> ScanError:
    return ScanError(
        "unreadable",
        "The DICOM file is a mosaic, many slices in one picture, and does not say how they lie (its private CSA header"
        " is gone); convert it to NIfTI, or export single slices.",
    )

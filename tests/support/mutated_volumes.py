"""NIfTI and DICOM files with absurd headers, for the tests of bounded parsing; `mutated_files` changes their bytes."""

import warnings
from functools import cache

import nibabel
import numpy as np
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from tests.support import dicom_files, volume_files
from tests.support.mutated_files import mutated
from tests.support.segmentations import segmentation
from tests.support.structure_sets import Outline, box, structure_set

SHAPE = (24, 28, 5)
AFFINE = volume_files.affine_of("LPS", (6.0, 6.0, 20.0), SHAPE)
VOXELS = volume_files.head(AFFINE, SHAPE, "uint16")
SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    *dicom_files.ENCODERS,
)
_NUMBERS = (0, -1, 1, 2, 3, 17, 255, 32767, -32768, 2**31 - 1, -(2**31), 1e-30, 1e30, float("nan"), float("inf"))
# Elements of a slice and what they may be set to, beside the numbers: nonsense in texts, too few and too many values.
_ELEMENTS = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "InstanceNumber",
    "AcquisitionNumber",
    "EchoNumbers",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "PhotometricInterpretation",
    "ImageType",
    "Modality",
    "SeriesDescription",
    "StudyDate",
    "EchoTime",
    "ScanningSequence",
)
_TEXTS = ("", "x", "\\\\\\", "1e999", "1\\2\\3\\4\\5\\6\\7", "9" * 64, "MOSAIC", "\u00e9\u4e2d")


@cache
def originals() -> list[bytes]:
    """Good files of both formats in all their forms."""
    voxels = VOXELS.astype("int16")
    files = [
        volume_files.nifti(voxels, AFFINE, version=version, is_packed=is_packed)
        for version in (1, 2)
        for is_packed in (True, False)
    ]
    files += [dicom_files.image(VOXELS[:, :, 2].T, AFFINE, 2, "1.2.3", syntax) for syntax in SYNTAXES]
    return files


def absurd(generator: np.random.Generator) -> bytes:
    """A file with one to three values that no scanner writes."""
    return _nifti(generator) if generator.integers(2) else _dicom(generator)


def broken(index: int, generator: np.random.Generator) -> bytes:
    """Of two files one with changed bytes, one with an absurd header."""
    files = originals()
    return absurd(generator) if index % 2 else mutated(files[(index // 2) % len(files)], files, generator)


def _nifti(generator: np.random.Generator) -> bytes:
    data = bytearray(volume_files.nifti(VOXELS.astype("int16"), AFFINE, is_packed=False))
    header = nibabel.Nifti1Header(bytes(data[:348])).structarr
    for name in generator.choice(list(header.dtype.names), generator.integers(1, 4)):
        field, offset = header.dtype.fields[name][:2]
        place = offset + field.base.itemsize * int(generator.integers(max(1, field.itemsize // field.base.itemsize)))
        value = _NUMBERS[generator.integers(len(_NUMBERS))]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind = field.base if field.base.kind in "iuf" else np.dtype("u1")
            data[place : place + kind.itemsize] = np.array(value).astype(kind).tobytes()
    return bytes(data)


def _dicom(generator: np.random.Generator) -> bytes:
    place = int(generator.integers(SHAPE[2]))
    chosen = {}
    for name in generator.choice(_ELEMENTS, generator.integers(1, 4)):
        values = _NUMBERS if generator.integers(2) else _TEXTS
        chosen[str(name)] = values[generator.integers(len(values))]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dicom_files.image(VOXELS[:, :, place].T, AFFINE, place, "1.2.3", ImplicitVRLittleEndian, **chosen)
    except (ValueError, TypeError, OverflowError, AttributeError, KeyError, OSError) as error:  # pydicom writes no such
        del error
        return mutated(originals()[-1], originals(), generator)


@cache
def masks() -> list[bytes]:
    """Good DICOM masks of `VOXELS`: RTSTRUCT in its forms, SEG of one segment and of two."""
    ring = [Outline(box(2.5, 2.5, 20.5, 20.5), 2), Outline(box(8.5, 8.5, 12.5, 12.5), 2)]
    drawn = [Outline(item.points, item.slice, "CLOSEDPLANAR_XOR") for item in ring]
    between = [Outline(box(2, 2, 20, 20), 1.2), Outline(box(3, 3, 20, 20), 1.7)]
    sets = [structure_set(AFFINE, [("GTV", ring), ("Brain", drawn)]), structure_set(AFFINE, [("GTV", drawn)])]
    sets.append(structure_set(AFFINE, [("GTV", between)]))
    mask = volume_files.tumor(AFFINE, SHAPE)
    mask[5:9, 5:9, 1:3] = True
    return [*sets, segmentation(mask, AFFINE), segmentation(mask, AFFINE, labels=("Tumor", "Brain"))]


def broken_mask(index: int, generator: np.random.Generator) -> bytes:
    """One of `masks` with changed bytes, or with nonsense in the points of an outline."""
    files = masks()
    data = files[(index // 2) % len(files)]
    if index % 2:
        return mutated(data, files, generator)
    place = int(generator.integers(len(data) // 2, len(data)))
    nonsense = _NONSENSE[generator.integers(len(_NONSENSE))]
    return data[:place] + nonsense + data[place + len(nonsense) :]


_NONSENSE = (b"1e308\\", b"-9e99\\", b"nan\\inf\\", b"\\\\\\", b"0\\" * 40, b"CLOSEDPLANAR_XOR", b"\xff" * 12, b"1_0\\")

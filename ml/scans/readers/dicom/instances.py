"""What a DICOM file says of itself before its pixels are read: frames, their places, and whether it is an image at all.

Of a patient nothing leaves this module but a digest, which tells patients of one upload apart and is not stored, and
the words of `descriptions`. DICOM PS3.3, https://dicom.nema.org.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    MediaStorageDirectoryStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from ml.scans.readers.dicom.acquisition import acquisition_of
from ml.scans.readers.dicom.descriptions import label_of
from ml.scans.readers.dicom.mosaics import Mosaic, mosaic_of
from ml.scans.scan import DamagedFile, Limits, ScanError
from ml.scans.sequence import SequenceKind, kind_of
from ml.scans.series_label import SeriesLabel

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
# What de-identification writes in place of an id or a name, letters and digits alone: of everybody the same.
_NOBODY = frozenset(
    {"anon", "anonym", "anonyme", "anonymous", "anonymized", "anonymised", "anonymouspatient", "anonymizedid"}
    | {"anonymizedpatient", "anonymise", "anonymisé", "anonymisiert", "anonimo", "anónimo", "anonimizado"}
    | {"anonimizzato", "geanonimiseerd", "removedbyctp"}
    | {"anonymisedpatient", "patientanonymous", "patientanonymized", "deidentified", "deident", "removed", "redacted"}
    | {"hidden", "masked", "withheld", "confidential", "blank", "empty", "default", "dummy", "test", "none", "null"}
    | {"nil", "na", "nan", "unknown", "unnamed", "unspecified", "notavailable", "notprovided", "noname", "noid"}
    | {"nopatientid", "id", "name", "patient", "patientid", "patientname", "subject", "subjectid"}
)
# Words beside these, as in "De-identified^Patient" and "Anonymous^Male".
_BESIDE_NOBODY = frozenset(
    {"de", "identified", "not", "no", "available", "provided", "given", "male", "female", "m", "f"}
)


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


@dataclass(frozen=True)
class Instance:
    """A file of pictures of one size.

    tiles_across: of a mosaic, whose tiles are the frames; else 1. is_inverted: the highest values are black
    (MONOCHROME1). padding: the lowest and the highest stored value that fill what was not imaged; None where the header
    has none. sequence: what the header says. patient: a digest that two files of one patient share; empty where
    the header names none, or has a word that is written for everybody. born: a digest of it and the birth date, which
    tells two persons of one id apart; empty where one of them is not there. examination: a digest of the study's UID;
    empty without one. label: what may be shown of the header's words. is_capture: what a screen or a film showed,
    without a place in the patient. is_derived: made of other pictures, as an annotated copy is.
    """

    path: Path
    frames: tuple[Frame, ...]
    tiles_across: int
    rows: int
    columns: int
    is_inverted: bool
    padding: tuple[int, int] | None
    series_uid: str
    instance_uid: str
    frame_of_reference: str | None
    modality: str
    number: int
    acquisition: int
    echo: str
    has_burned_in_text: bool
    sequence: SequenceKind | None
    patient: str
    born: str
    examination: str
    label: SeriesLabel
    is_capture: bool
    is_derived: bool


def read_instance(path: Path, limits: Limits) -> Instance:
    """Read a file's header. Raises ScanError, a sentence for each kind of object that is no MR image."""
    limits.check_bytes(path.stat().st_size)
    return instance_of(read_dataset(path, is_whole=False), path, limits)


def instance_of(header: Dataset, path: Path, limits: Limits) -> Instance:
    """What a header says of the file at `path`. Raises as `read_instance`."""
    _check_kind(header)
    rows, columns = _whole(header, "Rows"), _whole(header, "Columns")
    limits.check_slice(columns, rows)
    count = _whole(header, "NumberOfFrames", 1)
    if count < 1:
        raise ScanError("unreadable", f"The DICOM file says that it has {count} frames; export it again.")
    mosaic = mosaic_of(header) if "MOSAIC" in _words(header.get("ImageType")) and count == 1 else None
    if mosaic is not None:
        count, rows, columns = mosaic.count, rows // mosaic.across, columns // mosaic.across
        limits.check_slice(columns, rows)
    limits.check_stack(count, columns, rows)
    reference = header.get("FrameOfReferenceUID")
    frames = frames_of(header, count) if mosaic is None else _tiles(header, mosaic)
    if frames[0].orientation is not None:
        _ = frames[0].normal
    return Instance(
        path=path,
        frames=frames,
        tiles_across=1 if mosaic is None else mosaic.across,
        rows=rows,
        columns=columns,
        is_inverted=header.get("PhotometricInterpretation") == "MONOCHROME1",
        padding=_padding(header),
        series_uid=str(header.get("SeriesInstanceUID", "")),
        instance_uid=str(header.get("SOPInstanceUID", "")),
        frame_of_reference=str(reference) if reference else None,
        modality=str(header.get("Modality", "")),
        number=_whole(header, "InstanceNumber", 0),
        acquisition=_whole(header, "AcquisitionNumber", 0),
        echo=str(header.get("EchoNumbers", "")),
        has_burned_in_text=header.get("BurnedInAnnotation") == "YES",
        sequence=_sequence(header),
        patient=_patient(header),
        born=_born(header),
        examination=_digest(str(header.get("StudyInstanceUID") or "").strip()),
        label=_label(header),
        is_capture=_kind(header) in _CAPTURES and frames[0].position is None,
        is_derived=bool({"DERIVED", "SECONDARY"} & set(_words(header.get("ImageType"))[:2])),
    )


def _padding(header: Dataset) -> tuple[int, int] | None:
    """The stored values that are no picture (PS3.3 C.7.5.1.1.2), lowest and highest.

    They are read by the bits that pixels have: some programs write them with a sign where pixels have none, or without.
    """
    values = [_number(header.get(name)) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    stored = [int(value) for value in values if value is not None]
    if values[0] is None:
        return None
    size = 1 << int(_number(header.get("BitsStored")) or 16)
    half = size // 2 if header.get("PixelRepresentation") else 0
    padded = [(value + half) % size - half for value in stored]
    return min(padded), max(padded)


def _label(header: Dataset) -> SeriesLabel:
    """What may be shown of a header; nothing where an element of it cannot be read."""
    try:
        return label_of(header)
    except Exception:  # noqa: BLE001 - damaged words refuse no picture
        return SeriesLabel()


def _patient(header: Dataset) -> str:
    known = (str(header.get(name) or "").strip() for name in ("PatientID", "PatientName"))
    return _digest(next(filter(_names_somebody, known), ""))


def _born(header: Dataset) -> str:
    """A digest of the patient with the birth date, so that who has the key cannot find it by trying dates out; empty
    where one of them is not there, and for January 1st, which stands for a day that is not known or was taken out."""
    text = re.sub(r"[.-]", "", str(header.get("PatientBirthDate") or "").strip())
    patient = _patient(header)
    is_known = patient and re.fullmatch(r"(18|19|20)\d{6}", text) and not text.endswith("0101")
    return _digest(f"{patient} {text}") if is_known else ""


def _names_somebody(text: str) -> bool:
    """Whether it is nothing that de-identification writes for everybody: "ANON", "De-identified^Patient"."""
    words = re.findall(r"[^\W_]+", text.casefold())
    is_nobody = "".join(words) in _NOBODY or (_NOBODY & set(words) and set(words) <= _NOBODY | _BESIDE_NOBODY)
    return not is_nobody and bool(words) and bool(text.strip("0Xx-_^ "))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() if text else ""


def _sequence(header: Dataset) -> SequenceKind | None:
    """What the header says of its sequence; nothing where an element of it cannot be read."""
    try:
        return kind_of(acquisition_of(header))
    except Exception:  # noqa: BLE001 - a damaged number refuses no picture
        return None


class _Clipped(io.BufferedReader):
    """A file of which nobody asks for more bytes than it has: Python makes room for as many as an element says that it
    has, up to 4 GB, before it reads one."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._length = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(self._length - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


def read_dataset(path: Path, *, is_whole: bool) -> Dataset:
    """A file's elements, with its pixels where `is_whole`. Raises ScanError `unreadable`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values
            with _Clipped(path) as file:
                return pydicom.dcmread(file, stop_before_pixels=not is_whole)
    except (MemoryError, ScanError):
        raise
    except Exception as error:
        raise DamagedFile("The DICOM file is cut or damaged; export it again.") from error


def _kind(header: Dataset) -> UID:
    """The SOP class; empty where the file states none."""
    return UID(str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or ""))


def _check_kind(header: Dataset) -> None:
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


def _tiles(header: Dataset, mosaic: Mosaic) -> tuple[Frame, ...]:
    """The slices of a mosaic. Raises ScanError `unreadable` where it is not placed."""
    whole = _frame([header], 0)
    if whole.position is None or whole.orientation is None or whole.spacing_mm is None or not whole.apart_mm:
        raise ScanError("unreadable", "The DICOM file is a mosaic without a place in the patient; export it again.")
    share = (1 - 1 / mosaic.across) / 2  # of the picture's sides: where a slice of its middle begins
    down = share * _whole(header, "Rows") * whole.spacing_mm[0]
    right = share * _whole(header, "Columns") * whole.spacing_mm[1]
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

    position, orientation = _numbers(value("ImagePositionPatient"), 3), _numbers(value("ImageOrientationPatient"), 6)
    spacing = _numbers(value("PixelSpacing"), 2)
    has_spacing = spacing is not None and min(spacing) > 0
    is_placed = has_place and position is not None and orientation is not None and has_spacing
    return Frame(
        index,
        position if is_placed else None,
        orientation if is_placed else None,
        spacing if has_spacing else None,
        _number(value("RescaleSlope")) or 1.0,
        _number(value("RescaleIntercept")) or 0.0,
        _number(value("SpacingBetweenSlices")) or _number(value("SliceThickness")),
        int(_number(value("TemporalPositionIndex")) or 0),
    )


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """So many finite numbers, None where there are others."""
    try:
        numbers = tuple(float(item) for item in value)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(isfinite(item) for item in numbers) else None


def _number(value: Any) -> float | None:
    """A finite number, None for anything else; of several the first."""
    found = _numbers([value], 1)
    return found[0] if found else None


def _whole(header: Dataset, name: str, default: int | None = None) -> int:
    """A whole number. Raises ScanError `unreadable` where it is missing without a default, or is none."""
    value = header.get(name)
    if value is None and default is not None:
        return default
    number = _number(value)
    if number is None:
        raise DamagedFile("The DICOM header is damaged; export the file again.")
    return int(number)


def _words(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(str(item) for item in value or ())

"""What a DICOM file says of itself before its pixels are read.

Of a patient nothing leaves this module but a digest, which tells patients of one upload apart and is not stored, and
the words of `descriptions`. DICOM PS3.3, https://dicom.nema.org.
"""

from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from ml.scans.readers.dicom.acquisition import acquisition_of
from ml.scans.readers.dicom.descriptions import label_of
from ml.scans.readers.dicom.elements import number_of, read_dataset, whole_of, words_of
from ml.scans.readers.dicom.frames import Frame, frames_of, tiles_of
from ml.scans.readers.dicom.kinds import check_kind, is_capture
from ml.scans.readers.dicom.mosaics import mosaic_of
from ml.scans.readers.dicom.patients import birth_of, examination_of, patient_of
from ml.scans.scan import Limits, ScanError
from ml.scans.sequence import SequenceKind, kind_of
from ml.scans.series_label import SeriesLabel


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
    check_kind(header)
    rows, columns = whole_of(header, "Rows"), whole_of(header, "Columns")
    limits.check_slice(columns, rows)
    count = whole_of(header, "NumberOfFrames", 1)
    if count < 1:
        raise ScanError("unreadable", f"The DICOM file says that it has {count} frames; export it again.")
    mosaic = mosaic_of(header) if "MOSAIC" in words_of(header.get("ImageType")) and count == 1 else None
    if mosaic is not None:
        count, rows, columns = mosaic.count, rows // mosaic.across, columns // mosaic.across
        limits.check_slice(columns, rows)
    limits.check_stack(count, columns, rows)
    reference = header.get("FrameOfReferenceUID")
    frames = frames_of(header, count) if mosaic is None else tiles_of(header, mosaic)
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
        number=whole_of(header, "InstanceNumber", 0),
        acquisition=whole_of(header, "AcquisitionNumber", 0),
        echo=str(header.get("EchoNumbers", "")),
        has_burned_in_text=header.get("BurnedInAnnotation") == "YES",
        sequence=_sequence(header),
        patient=patient_of(header),
        born=birth_of(header),
        examination=examination_of(header),
        label=_label(header),
        is_capture=is_capture(header) and frames[0].position is None,
        is_derived=bool({"DERIVED", "SECONDARY"} & set(words_of(header.get("ImageType"))[:2])),
    )


def _padding(header: Dataset) -> tuple[int, int] | None:
    """The stored values that are no picture (PS3.3 C.7.5.1.1.2), lowest and highest.

    They are read by the bits that pixels have: some programs write them with a sign where pixels have none, or without.
    """
    values = [number_of(header.get(name)) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    stored = [int(value) for value in values if value is not None]
    if values[0] is None:
        return None
    size = 1 << int(number_of(header.get("BitsStored")) or 16)
    half = size // 2 if header.get("PixelRepresentation") else 0
    padded = [(value + half) % size - half for value in stored]
    return min(padded), max(padded)


def _label(header: Dataset) -> SeriesLabel:
    """What may be shown of a header; nothing where an element of it cannot be read."""
    try:
        return label_of(header)
    except Exception:  # noqa: BLE001 - damaged words refuse no picture
        return SeriesLabel()


def _sequence(header: Dataset) -> SequenceKind | None:
    """What the header says of its sequence; nothing where an element of it cannot be read."""
    try:
        return kind_of(acquisition_of(header))
    except Exception:  # noqa: BLE001 - a damaged number refuses no picture
        return None

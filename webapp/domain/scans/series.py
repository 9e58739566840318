"""Admission of DICOM files: sorted into series by their headers, whatever their names say, each series a scan.

No value of a patient leaves the sandbox: what is stored of a file are its pixels and their geometry
(`ml.scans.readers.dicom.copies`).
"""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from ml.sandbox.decoder import Decoded, SortedFiles
from ml.sandbox.launcher import SandboxError
from ml.scans import ScanError
from ml.scans.formats import HEAD_BYTES, is_dicom
from ml.scans.series_label import SeriesLabel
from webapp.domain.database.orm import new_id
from webapp.domain.errors import DecoderUnavailable, PortalError, UploadRejected
from webapp.domain.resources import Resources
from webapp.domain.scans import admission
from webapp.domain.scans.admission import Accepted
from webapp.domain.scans.models import Scan
from webapp.domain.scans.stacking import AdmittedGroup
from webapp.domain.storage.interface import RESERVE_BYTES, translated_errors
from webapp.domain.uploads.receiving import Received

# What a scan is called whose files came without a folder.
_UNNAMED = "DICOM series"


def is_dicom_file(file: BinaryIO | Path) -> bool:
    """Whether a file begins as DICOM does; a stream stays where it is."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return is_dicom(opened.read(HEAD_BYTES))
    position = file.tell()
    try:
        return is_dicom(file.read(HEAD_BYTES))
    finally:
        file.seek(position)


def admit_series(
    resources: Resources, uploads: Sequence[Received], names: Sequence[str], **options: Any
) -> AdmittedGroup:
    """Sort DICOM files into series, store each as a scan, and queue it. What is refused stops no other.

    names: as the client sent them, with folders. options: of `admission.store`. Raises InvalidInput, StorageFull,
    StorageUnavailable, DecoderUnavailable, UploadRejected (files that stop their reader).
    """
    with _translated():
        found = resources.decoder.sort_series([upload.path for upload in uploads])
    refused: list[tuple[int, PortalError]] = [
        (place, UploadRejected(error.code, error.message)) for place, error in found.refused
    ]
    accepted: list[Accepted] = []
    stored: list[tuple[int, ...]] = []
    titles = [
        _title([names[place] for place in places], [uploads[place] for place in places]) for places in found.series
    ]
    for places, name, label in zip(found.series, _told_apart(titles, found), found.labels, strict=True):
        try:
            accepted.append(_admit(resources, [uploads[place] for place in places], name, label, options))
            stored.append(places)
        except PortalError as error:
            if not accepted and not isinstance(error, UploadRejected):
                raise
            refused += [(place, error) for place in places]
    return AdmittedGroup(tuple(accepted), tuple(stored), tuple(sorted(refused, key=lambda item: item[0])))


def _told_apart(titles: Sequence[str], found: SortedFiles) -> list[str]:
    """The names of scans: of equal titles the number of the patient and the words of the series tell which is which."""
    patients: dict[str, list[int]] = defaultdict(list)
    for title, patient in zip(titles, found.patients, strict=True):
        if patient not in patients[title]:
            patients[title].append(patient)
    shared = Counter(titles)
    alike: Counter[str] = Counter()
    names = []
    for title, patient, label in zip(titles, found.patients, found.labels, strict=True):
        parts = [title]
        if len(patients[title]) > 1:
            parts.append(f"patient {patients[title].index(patient) + 1}")
        if shared[title] > 1 and label.description:
            parts.append(label.description)
        name = ", ".join(parts)
        alike[name] += 1
        names.append(name if alike[name] == 1 else f"{name} ({alike[name]})")
    return names


def _admit(
    resources: Resources, uploads: Sequence[Received], name: str, label: SeriesLabel, options: dict[str, Any]
) -> Accepted:
    stack, original = resources.storage.temporary_file(), resources.storage.temporary_file()
    try:
        with translated_errors(), _translated():
            paths = [upload.path for upload in uploads]
            decoded = resources.decoder.decode_series(paths, stack, original, spare_bytes=RESERVE_BYTES)
            row = _row(name, decoded, original)
            row.series = asdict(label)
        return admission.store(resources, row, original, stack, **options)
    finally:
        stack.unlink(missing_ok=True)
        original.unlink(missing_ok=True)


@contextmanager
def _translated() -> Iterator[None]:
    """The sandbox's errors as the portal's."""
    try:
        yield
    except ScanError as error:
        raise UploadRejected(error.code, error.message) from error
    except SandboxError as error:
        raise DecoderUnavailable("Files cannot be read right now; try again in a few seconds.") from error


def _row(name: str, decoded: Decoded, original: Path) -> Scan:
    with original.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Scan(
        id=new_id(),
        filename=name,
        origin="upload",
        format=decoded.format,
        width=decoded.width,
        height=decoded.height,
        slice_count=decoded.slice_count,
        spacing_mm=list(decoded.spacing_mm) if decoded.spacing_mm else None,
        geometry=None if decoded.grid is None else decoded.grid.to_json(),
        sequence=admission.stated_sequence(decoded, name),
        sha256=digest,
        bytes=original.stat().st_size,
        warnings=list(decoded.warnings),
    )


def _title(names: Sequence[str], uploads: Sequence[Received]) -> str:
    """A file's own name where it is alone; the innermost folder around several."""
    if len(names) == 1:
        return uploads[0].filename
    folders = ["/" + name.replace("\\", "/").strip("/").rpartition("/")[0] for name in names]
    return os.path.commonpath(folders).rpartition("/")[2] or _UNNAMED

"""Admission of DICOM files: sorted into series by their headers, whatever their names say, each series a scan.

No value of a patient leaves the sandbox but a digest of the id, of which a pseudonym is made (`pseudonyms`): what is
stored of a file are its pixels and their geometry (`ml.scans.readers.dicom.copies`).
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ml.sandbox.decoder import Decoded, SortedFiles, SortedSeries
from ml.scans import ScanError
from ml.scans.formats import HEAD_BYTES, is_dicom
from ml.scans.scan import DamagedFile, LeftOut
from webapp.domain.database.orm import new_id
from webapp.domain.errors import PortalError, UploadRejected
from webapp.domain.resources import Resources
from webapp.domain.scans import admission, sequence_groups, studies
from webapp.domain.scans.admission import Accepted
from webapp.domain.scans.models import Scan
from webapp.domain.scans.pseudonyms import birth_pseudonym, examination_pseudonym, pseudonym
from webapp.domain.scans.series_names import UNNAMED, folder_of, name_series, shared_folder
from webapp.domain.scans.stacking import SLICES_REFUSED, AdmittedGroup, listed
from webapp.domain.storage.interface import RESERVE_BYTES, translated_errors
from webapp.domain.uploads.receiving import Received
from webapp.domain.uploads.sandbox_errors import sandbox_errors


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
    resources: Resources,
    uploads: Sequence[Received],
    names: Sequence[str],
    volume: int | None = None,
    **options: Any,
) -> AdmittedGroup:
    """Sort DICOM files into series, store each as a scan, and queue it. What is refused stops no other.

    names: as the client sent them, with folders. volume: of series with several pictures of each position.
    options: of `admission.store`. Raises InvalidInput, StorageFull,
    StorageUnavailable, DecoderUnavailable, UploadRejected (files that stop their reader).
    """
    with _translated():
        found = resources.decoder.sort_series([upload.path for upload in uploads], [folder_of(name) for name in names])
    refused: list[tuple[int, PortalError]] = [
        (place, UploadRejected(error.code, error.message)) for place, error in found.refused
    ]
    accepted: list[Accepted] = []
    stored: list[tuple[int, ...]] = []
    for places, series in _series_of(uploads, names, found, resources.settings.secret_key, volume):
        try:
            scan, left_out = _admit(resources, series, options)
            lost = {item.place for item in left_out}
            accepted.append(scan)
            stored.append(tuple(place for index, place in enumerate(places) if index not in lost))
            refused += [(places[item.place], UploadRejected("unreadable", item.message)) for item in left_out]
        except _SeriesRefused as error:
            own = {places[item.place]: UploadRejected(error.code, item.message) for item in error.files}
            refused += [(place, own.get(place, error)) for place in places]
        except PortalError as error:
            if not accepted and not isinstance(error, UploadRejected):
                raise
            refused += [(place, error) for place in places]
    return AdmittedGroup(tuple(accepted), tuple(stored), tuple(sorted(refused, key=lambda item: item[0])))


def _series_of(
    uploads: Sequence[Received], names: Sequence[str], found: SortedFiles, secret: str, volume: int | None
) -> Iterator[tuple[Sequence[int], "_Series"]]:
    """Each series that the files were sorted into, with its files' places among them."""
    damaged = {place for place, error in found.refused if isinstance(error, DamagedFile)}
    folders_of_patients, time = _folders_of_patients(names, found), sequence_groups.now()
    has_several_patients = len({one.patient for one in found.series}) > 1
    called = name_series(found.series, names, [upload.filename for upload in uploads])
    for one, name in zip(found.series, called, strict=True):
        # A header that cannot be read does not say of which series it was; its folder does.
        folders = {folder_of(names[place]) for place in one.places}
        yield (
            one.places,
            _Series(
                title=name.title,
                suffix=name.suffix,
                words={
                    **asdict(one.label),
                    "patient": pseudonym(secret, one.digest),
                    "born": birth_pseudonym(secret, one.born),
                    "examination": examination_pseudonym(secret, one.examination),
                },
                uploads=[uploads[place] for place in one.places],
                names=[names[place] for place in one.places],
                lacking=[names[place] for place in sorted(damaged) if folder_of(names[place]) in folders],
                folder=folders_of_patients.get(one.patient),
                of_patient=f", patient {one.patient + 1}" if has_several_patients else "",
                time=time,
                volume=volume,
            ),
        )


def _folders_of_patients(names: Sequence[str], found: SortedFiles) -> dict[int, str]:
    """The innermost folder around all files of each patient of whom there are several series, by patient's number."""
    own: dict[int, list[SortedSeries]] = defaultdict(list)
    for one in found.series:
        own[one.patient].append(one)
    return {
        patient: shared_folder([names[place] for one in series for place in one.places])
        for patient, series in own.items()
        if len(series) > 1
    }


class _SeriesRefused(UploadRejected):
    """A series of which too much is damaged. files: those at fault, by their places in it."""

    def __init__(self, code: str, message: str, files: tuple[LeftOut, ...]) -> None:
        super().__init__(code, message)
        self.files = files


@dataclass(frozen=True)
class _Series:
    """Files that are one scan. names: as the client sent them; lacking: of damaged files that may belong to it.

    title: of the scan, as the client chose it; suffix: what tells it from others. words: of the row's `series`.
    folder: around all series of the patient, if these are several: with of_patient and time it calls their study.
    """

    title: str
    suffix: str
    words: dict[str, Any]
    uploads: Sequence[Received]
    names: Sequence[str]
    lacking: Sequence[str]
    folder: str | None
    of_patient: str
    time: str
    volume: int | None


def _admit(resources: Resources, series: _Series, options: dict[str, Any]) -> tuple[Accepted, tuple[LeftOut, ...]]:
    """The scan of a series, and the files without which it was read."""
    stack, original = resources.storage.temporary_file(), resources.storage.temporary_file()
    try:
        with translated_errors(), _translated():
            paths = [upload.path for upload in series.uploads]
            try:
                decoded = resources.decoder.decode_series(
                    paths,
                    stack,
                    original,
                    names=[series.title, series.folder or "", *series.lacking, *series.names],
                    volume=series.volume,
                    spare_bytes=RESERVE_BYTES,
                )
            except ScanError as error:
                lacking = [*series.lacking, *(series.names[item.place] for item in error.files)]
                if not lacking:
                    raise
                message = f"{error.message} Unreadable: {listed(lacking)}."
                raise _SeriesRefused(error.code, message, error.files) from error
            title, folder, *others = decoded.names
            chosen = f", volume {series.volume}" if "volume_chosen" in decoded.warnings else ""
            row = _row((title or UNNAMED) + series.suffix + chosen, decoded, original)
            row.series = series.words
            count = len(series.lacking)
            lacking = [*others[:count], *(others[count + item.place] for item in decoded.left_out)]
            if lacking:
                row.warnings = [*row.warnings, SLICES_REFUSED]
                row.warning_details = {**(row.warning_details or {}), SLICES_REFUSED: f"Left out: {listed(lacking)}."}
        if series.folder is not None and options.get("study") in (None, "", series.folder):
            options = {**options, "study": _study(resources, series, folder, options.get("study"))}
        return admission.store(resources, row, original, stack, **options), decoded.left_out
    finally:
        stack.unlink(missing_ok=True)
        original.unlink(missing_ok=True)


def _study(resources: Resources, series: _Series, folder: str, wanted: str | None) -> str:
    """The study that a folder names, or the page by it; another one where that is of others already.

    folder: its name without what the header says of people.
    """
    name = wanted or sequence_groups.title((folder or "DICOM examination") + series.of_patient, series.time)
    with resources.database.read() as session:
        is_of_others = studies.is_of_others(session, name, series.words["patient"], series.words["examination"])
    return f"{name}, {series.time}"[-studies.LONGEST_NAME :] if is_of_others else name


@contextmanager
def _translated() -> Iterator[None]:
    """A reader's errors, and the sandbox's, as the portal's."""
    with sandbox_errors():
        try:
            yield
        except ScanError as error:
            raise UploadRejected(error.code, error.message) from error


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
        warning_details=dict(decoded.details) or None,
    )

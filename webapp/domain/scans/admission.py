"""Admission: from a received file to a stored scan with a queued segmentation.

Hostile bytes are parsed once, here, in the sandbox; after it everything works on plain arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from ml.sandbox.decoder import Decoded
from ml.scans import ScanError
from ml.scans.sequence import VOLUME_FORMATS, agree, kind_of_name
from ml.scans.unread_formats import check_name, explained
from webapp.domain.catalog.thresholds import checked_threshold
from webapp.domain.database.orm import new_id
from webapp.domain.errors import OutcomeUnknown, UploadRejected
from webapp.domain.jobs.broker import INTERACTIVE
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup, segmentations, studies, visits
from webapp.domain.scans.models import Scan
from webapp.domain.stages import Stage
from webapp.domain.storage.interface import RESERVE_BYTES, translated_errors
from webapp.domain.storage.keys import original_key, scan_prefix, stack_key
from webapp.domain.tracing import asked
from webapp.domain.uploads.receiving import Received
from webapp.domain.uploads.sandbox_errors import sandbox_errors

# The bytes tell a format, never the name; but whoever sends a volume by its name wants to hear of the volume.
_NIFTI_ENDINGS = (".nii", ".nii.gz")
_NO_NIFTI = "By its name the file is a NIfTI volume, and its bytes are not one; copy it again from where it came from."


@dataclass(frozen=True)
class Accepted:
    """A stored scan and its queued segmentation."""

    scan_id: str
    segmentation_id: str


@asked("upload")
def admit(
    resources: Resources,
    upload: Received,
    *,
    model: str | None,
    threshold: float | None,
    study: str | None = None,
    volume: int | None = None,
    origin: str = "upload",
) -> Accepted:
    """Decode, store, and queue. Raises UploadRejected, InvalidInput, StorageFull, StorageUnavailable.

    Nothing is left behind where it raises. After OutcomeUnknown a row may name the files: they are left to the sweeper.
    """
    stack = resources.storage.temporary_file()
    try:
        decoded = decode(resources, upload.path, stack, upload.filename, volume=volume)
        row = scan_row(upload, decoded, origin, volume)
        with resources.stages.timed(Stage.ADMIT):
            return store(resources, row, upload.path, stack, model=model, threshold=threshold, study=study)
    finally:
        stack.unlink(missing_ok=True)


def store(
    resources: Resources,
    row: Scan,
    original: Path,
    stack: Path,
    *,
    model: str | None,
    threshold: float | None,
    study: str | None = None,
    check: Callable[[Session], None] | None = None,
) -> Accepted:
    """Store a scan's files, then its row with a queued segmentation, and wake a worker. Raises as `admit`.

    original, stack: temporary files; they are moved. study: its name; one that there is not is made. check: asked in
    the row's transaction, before it is there; what it raises leaves nothing.
    """
    card = resources.catalog.card(model)
    wanted = checked_threshold(threshold, card.threshold)
    scan_id = row.id
    try:
        # Files first, then the row: a crash between the two leaves a file that the sweeper removes, never a row
        # without its file.
        resources.storage.put(original, original_key(scan_id), is_last=False)
        resources.storage.put(stack, stack_key(scan_id))  # in the same folder
        with resources.database.write() as session:
            visits.check_room(session, resources.settings)
            if check is not None:
                check(session)
            row.study_id = studies.place(session, study) if study else None
            row.same_as_id = None if row.origin == "phantom" else lookup.newest_of(session, row.sha256)
            session.add(row)
            session.flush()
            segmentation = segmentations.add(session, scan_id, model=card.name, version=card.release, threshold=wanted)
            accepted = Accepted(scan_id, segmentation.id)
    except OutcomeUnknown:
        raise
    except BaseException:
        resources.storage.delete(scan_prefix(scan_id))
        raise
    resources.queue.publish(INTERACTIVE)
    resources.traces.begin(accepted.segmentation_id, scan=scan_id)
    return accepted


def decode(
    resources: Resources, source: Path, stack: Path, filename: str = "", *, volume: int | None = None
) -> Decoded:
    """Decode a received file in the sandbox; its name only chooses the sentence where it cannot be
    read, and refuses what its bytes hide (slides).

    volume: of a file that holds several, the number from 1 of the one to read.

    Raises UploadRejected, DecoderUnavailable, StorageFull.
    """
    with translated_errors(), sandbox_errors():  # the stack may find no room
        try:
            check_name(filename)
            with resources.stages.timed(Stage.DECODE):
                return resources.decoder.decode(source, stack, spare_bytes=RESERVE_BYTES, volume=volume)
        except ScanError as error:
            if error.code == "unsupported" and filename.lower().endswith(_NIFTI_ENDINGS):
                raise UploadRejected("unreadable", _NO_NIFTI) from error
            error = explained(error, filename)
            raise UploadRejected(error.code, error.message) from error


def stated_sequence(decoded: Decoded, filename: str) -> dict[str, str] | None:
    """Which sequence a volume is, by its header and its name; None of pictures."""
    if decoded.format not in VOLUME_FORMATS:
        return None
    stated = agree(decoded.sequence, kind_of_name(filename))
    return None if stated is None else stated.to_json()


def scan_row(upload: Received, decoded: Decoded, origin: str = "upload", volume: int | None = None) -> Scan:
    """The row of a scan that is one file, not stored yet. volume: which of its volumes it is, if it holds several."""
    return Scan(
        id=new_id(),
        filename=_volume_name(upload.filename, volume) if "volume_chosen" in decoded.warnings else upload.filename,
        origin=origin,
        format=decoded.format,
        width=decoded.width,
        height=decoded.height,
        slice_count=decoded.slice_count,
        spacing_mm=list(decoded.spacing_mm) if decoded.spacing_mm else None,
        geometry=None if decoded.grid is None else decoded.grid.to_json(),
        sha256=upload.sha256,
        bytes=upload.bytes,
        sequence=stated_sequence(decoded, upload.filename),
        warnings=[*decoded.warnings, *(["synthetic"] if origin == "phantom" else [])],
        orientations=None if decoded.orientation == 1 else [decoded.orientation] * decoded.slice_count,
    )


def _volume_name(filename: str, volume: int | None) -> str:
    """A file's name with the number of its volume: "fmri, volume 3.nii.gz"."""
    ending = next((end for end in reversed(_NIFTI_ENDINGS) if filename.lower().endswith(end)), "")
    stem = filename[: len(filename) - len(ending)]
    return f"{stem}, volume {volume}{filename[len(stem) :]}"

"""Keeping apart what was made one scan: each file of a stack becomes a scan of its own, and the stack is gone."""

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from PIL import Image

from webapp.domain.errors import NotFound, PortalError, StorageUnavailable, UploadRejected, WrongState
from webapp.domain.resources import Resources
from webapp.domain.scans import admission, lookup, studies, truth
from webapp.domain.scans.models import Scan
from webapp.domain.scans.truth import Truth
from webapp.domain.storage.interface import translated_errors
from webapp.domain.storage.keys import original_key
from webapp.domain.uploads import receiving

MEANWHILE = "It was split, put into a stack or deleted meanwhile, elsewhere; nothing was changed. Load the page again."
GONE = "The original files are missing; restore them, or delete the scan."


def split(resources: Resources, scan_id: str) -> tuple[str, ...]:
    """Make a scan of each file of a stack, with its model, threshold, study and expert's masks; their ids in order.

    All or none: where one of them cannot be stored, the stack stays and the others go. Raises NotFound, WrongState (no
    stack of files), StorageFull, StorageUnavailable, DecoderUnavailable, UploadRejected, InvalidInput.
    """
    with resources.database.read() as session:
        scan = lookup.get(session, scan_id)
        run = lookup.run(session, scan, None)
        study = studies.get(session, scan.study_id).name if scan.study_id else None
    model, threshold = (run.model, run.threshold) if run else (None, None)
    if scan.slice_names is None:
        raise WrongState("This scan is one file; only what was made of several can be kept apart.")
    admitted: list[str] = []
    try:
        with _files(resources, scan) as files:
            for index, path in enumerate(files):
                upload = receiving.adopt(path, scan.slice_names[index])
                accepted = admission.admit(resources, upload, model=model, threshold=threshold, study=study)
                admitted.append(accepted.scan_id)
                _pass_truth_on(resources, scan, index, accepted.scan_id)
    except BaseException:
        for made in admitted:
            lookup.delete(resources, made)
        raise
    take_place(resources, [scan_id], admitted)
    return tuple(admitted)


def take_place(resources: Resources, old: Sequence[str], new: Sequence[str]) -> None:
    """Delete the old scans, all at once; where somebody was quicker with one of them, the new ones go, and they stay.

    Raises WrongState then.
    """
    try:
        lookup.delete_all(resources, old)
    except NotFound as error:
        lookup.delete_all(resources, new)
        raise WrongState(MEANWHILE) from error


@contextmanager
def _files(resources: Resources, scan: Scan) -> Iterator[list[Path]]:
    """The stack's files as they were sent, in temporary ones, gone after the block unless they were stored."""
    with ExitStack() as stack:
        paths = []
        try:
            with (
                resources.storage.open(original_key(scan.id)) as original,
                translated_errors(),
                zipfile.ZipFile(original) as archive,
            ):
                for name in scan.slice_names or ():
                    path = resources.storage.temporary_file()
                    stack.callback(path.unlink, missing_ok=True)
                    paths.append(path)
                    with archive.open(name) as source, path.open("wb") as target:
                        shutil.copyfileobj(source, target)
        except (FileNotFoundError, KeyError, zipfile.BadZipFile) as error:
            raise StorageUnavailable(GONE) from error
        yield paths


def _pass_truth_on(resources: Resources, scan: Scan, index: int, scan_id: str) -> None:
    """Give the expert's mask of one slice to its own scan. Raises PortalError."""
    known = Truth.of(scan)
    if known is None or not known.has_slice(index):
        return
    mask = truth.read_slice(resources, scan, known, index)
    path = resources.storage.temporary_file()
    try:
        with translated_errors():
            Image.fromarray(mask).save(path, "png")
        refused: Sequence[tuple[int, PortalError]] = truth.attach(
            resources, scan_id, [receiving.adopt(path, _mask_name(scan, known, index))]
        )
    finally:
        path.unlink(missing_ok=True)
    if refused:
        raise UploadRejected("mask", refused[0][1].message)


def _mask_name(scan: Scan, known: Truth, index: int) -> str:
    names = known.slice_names
    return (names[index] if names is not None else None) or f"{Path((scan.slice_names or [''])[index]).stem}_mask.png"

"""Keeping apart what was made one scan: each file of a stack becomes a scan of its own, and the stack is gone."""

import hashlib
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from webapp.domain.errors import StorageUnavailable, WrongState
from webapp.domain.resources import Resources
from webapp.domain.scans import admission, lookup, spacing, studies
from webapp.domain.scans.models import Scan, SpacingSource
from webapp.domain.scans.regrouping import GONE, hand_truth_on, take_place
from webapp.domain.storage.interface import translated_errors
from webapp.domain.storage.keys import original_key
from webapp.domain.tracing import asked
from webapp.domain.uploads import idempotency, receiving


@asked("split")
def split(resources: Resources, scan_id: str, key: str | None = None) -> tuple[str, ...]:
    """Make a scan of each file of a stack, with its model, threshold, study, expert's masks and the distances
    of pixels that were entered; their ids in order.

    All or none: where one of them cannot be stored, the stack stays and the others go. Raises NotFound, WrongState (no
    stack of files), StorageFull, StorageUnavailable, DecoderUnavailable, UploadRejected, InvalidInput, KeyReused,
    KeyInUse.
    """
    answer = idempotency.once(
        resources,
        scope=f"POST split of {scan_id}",
        key=key,
        body_sha256=hashlib.sha256().hexdigest(),
        work=lambda: {"scans": _split(resources, scan_id)},
    )
    return tuple(answer["scans"])


def _split(resources: Resources, scan_id: str) -> list[str]:
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
                hand_truth_on(resources, [(scan, index)], accepted.scan_id)
            if scan.spacing_source is SpacingSource.ENTERED and scan.spacing_mm:
                for new_id in admitted:
                    with suppress(WrongState):  # a file that states its own
                        spacing.enter(resources, new_id, (None, *scan.spacing_mm[1:]))
    except BaseException:
        lookup.delete_left(resources, admitted)
        raise
    take_place(resources, [scan_id], admitted)
    return admitted


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

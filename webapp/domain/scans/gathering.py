"""Making one scan of what came as several: files of one slice each become a stack, and the single scans are gone."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from ml.datasets.file_names import natural_key
from webapp.domain.errors import InvalidInput, StorageUnavailable, WrongState
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup, stacking, studies
from webapp.domain.scans.grouping import Grouping, group_files
from webapp.domain.scans.models import Scan
from webapp.domain.scans.regrouping import GONE, hand_truth_on, take_place
from webapp.domain.storage.interface import translated_errors
from webapp.domain.storage.keys import original_key
from webapp.domain.tracing import asked
from webapp.domain.uploads import idempotency, receiving
from webapp.domain.uploads.receiving import Received


@asked("stack")
def gather(resources: Resources, scan_ids: Sequence[str], key: str | None = None) -> str:
    """Make one stack of single slices, in the natural order of their names, with their experts' masks; its id.

    Model, threshold and study are those of all of them, else the defaults and none. All or nothing: where the stack
    cannot be made, the single scans stay. Raises NotFound, InvalidInput (fewer than two), WrongState (not slices of
    one size), UploadRejected, StorageFull, StorageUnavailable, DecoderUnavailable, KeyReused, KeyInUse.
    """
    answer = idempotency.once(
        resources,
        scope="POST stack",
        key=key,
        body_sha256=hashlib.sha256(json.dumps(list(scan_ids)).encode()).hexdigest(),
        work=lambda: {"scan": _gather(resources, scan_ids)},
    )
    return str(answer["scan"])


def _gather(resources: Resources, scan_ids: Sequence[str]) -> str:
    chosen = list(dict.fromkeys(scan_ids))
    if len(chosen) < 2:
        raise InvalidInput("A stack is made of two scans or more; choose the others, too.")
    with resources.database.read() as session:
        scans = sorted((lookup.get(session, scan_id) for scan_id in chosen), key=_order)
        runs = [lookup.run(session, scan, None) for scan in scans]
        names = [studies.get(session, scan.study_id).name if scan.study_id else None for scan in scans]
    _check(scans)
    wanted = {(run.model, run.threshold) if run else (None, None) for run in runs}
    model, threshold = wanted.pop() if len(wanted) == 1 else (None, None)
    study = names[0] if len(set(names)) == 1 else None
    [group] = group_files([scan.filename for scan in scans], Grouping.STACK)
    with _files(resources, scans) as files:
        admitted = stacking.admit_group(resources, files, group.name, model=model, threshold=threshold, study=study)
    made = [item.scan_id for item in admitted.scans]
    try:
        if len(made) != 1 or admitted.refused:
            reason = admitted.refused[0][1].message if admitted.refused else "Their files are of several sizes."
            raise WrongState(f"No stack was made, and the scans stay as they are: {reason}")
        hand_truth_on(resources, [(scan, 0) for scan in scans], made[0])
    except BaseException:
        lookup.delete_left(resources, made)
        raise
    take_place(resources, [scan.id for scan in scans], made)
    return made[0]


def _order(scan: Scan) -> tuple[list[tuple[int, int, str]], str]:
    return natural_key(scan.filename), scan.created_at.isoformat()


def _check(scans: Sequence[Scan]) -> None:
    """Raises WrongState, naming a scan that cannot be a slice of the others' stack."""
    for scan in scans:
        if scan.slice_count != 1 or scan.slice_names is not None or scan.geometry is not None or scan.parts is not None:
            raise WrongState(f"{scan.filename} is no single picture; a stack is made of files of one slice each.")
    first = scans[0]
    other = next((scan for scan in scans if (scan.width, scan.height) != (first.width, first.height)), None)
    if other is not None:
        raise WrongState(
            f"{other.filename} has {other.width} x {other.height} pixels and {first.filename} {first.width} x"
            f" {first.height}; the slices of a stack are of one size."
        )


@contextmanager
def _files(resources: Resources, scans: Sequence[Scan]) -> Iterator[list[Received]]:
    """The scans' files as they were sent, in temporary ones, gone after the block."""
    with ExitStack() as stack:
        found = []
        for scan in scans:
            path = resources.storage.temporary_file()
            stack.callback(path.unlink, missing_ok=True)
            try:
                with (
                    resources.storage.open(original_key(scan.id)) as source,
                    translated_errors(),
                    path.open("wb") as target,
                ):
                    shutil.copyfileobj(source, target)
            except FileNotFoundError as error:
                raise StorageUnavailable(GONE) from error
            found.append(receiving.adopt(path, scan.filename))
        yield found

"""Scans: reading one, waiting for its result, deleting it with every trace."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from sqlalchemy import Text, bindparam, cast, exists, func, select
from sqlalchemy import delete as delete_rows
from sqlalchemy.orm import Session, aliased, joinedload

from ml.datasets.file_names import natural_key
from webapp.domain.database import paging
from webapp.domain.database.clock import database_now
from webapp.domain.database.orm import is_id
from webapp.domain.database.paging import Keyset
from webapp.domain.database.tombstones import Tombstone
from webapp.domain.errors import NotFound, NotReady
from webapp.domain.jobs.models import OPEN_STATUSES, Status
from webapp.domain.jobs.wait import Waiters
from webapp.domain.resources import Resources
from webapp.domain.scans import studies
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.stages import Stage
from webapp.domain.storage.keys import scan_prefix

waiters = Waiters(most=48)
_NEWEST = Keyset("newest", (Scan.created_at, Scan.id), is_descending=True)
# Made once: every page and picture of a scan begins with it, and to make it took nearly half of its time.
_SCAN = (
    select(Scan)
    .where(Scan.id == bindparam("scan_id"))
    .options(joinedload(Scan.displayed), joinedload(Scan.study), joinedload(Scan.same_as))
)


def get(session: Session, scan_id: str) -> Scan:
    """A scan with its shown run, its study and what it is the same as. Raises NotFound."""
    scan = session.scalar(_SCAN, {"scan_id": scan_id})
    if scan is None:
        raise NotFound("There is no such scan.")
    return scan


def run(session: Session, scan: Scan, segmentation_id: str | None) -> Segmentation | None:
    """The run that is asked for, by default the shown one. Raises NotFound for a run of another scan."""
    wanted = segmentation_id or scan.displayed_id
    row = session.get(Segmentation, wanted) if is_id(wanted) else None
    if segmentation_id and (row is None or row.scan_id != scan.id):
        raise NotFound("There is no such segmentation of this scan.")
    return row


def finished_run(session: Session, scan: Scan, segmentation_id: str | None) -> Segmentation:
    """The succeeded run that is asked for, by default the shown one. Raises NotFound, NotReady."""
    row = run(session, scan, segmentation_id)
    if row is None or row.status is not Status.SUCCEEDED:
        state = row.status.value if row else "missing"
        if row is not None and row.status in OPEN_STATUSES:
            raise NotReady(f"There is no result yet: the segmentation is {state}.")
        raise NotReady(f"There is no result: the segmentation is {state}; retry it, or start another one.")
    return row


def filenames(session: Session, scan_ids: Sequence[str]) -> list[str]:
    """The names of those of these scans that are still there, and of the scans joined of them, 2 before 10."""
    ids = [*scan_ids, *joined_of(session, scan_ids)]
    return sorted(session.scalars(select(Scan.filename).where(Scan.id.in_(ids))), key=natural_key)


def segmentation(session: Session, segmentation_id: str) -> Segmentation:
    """One run by its id. Raises NotFound."""
    row = session.get(Segmentation, segmentation_id)
    if row is None:
        raise NotFound("There is no such segmentation.")
    return row


def neighbors(session: Session, scan: Scan) -> tuple[str | None, str | None]:
    """The ids of the next newer and the next older scan, None at the ends of the history."""
    return paging.neighbors(session, select(Scan.id), _NEWEST, scan)


def newest_of(session: Session, sha256: str) -> str | None:
    """The id of the newest scan whose original has these bytes."""
    newest = (Scan.created_at.desc(), Scan.id.desc())
    return session.scalar(select(Scan.id).where(Scan.sha256 == sha256).order_by(*newest).limit(1))


def wait(resources: Resources, scan_id: str, seconds: float, is_abandoned: Callable[[], bool]) -> None:
    """Come back when no run of the scan is open any more, at the latest after `seconds`, or when it `is_abandoned`.

    Raises NotFound, TooManyWaiting.
    """
    ended_s = 0.0

    def is_open() -> bool:
        nonlocal ended_s
        open_runs, ended_s = _look(resources, scan_id)
        return open_runs

    if waiters.wait(is_open, seconds, resources.endings, scan_id, is_abandoned):
        resources.stages.note(Stage.WAKE, ended_s)


def delete(resources: Resources, scan_id: str) -> list[str]:
    """Delete a scan with its runs, maps, pictures and original, and the scans that were joined of it, which have copies
    of its pixels; tombstones without content stay. The ids of all that went. Raises NotFound.

    A run in progress finds its row gone, and its result is discarded.
    """
    return delete_all(resources, [scan_id])


def delete_all(resources: Resources, scan_ids: Sequence[str]) -> list[str]:
    """Delete several scans as `delete` does, all or, where one of them is not there any more, none: NotFound."""
    gone: list[str] = []

    def work(session: Session) -> None:
        gone[:] = _delete_rows(session, scan_ids)  # also where it is done again, after a full disk

    resources.database.delete(work)
    # Rows first: where the files cannot be removed now, the sweeper finds them without a row and removes them.
    try:
        for deleted in gone:
            resources.storage.delete(scan_prefix(deleted))
    finally:
        for deleted in gone:
            resources.images.delete(deleted)
        resources.database.forget_deleted()
    return gone


def delete_left(resources: Resources, scan_ids: Sequence[str]) -> None:
    """Delete those of several scans that are still there: what another deleted meanwhile keeps no other."""
    for scan_id in scan_ids:
        with suppress(NotFound):
            delete(resources, scan_id)


def joined_of(session: Session, scan_ids: Sequence[str]) -> list[str]:
    """The ids of the scans that have one of these for a part."""
    part = aliased(Scan)
    # An id stands in the text of a list of parts as it is: it is of hexadecimal digits.
    is_part = exists().where(part.id.in_(scan_ids), cast(Scan.parts, Text).contains(part.id))
    return list(session.scalars(select(Scan.id).where(Scan.parts.is_not(None), is_part)))


def _delete_rows(session: Session, scan_ids: Sequence[str]) -> list[str]:
    """The ids of what was deleted."""
    # Locked before those are looked for that were joined of them: whoever joins them now (`joining`) waits, and then
    # finds them gone, or was quicker, and its scan is found here.
    session.execute(select(Scan.id).where(Scan.id.in_(scan_ids)).order_by(Scan.id).with_for_update())
    chosen = {*scan_ids, *joined_of(session, scan_ids)}
    deleted = session.execute(delete_rows(Scan).where(Scan.id.in_(chosen)).returning(Scan.id, Scan.study_id)).all()
    if not {*scan_ids} <= {row.id for row in deleted}:
        raise NotFound("There is no such scan.")
    for study_id in sorted({row.study_id for row in deleted if row.study_id is not None}):
        studies.prune(session, study_id)
    session.add_all(Tombstone(id=row.id, kind="scan") for row in deleted)
    return [row.id for row in deleted]


_ran = aliased(Segmentation)
_last_end = select(func.max(_ran.finished_at)).where(_ran.scan_id == Scan.id).scalar_subquery()
_OPEN_RUN = (
    select(Segmentation.status, _last_end.label("finished_at"), database_now().label("now"))
    .select_from(Scan)
    .outerjoin(Segmentation, (Segmentation.scan_id == Scan.id) & Segmentation.status.in_(OPEN_STATUSES))
    .where(Scan.id == bindparam("scan_id"))
    .limit(1)
)


def _look(resources: Resources, scan_id: str) -> tuple[bool, float]:
    """Whether a run of a scan is open, and how long ago, in seconds, the last one ended. Raises NotFound."""
    with resources.database.read() as session:
        row = session.execute(_OPEN_RUN, {"scan_id": scan_id}).first()
    if row is None:
        raise NotFound("There is no such scan.")
    ended_s = 0.0 if row.finished_at is None else max(0.0, (row.now - row.finished_at).total_seconds())
    return row.status is not None, ended_s

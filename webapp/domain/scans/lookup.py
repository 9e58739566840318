"""Scans: reading one, waiting for its result, deleting it with every trace."""

import threading
import time
from collections.abc import Sequence

from sqlalchemy import delete as delete_rows
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session, joinedload

from webapp.domain.database.orm import is_id
from webapp.domain.database.tombstones import Tombstone
from webapp.domain.errors import NotFound
from webapp.domain.jobs.models import OPEN_STATUSES
from webapp.domain.resources import Resources
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.storage.keys import scan_prefix

LONGEST_WAIT_S = 30.0
# A result takes some 50 ms on a CPU: looked for often at first, ever less often later. One look is one indexed row.
FIRST_POLL_S = 0.005
LONGEST_POLL_S = 0.25
# Threads of the web server that may stand waiting at once; a wait beyond that is answered at once with the state.
MOST_WAITERS = 48

_waiters = threading.BoundedSemaphore(MOST_WAITERS)


def get(session: Session, scan_id: str) -> Scan:
    """A scan with its shown run loaded. Raises NotFound."""
    scan = session.scalar(select(Scan).where(Scan.id == scan_id).options(joinedload(Scan.displayed)))
    if scan is None:
        raise NotFound("There is no such scan.")
    return scan


def run(session: Session, scan: Scan, segmentation_id: str | None) -> Segmentation | None:
    """The run that is asked for, by default the shown one. Raises NotFound for a run of another scan."""
    if segmentation_id is None:
        return scan.displayed
    row = session.get(Segmentation, segmentation_id) if is_id(segmentation_id) else None
    if row is None or row.scan_id != scan.id:
        raise NotFound("There is no such segmentation of this scan.")
    return row


def filenames(session: Session, scan_ids: Sequence[str]) -> list[str]:
    """The names of those of these scans that are still there, sorted."""
    return list(session.scalars(select(Scan.filename).where(Scan.id.in_(scan_ids)).order_by(Scan.filename)))


def segmentation(session: Session, segmentation_id: str) -> Segmentation:
    """One run by its id. Raises NotFound."""
    row = session.get(Segmentation, segmentation_id)
    if row is None:
        raise NotFound("There is no such segmentation.")
    return row


def neighbors(session: Session, scan: Scan) -> tuple[str | None, str | None]:
    """The ids of the next newer and the next older scan, None at the ends of the history."""
    here, there = (Scan.created_at, Scan.id), (scan.created_at, scan.id)
    newer = session.scalar(select(Scan.id).where(tuple_(*here) > there).order_by(*here).limit(1))
    older = session.scalar(
        select(Scan.id).where(tuple_(*here) < there).order_by(*(column.desc() for column in here)).limit(1)
    )
    return newer, older


def wait(resources: Resources, scan_id: str, seconds: float) -> None:
    """Come back when no run of the scan is open any more, at the latest after `seconds`. Raises NotFound.

    The row is asked, and not the broker: a wait ends rightly whatever happened to a message.
    """
    if not _waiters.acquire(blocking=False):
        return
    try:
        deadline = time.monotonic() + min(seconds, LONGEST_WAIT_S)
        pause = FIRST_POLL_S
        while _is_open(resources, scan_id) and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            pause = min(pause * 1.2, LONGEST_POLL_S)
    finally:
        _waiters.release()


def delete(resources: Resources, scan_id: str) -> None:
    """Delete a scan with its runs, maps, pictures and original; a tombstone without content stays. Raises NotFound.

    A run in progress finds its row gone, and its result is discarded.
    """
    with resources.database.write() as session:
        if session.scalar(delete_rows(Scan).where(Scan.id == scan_id).returning(Scan.id)) is None:
            raise NotFound("There is no such scan.")
        session.add(Tombstone(id=scan_id, kind="scan"))
    # Rows first: where the files cannot be removed now, the sweeper finds them without a row and removes them.
    try:
        resources.storage.delete(scan_prefix(scan_id))
    finally:
        resources.pictures.forget(scan_id)
        resources.database.forget_deleted()


def _is_open(resources: Resources, scan_id: str) -> bool:
    with resources.database.read() as session:
        row = session.execute(
            select(Scan.id, Segmentation.status)
            .outerjoin(Segmentation, (Segmentation.scan_id == Scan.id) & Segmentation.status.in_(OPEN_STATUSES))
            .where(Scan.id == scan_id)
            .limit(1)
        ).first()
    if row is None:
        raise NotFound("There is no such scan.")
    return row.status is not None

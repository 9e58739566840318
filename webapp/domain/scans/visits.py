"""What visitors of a public demonstration may have, and its end: their scans go by time."""

import logging
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from webapp.domain.accounts.visitors import PREFIX
from webapp.domain.database.clock import database_now
from webapp.domain.database.ownership import OF_EVERYONE
from webapp.domain.errors import NotFound, UploadRejected
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.settings import Settings

logger = logging.getLogger(__name__)

# Other models and thresholds: each run may store a map as large as its scan.
RUNS_OF_A_SCAN = 5


def check_room(session: Session, settings: Settings) -> None:
    """Raises UploadRejected (`too_many_scans`, `demo_full`) where a visitor, or all of them, have their number."""
    if settings.auth != "demo":
        return
    most, minutes = settings.demo_scans, settings.demo_minutes
    if _count(session, Scan) >= most:
        raise UploadRejected(
            "too_many_scans",
            f"You have {most} scans here, as many as this demonstration keeps for one visitor; delete one, or wait:"
            f" each goes {minutes} minutes after its upload.",
        )
    everybodys = select(func.count()).select_from(Scan).where(Scan.owner_id.startswith(PREFIX))
    if (session.scalar(everybodys.execution_options(**OF_EVERYONE)) or 0) >= settings.demo_total_scans:
        raise UploadRejected(
            "demo_full", "This demonstration is full: other visitors' scans go by themselves; try again in a while."
        )
    check_runs(session, settings)


def check_runs(session: Session, settings: Settings) -> None:
    """Raises UploadRejected (`too_many_scans`) where a visitor has as many runs as are kept for one."""
    if settings.auth == "demo" and _count(session, Segmentation) >= settings.demo_scans * RUNS_OF_A_SCAN:
        raise UploadRejected(
            "too_many_scans",
            "You have as many runs here as this demonstration keeps for one visitor; delete a scan, or wait.",
        )


def expires_at(scan: Scan, settings: Settings) -> datetime | None:
    """When a visitor's scan goes by itself; None of one that is kept."""
    is_visitors = settings.auth == "demo" and scan.owner_id.startswith(PREFIX)
    return scan.created_at + timedelta(minutes=settings.demo_minutes) if is_visitors else None


def delete_old(resources: Resources) -> int:
    """Delete visitors' scans that are past their time, with every file; their number. The sweeper's work."""
    kept_s = resources.settings.demo_minutes * 60.0
    is_old = Scan.owner_id.startswith(PREFIX) & (Scan.created_at < database_now(-kept_s))
    with resources.database.read() as session:
        ids = list(session.scalars(select(Scan.id).where(is_old)))
    for scan_id in ids:
        try:
            lookup.delete(resources, scan_id)
        except NotFound:
            continue  # its visitor was quicker
    if ids:
        logger.info("deleted %d scans of visitors", len(ids))
    return len(ids)


def _count(session: Session, kind: type[Scan] | type[Segmentation]) -> int:
    """How many of them who asks has; the session is scoped."""
    return session.scalar(select(func.count()).select_from(kind)) or 0

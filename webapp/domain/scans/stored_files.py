"""What storage keeps of a scan: the keys that its rows name."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.storage.keys import original_key, stack_key


def named(session: Session, scan_id: str) -> frozenset[str]:
    """Its original, its stack, and the maps of its finished runs; nothing where there is no such scan."""
    if session.scalar(select(Scan.id).where(Scan.id == scan_id)) is None:
        return frozenset()
    maps = session.scalars(
        select(Segmentation.map_key).where(Segmentation.scan_id == scan_id, Segmentation.map_key.is_not(None))
    )
    return frozenset((original_key(scan_id), stack_key(scan_id), *(key for key in maps if key)))

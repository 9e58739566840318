"""What storage keeps of a scan: the keys that its rows name."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.storage.keys import original_key, own_truth_key, stack_key, truth_key


def named(session: Session, scan_id: str) -> frozenset[str]:
    """Its original, its stack, its expert's masks, and the maps of its finished runs; nothing where there is no such
    scan."""
    scan = session.execute(select(Scan.id, Scan.truth).where(Scan.id == scan_id)).first()
    if scan is None:
        return frozenset()
    truths = [key(scan_id, scan.truth["id"]) for key in (truth_key, own_truth_key)] if scan.truth else []
    maps = session.scalars(
        select(Segmentation.map_key).where(Segmentation.scan_id == scan_id, Segmentation.map_key.is_not(None))
    )
    return frozenset((original_key(scan_id), stack_key(scan_id), *truths, *(key for key in maps if key)))

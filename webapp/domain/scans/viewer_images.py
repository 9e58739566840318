"""What viewers call the images that they have sent: by it a label finds its scan. Names are kept as digests alone."""

import hashlib
import hmac

import numpy as np
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from webapp.domain.database.clock import database_now
from webapp.domain.database.ownership import owner_of_new
from webapp.domain.errors import Conflict, NotFound
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup
from webapp.domain.scans.models import Scan, ViewerImage

AMBIGUOUS = (
    "{count} images were sent under this name, and they lie on the same voxels, so which one the label is for is not"
    " clear: put it on the scan's page as the expert's mask, or give the volume a name of its own in a new scene, and"
    " submit it from there."
)
# Viewers write affines in single precision.
_TOLERANCE_MM = 1e-3


def of_content(resources: Resources, sha256: str) -> str | None:
    """The newest scan of a file with these very bytes."""
    with resources.database.read() as session:
        return lookup.newest_of(session, sha256)


def name(resources: Resources, scan_id: str, image: str) -> None:
    """Call a scan so from now on, beside what else is called so. Raises NotFound."""
    digest = _digest(resources, image)
    with resources.database.write() as session:
        # Locked, so that nobody deletes it before its name is written.
        wanted = select(Scan.id).where(Scan.id == scan_id).with_for_update(read=True, key_share=True)
        if session.scalar(wanted) is None:
            raise NotFound("There is no such scan.")
        insert = sqlite.insert if resources.database.is_sqlite else postgresql.insert
        made = insert(ViewerImage).values(scan_id=scan_id, name_digest=digest, named_at=database_now())
        # Anew, so that the last one that was sent under the name is known, also where another request just sends it.
        keys = ["scan_id", "name_digest"]
        session.execute(made.on_conflict_do_update(index_elements=keys, set_={"named_at": database_now()}))


def scan_of(resources: Resources, image: str) -> str | None:
    """The id of the scan that was sent last under a name; None where none was.

    Raises Conflict where another one of the name has the same voxels: nothing in a label would tell the two apart.
    """
    with resources.database.read() as session:
        named = _named(session, _digest(resources, image))
    if not named:
        return None
    alike = [scan for scan in named if _has_grid_of(scan, named[0])]
    if len(alike) > 1:
        raise Conflict(AMBIGUOUS.format(count=len(alike)))
    return named[0].id


def _named(session: Session, digest: str) -> list[Scan]:
    """All scans of a name, the last named first."""
    rows = select(Scan).join(ViewerImage, ViewerImage.scan_id == Scan.id).where(ViewerImage.name_digest == digest)
    return list(session.scalars(rows.order_by(ViewerImage.named_at.desc(), Scan.created_at.desc(), Scan.id)))


def _has_grid_of(scan: Scan, other: Scan) -> bool:
    if (scan.slice_count, scan.height, scan.width) != (other.slice_count, other.height, other.width):
        return False
    if scan.geometry is None or other.geometry is None:
        return scan.geometry is other.geometry
    return bool(np.allclose(scan.geometry["affine"], other.geometry["affine"], rtol=0, atol=_TOLERANCE_MM))


def _digest(resources: Resources, image: str) -> str:
    said = f"image {owner_of_new()}\n{image}"
    return hmac.new(resources.settings.secret_key.encode(), said.encode(), hashlib.sha256).hexdigest()

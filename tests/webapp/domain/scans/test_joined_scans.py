"""A scan that is joined of parts, of which one is deleted at the same moment: no copy of its pixels stays."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import select

from tests.support.resources import add_scan
from webapp.domain.errors import NotFound
from webapp.domain.resources import Resources
from webapp.domain.scans import joining, lookup
from webapp.domain.scans.models import Scan

# How long the join is waited for where it waits for the deletion itself.
PATIENCE_S = 1.0


@pytest.mark.parametrize("goes_on", ["after", "before"])
def test_a_scan_that_is_joined_while_a_part_is_deleted_goes_too(
    resources: Resources, monkeypatch: pytest.MonkeyPatch, goes_on: str
) -> None:
    """The deletion stands still after, or before, it looks for scans that were joined of the part."""
    flair, t1 = (add_scan(resources, name)[0] for name in ("flair", "t1"))
    looked, may_go_on, joined_of = threading.Event(), threading.Event(), lookup.joined_of

    def pausing(*arguments):
        found = joined_of(*arguments) if goes_on == "after" else []
        looked.set()
        assert may_go_on.wait(60)
        return found if goes_on == "after" else joined_of(*arguments)

    def join() -> str:
        scan_id, _ = add_scan(resources, "joined")
        with resources.database.write() as session:
            parts = [{"sequence": kind, "id": part, "filename": ""} for kind, part in (("flair", flair), ("t1", t1))]
            session.get_one(Scan, scan_id).parts = parts
        joining.check_parts_stand(resources, scan_id, [flair, t1])
        return scan_id

    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setattr(lookup, "joined_of", pausing)
        deleting = pool.submit(lookup.delete, resources, t1)
        assert looked.wait(60)
        patch.setattr(lookup, "joined_of", joined_of)
        joined = pool.submit(join)
        threading.Event().wait(PATIENCE_S)
        may_go_on.set()
        deleting.result(60)
        with suppress(NotFound):
            joined.result(60)
    with resources.database.read() as session:
        assert session.scalars(select(Scan.id)).all() == [flair]

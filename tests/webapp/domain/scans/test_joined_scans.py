"""A scan that is joined of parts, which are joined again or of which one is deleted at the same moment."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import select

from tests.support.resources import MODEL, add_rows, add_scan
from webapp.domain.errors import NotFound
from webapp.domain.resources import Resources
from webapp.domain.scans import joining, lookup
from webapp.domain.scans.models import Scan

# How long the join is waited for where it waits for the deletion itself.
PATIENCE_S = 1.0


def join(resources: Resources, flair: str, t1: str, before_commit: Callable[[], object] = lambda: None) -> str:
    """The row of a joined scan, as it is written."""
    ids = {"flair": flair, "t1": t1}
    with resources.database.write() as session:
        joining.check_parts(session, ids)
        scan_id, _ = add_rows(session, "joined", MODEL)
        parts = [{"sequence": kind, "id": part, "filename": ""} for kind, part in ids.items()]
        session.get_one(Scan, scan_id).parts = parts
        session.flush()
        before_commit()
        return scan_id


def test_parts_that_are_joined_twice_at_once_are_one_scan(resources: Resources) -> None:
    """The second asks while the first is written, and not committed yet."""
    flair, t1 = (add_scan(resources, name)[0] for name in ("flair", "t1"))
    written, may_go_on = threading.Event(), threading.Event()

    def pause() -> None:
        written.set()
        assert may_go_on.wait(60)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(join, resources, flair, t1, pause)
        assert written.wait(60)
        second = pool.submit(join, resources, flair, t1)
        threading.Event().wait(PATIENCE_S)
        may_go_on.set()
        with pytest.raises(joining.AlreadyJoined) as found:
            second.result(60)
        assert found.value.scan_id == first.result(60)


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

    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setattr(lookup, "joined_of", pausing)
        deleting = pool.submit(lookup.delete, resources, t1)
        assert looked.wait(60)
        patch.setattr(lookup, "joined_of", joined_of)
        joined = pool.submit(join, resources, flair, t1)
        threading.Event().wait(PATIENCE_S)
        may_go_on.set()
        deleting.result(60)
        with suppress(NotFound):
            joined.result(60)
    with resources.database.read() as session:
        assert session.scalars(select(Scan.id)).all() == [flair]

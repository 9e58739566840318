"""Studies under several writers at once: none is left without a scan, none is lost with one."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from tests.support.resources import add_scan
from webapp.domain.resources import Resources
from webapp.domain.scans import lookup, studies
from webapp.domain.scans.models import Scan, Study


def at_once(*works: Callable[[], object]) -> None:
    """Do each in a thread of its own; raises what one raises."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        start.wait()
        work()

    with ThreadPoolExecutor(len(works)) as pool:
        list(pool.map(run, works))


def scan_of(resources: Resources, study: str) -> str:
    scan_id, _ = add_scan(resources)
    studies.move(resources, scan_id, study)
    return scan_id


def placed(resources: Resources) -> tuple[set[str], dict[str, str | None]]:
    """The names of all studies, and of each scan's."""
    with resources.database.read() as session:
        names = set(session.scalars(select(Study.name)))
        of_scans = session.execute(select(Scan.id, Study.name).outerjoin(Study, Study.id == Scan.study_id))
        return names, {row.id: row.name for row in of_scans}


@pytest.mark.parametrize("turn", range(4))
def test_the_last_two_scans_that_go_at_once_leave_no_study(resources: Resources, turn: int) -> None:
    first, second = scan_of(resources, "S"), scan_of(resources, "S")
    moves: list[Callable[[], object]] = [
        lambda: lookup.delete(resources, first),
        lambda: studies.move(resources, second, None),
    ]
    at_once(*moves)
    assert placed(resources) == (set(), {second: None})


@pytest.mark.parametrize("turn", range(4))
def test_moves_in_opposite_directions_and_a_scan_that_comes_meanwhile_keep_their_studies(
    resources: Resources, turn: int
) -> None:
    first, second, third = scan_of(resources, "A"), scan_of(resources, "B"), add_scan(resources)[0]
    at_once(
        lambda: studies.move(resources, first, "B"),
        lambda: studies.move(resources, second, "A"),
        lambda: studies.move(resources, third, "a"),
        lambda: studies.move(resources, add_scan(resources)[0], "New"),
        lambda: studies.move(resources, add_scan(resources)[0], "new"),
    )
    names, of_scans = placed(resources)
    assert {name.casefold() for name in names} == {"a", "b", "new"}
    assert sorted(str(name).casefold() for name in of_scans.values()) == ["a", "a", "b", "new", "new"]

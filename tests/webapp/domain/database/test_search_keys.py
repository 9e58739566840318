"""Names as they are searched and sorted."""

import pytest

from tests.support.resources import add_scan
from webapp.domain.database.search_keys import search_key, sort_key
from webapp.domain.resources import Resources
from webapp.domain.scans import history
from webapp.domain.scans.history import HistoryFilter

DECOMPOSED = "Mu\u0308ller.png"  # as macOS stores it


def found(resources: Resources, **wanted: str) -> list[str]:
    with resources.database.read() as session:
        return [scan.filename for scan in history.page(session, HistoryFilter(**wanted)).scans]


@pytest.mark.parametrize("words", ["Müller", "MÜLLER", "mu\u0308LL", "üller.P"])
def test_a_search_knows_no_case_and_no_form_of_an_umlaut(resources: Resources, words: str) -> None:
    add_scan(resources, DECOMPOSED)
    add_scan(resources, "Muller.png")
    assert found(resources, q=words) == [DECOMPOSED]


def test_names_are_sorted_as_people_count(resources: Resources) -> None:
    for number in (10, 2, 1, 11):
        add_scan(resources, f"Slice_{number}.tif")
    add_scan(resources, "slice_3.tif")
    assert found(resources, sort="name") == [f"{'s' if n == 3 else 'S'}lice_{n}.tif" for n in (1, 2, 3, 10, 11)]


def test_the_longest_names_page_through_the_api_cursor(resources: Resources) -> None:
    for ending in ("a", "b", "c"):
        add_scan(resources, "漢1" * 126 + ending)
    seen, cursor = [], ""
    while cursor is not None:
        assert len(cursor) <= 3000
        with resources.database.read() as session:
            page = history.page(session, HistoryFilter(sort="name", limit=1, cursor=cursor))
        seen += [scan.id for scan in page.scans]
        cursor = page.next_cursor
    assert len(set(seen)) == len(seen) == 3


def test_keys_stay_short_enough_for_an_index() -> None:
    assert len(sort_key("1a" * 127).encode()) <= 2704
    assert len(search_key("ΐ" * 255).encode()) <= 2704
    assert search_key("STRASSE ß") == "strasse ss"

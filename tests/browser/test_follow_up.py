"""A patient's follow-up as it is seen, on a wide screen and on a phone."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_measurements import stack_without_spacing
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def study(portal: RunningPortal) -> str:
    """The later of two studies of one patient, with volumes; its id."""
    found = ""
    for name, day in (("follow-early", "2023-02-01"), ("follow-late", "2024-03-01")):
        scan: dict[str, Any] = portal.wait(portal.upload(stack_without_spacing(), f"{name}.tif")["id"])
        spaced = portal.json("PATCH", f"/api/v1/scans/{scan['id']}", {"spacing_mm": [5.0, 1.0, 1.0]})
        moved = portal.json("PATCH", f"/api/v1/scans/{scan['id']}", {"study": name})
        found = moved[1]["study"]["id"]
        dated = portal.json("PATCH", f"/api/v1/studies/{found}", {"date": day, "patient": "P-followed"})
        assert (spaced[0], moved[0], dated[0]) == (200, 200, 200), (spaced, moved, dated)
    return found


@pytest.mark.parametrize("width", [1440, 390])
def test_a_doubt_beside_a_picture_is_a_line_and_nothing_is_cut(page: Page, study: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"/studies/{study}/follow-up")
    expect(page.locator(".course-table tbody tr")).to_have_count(2)
    figure = page.locator(".pair figure").last
    figure.evaluate(
        """(figure) => {
          const icon = document.querySelector(".icon-svg").cloneNode(true);
          icon.setAttribute("width", 18);
          icon.setAttribute("height", 18);
          const line = document.createElement("p");
          line.className = "small pair-doubt";
          line.append(icon, Object.assign(document.createElement("span"), { textContent: "In doubt: made up." }));
          figure.append(line);
        }"""
    )
    for side in ("width", "height"):
        assert figure.locator(".pair-doubt svg").bounding_box()[side] <= 20  # type: ignore[index]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    table = page.locator(".course-table").locator("..")
    assert table.evaluate("(table) => table.scrollWidth <= table.clientWidth")
    picture = figure.locator("> svg").bounding_box()
    assert picture is not None
    assert picture["width"] > 120

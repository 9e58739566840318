"""What waits in line, on its own page and in the history: nothing typed is lost, and no state stays that has passed."""

import pytest
from playwright.sync_api import Page, expect

from ml.synthetic import phantoms
from tests.browser.actions import eventually
from tests.browser.conftest import Console
from tests.browser.portals import worker_stopped
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser


def test_a_run_in_line_that_was_asked_for_by_its_address_is_waited_for_and_nothing_typed_is_lost(
    page: Page, portal: RunningPortal
) -> None:
    scan_id = portal.wait(portal.upload(phantoms.render("lesion"), "in-line.png")["id"])["id"]
    with worker_stopped(portal):
        run = portal.json("POST", f"/api/v1/scans/{scan_id}/segmentations", {"threshold": 0.31})[1]
        asked: list[str] = []
        page.on("response", lambda response: asked.append(response.url) if "wait=" in response.url else None)
        page.goto(f"/scans/{scan_id}?segmentation={run['id']}")
        expect(page.locator("#pending-title")).to_contain_text("in line")
        typed = page.locator('.again [name="threshold"]')
        typed.fill("0.77")
        eventually(lambda: page.wait_for_timeout(20) or len(asked) >= 2, 20)
        expect(page.locator("#pending-title")).to_contain_text("in line")
        expect(typed).to_have_value("0.77")
    page.wait_for_selector("#viewer[data-drawn]")
    assert f"segmentation={run['id']}" in page.url
    expect(page.locator('[data-fact="threshold"]')).to_have_text("0.31")


def test_a_row_that_its_filter_does_not_find_any_more_shows_its_outcome(page: Page, portal: RunningPortal) -> None:
    with worker_stopped(portal):
        portal.upload(phantoms.render("lesion"), "filtered.png")
        page.goto("/scans?q=filtered&status=queued")
        row = page.locator("#history tr[data-scan]")
        expect(row).to_contain_text("Queued")
    expect(row).to_contain_text("Tumor detected", timeout=20_000)
    expect(row.locator(".cell-coverage")).to_contain_text("%")


def test_a_waiting_row_goes_with_its_scan_and_the_others_are_selected_as_before(
    page: Page, console: Console, portal: RunningPortal
) -> None:
    console.expected = ["status of 404"]
    with worker_stopped(portal):
        ids = [portal.upload(phantoms.render("clear"), f"leaving-{n}.png")["id"] for n in range(3)]
        page.goto("/scans?q=leaving-&sort=name")
        expect(page.locator("#history tr[data-scan]")).to_have_count(3)
        portal.call("DELETE", f"/api/v1/scans/{ids[0]}")
        expect(page.locator("#history tr[data-scan]")).to_have_count(2)
        page.get_by_label("Select leaving-2.png").check()
        page.get_by_label("Select leaving-1.png").click(modifiers=["Shift"])
        expect(page.locator("#bulk-count")).to_have_text("2 selected")
        page.locator("#select-all").uncheck()
        expect(page.locator("#bulk-bar")).to_be_hidden()

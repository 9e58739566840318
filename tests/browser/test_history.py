"""The history: found again, sorted, selected, run again, deleted."""

import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from ml.synthetic import phantoms
from tests.browser.actions import eventually
from tests.browser.portals import add_known_result, worker_stopped
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def scan_ids(portal: RunningPortal) -> dict[str, str]:
    """Three scans by their names; two with a lesion."""
    files = {"ledger-b.png": "lesion", "ledger-a.png": "clear", "ledger-c.tif": "stack"}
    return {name: portal.wait(portal.upload(phantoms.render(kind), name)["id"])["id"] for name, kind in files.items()}


def names(page: Page) -> list[str]:
    return [link.get_attribute("title") or "" for link in page.locator("#history .cell-name a").all()]


def test_the_history_works_where_storage_is_forbidden(page: Page, scan_ids: dict[str, str]) -> None:
    page.add_init_script(
        """for (const place of ["localStorage", "sessionStorage"]) {
          Object.defineProperty(window, place, { get() { throw new DOMException("forbidden", "SecurityError"); } });
        }"""
    )
    page.goto("/scans?q=ledger")

    page.locator('#history input[name="scan"]').first.check()
    expect(page.locator("#bulk-count")).to_have_text("1 selected")
    page.get_by_label("File or study").fill("ledger-a")
    page.wait_for_url(re.compile(r"q=ledger-a"))
    assert names(page) == ["ledger-a.png"]


def test_scans_are_found_by_name_filtered_and_sorted(page: Page, scan_ids: dict[str, str]) -> None:
    page.goto("/scans")

    page.get_by_label("File or study").press_sequentially("LEDGER-")
    page.wait_for_url(re.compile(r"q=LEDGER-"))
    assert names(page) == ["ledger-c.tif", "ledger-a.png", "ledger-b.png"]
    expect(page.get_by_label("File or study")).to_be_focused()

    page.get_by_label("Sort").select_option("name")
    page.wait_for_url(re.compile(r"sort=name"))
    assert names(page) == ["ledger-a.png", "ledger-b.png", "ledger-c.tif"]

    page.get_by_label("Verdict").select_option("no_tumor")
    page.wait_for_url(re.compile(r"verdict=no_tumor"))
    assert names(page) == ["ledger-a.png"]

    page.get_by_label("Status").select_option("failed")
    page.wait_for_url(re.compile(r"status=failed"))
    expect(page.get_by_role("heading", name="No scan matches")).to_be_visible()
    page.get_by_role("link", name="Clear filters").click()
    page.wait_for_url(re.compile(r"/scans$"))
    assert len(names(page)) >= 3


def test_selected_scans_run_again(page: Page, portal: RunningPortal, scan_ids: dict[str, str]) -> None:
    page.goto("/scans?q=ledger-&sort=name")
    expect(page.locator("#bulk-bar")).to_be_hidden()
    for name in ("ledger-a.png", "ledger-b.png"):
        page.get_by_label(f"Select {name}").check()
    expect(page.locator("#bulk-count")).to_have_text("2 selected")

    page.get_by_role("button", name="Run again").click()

    expect(page.locator("#notices")).to_contain_text("2 scans are queued again.")

    def runs(name: str) -> list[str]:
        found = portal.json("GET", f"/api/v1/scans/{scan_ids[name]}/segmentations")[1]["segmentations"]
        return [run["status"] for run in found]

    for name, count in (("ledger-a.png", 2), ("ledger-b.png", 2), ("ledger-c.tif", 1)):
        eventually(lambda name=name, count=count: runs(name) == ["succeeded"] * count)


def test_selected_scans_are_deleted_by_keys_once_asked(page: Page, portal: RunningPortal) -> None:
    ids = [portal.wait(portal.upload(phantoms.render("clear"), f"gone-{n}.png")["id"])["id"] for n in range(3)]
    page.goto("/scans?q=gone-&sort=name")

    page.keyboard.press("j")
    expect(page.get_by_role("link", name="gone-0.png")).to_be_focused()
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Shift+X")  # all from the last selected one to here
    expect(page.locator("#bulk-count")).to_have_text("3 selected")
    page.keyboard.press("Delete")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Delete 3 scans?")
    dialog.get_by_role("button", name="Delete for good").click()

    expect(page.locator("#notices")).to_contain_text("3 scans deleted.")
    assert [portal.json("GET", f"/api/v1/scans/{scan_id}")[0] for scan_id in ids] == [404] * 3


def test_a_selection_comes_back_to_its_list_and_says_what_goes(page: Page, portal: RunningPortal) -> None:
    for n in range(2):
        portal.wait(portal.upload(phantoms.render("clear"), f"some-{n}.png")["id"])
    page.goto("/scans?q=some-&sort=name")
    page.get_by_label("Select some-1.png").check()
    page.locator("#bulk-delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("some-1.png")
    expect(dialog).to_contain_text("file or study “some-”")

    dialog.get_by_role("button", name="Delete for good").click()

    expect(page.locator("#notices")).to_contain_text("1 scan deleted.")
    assert "q=some-" in page.url
    assert names(page) == ["some-0.png"]


def test_after_back_the_filters_say_what_the_address_says(page: Page, lesion_id: str) -> None:
    page.goto("/scans?q=kept-")
    page.get_by_label("Verdict").select_option("no_tumor")
    page.wait_for_url(re.compile(r"verdict=no_tumor"))
    page.go_back()
    page.wait_for_url(re.compile(r"q=kept-$"))
    expect(page.get_by_label("Verdict")).to_have_value("")
    expect(page.locator("#filters")).not_to_have_attribute("data-loading", "")


def test_after_back_no_other_scan_is_selected(portal: RunningPortal, page: Page) -> None:
    """A scan that came in meanwhile moves the others down; boxes that are ticked by their places would be theirs."""
    for number in range(3):
        portal.upload(phantoms.render("clear"), f"ticked-{number}.png")
    page.goto("/scans?q=ticked-")
    page.locator('#history input[name="scan"]').nth(1).check()
    page.locator(".cell-name a").nth(1).click()
    page.wait_for_url(re.compile(r"/scans/[0-9a-f]{32}"))
    portal.upload(phantoms.render("clear"), "ticked-3.png")
    page.go_back()
    page.wait_for_url(re.compile(r"q=ticked-"))
    expect(page.locator('#history input[name="scan"]')).to_have_count(4)
    expect(page.locator('#history input[name="scan"]:checked')).to_have_count(0)


def test_days_in_the_wrong_order_are_said(page: Page) -> None:
    page.goto("/scans?from=2026-02-02&to=2026-01-01")
    expect(page.locator("#filter-problem")).to_contain_text("later")


def test_a_row_turns_to_its_verdict_without_a_reload(page: Page, portal: RunningPortal) -> None:
    with worker_stopped(portal):
        portal.upload(phantoms.render("lesion"), "turning.png")
        page.goto("/scans?q=turning")
        row = page.locator("#history tr[data-scan]")
        expect(row).to_contain_text("Queued")
    expect(row).to_contain_text("Tumor detected", timeout=20_000)
    expect(row.locator("img")).to_be_visible()


def test_a_row_and_its_thumbnail_open_the_scan_and_its_box_does_not(page: Page, scan_ids: dict[str, str]) -> None:
    page.goto("/scans?q=ledger-b")
    row = page.locator("#history tr[data-scan]")
    assert row.bounding_box()["height"] == 40
    row.locator(".cell-check input").check()
    assert page.url.endswith("q=ledger-b")
    for place in (".cell-coverage", ".cell-picture a"):
        page.goto("/scans?q=ledger-b")
        row.locator(place).click()
        page.wait_for_url(f"**/scans/{scan_ids['ledger-b.png']}")


def test_a_browser_asks_for_a_thumbnail_once(page: Page, lesion_id: str) -> None:
    sizes = []
    for _ in range(2):
        page.goto("/scans?q=kept-lesion")
        expect(page.locator("#history tr[data-scan] img")).to_be_visible()
        page.wait_for_load_state("networkidle")
        # 0 where the browser had it, and asked nobody (W3C, Resource Timing: transferSize).
        sizes += page.evaluate(
            "() => performance.getEntriesByType('resource').filter((item) => item.name.includes('thumbnail'))"
            ".map((item) => item.transferSize)"
        )
    assert len(sizes) == 2 and 0 < sizes[0] < 8000 and sizes[1] == 0


def test_a_study_is_typed_for_rows_filtered_by_renamed_and_downloaded(page: Page, scan_ids: dict[str, str]) -> None:
    name = "<img src=x onerror=alert(1)>"
    page.goto("/scans?q=ledger-&sort=name")
    page.get_by_label("Select ledger-a.png").check()
    page.get_by_label("Select ledger-b.png").check()
    page.get_by_label("Study; empty: none").fill(name)
    page.get_by_role("button", name="Move").click()
    expect(page.locator("#notices")).to_contain_text("2 scans are in the study")
    page.wait_for_load_state()  # the filters apply by a script

    page.get_by_label("Study", exact=True).select_option(label=name)
    page.wait_for_url(re.compile(r"study="))
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    assert names(page) == ["ledger-a.png", "ledger-b.png"]
    expect(page.locator("#match-count")).to_have_text("2 scans match")

    page.get_by_text("Rename, day, patient, tags and notes").click()
    page.get_by_label("Name", exact=True).fill("Ledger 7")
    page.get_by_label("Tags, between commas").fill("visit 2, glioma")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ledger 7")
    expect(page.locator("#study .chip")).to_have_text(["visit 2", "glioma"])

    with page.expect_download() as download:
        page.get_by_role("link", name="Masks of all scans").click()
    assert download.value.suggested_filename == "Ledger 7-masks.zip"
    page.get_by_label("Select ledger-a.png").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Masks").click()
    assert download.value.suggested_filename == "scans-masks.zip"
    with page.expect_download() as download:
        page.get_by_role("link", name="As a table").click()
    assert download.value.suggested_filename == "history.csv"


@pytest.mark.parametrize("width", [1440, 1280, 1024, 800])
def test_what_was_not_counted_the_labels_and_the_time_are_read_whole(
    page: Page, portal: RunningPortal, width: int
) -> None:
    specks = np.zeros((256, 256), np.uint8)
    specks[::8, :128:4] = 250  # 1,024 pixels, each alone
    specks[100:140, 160:200] = 250
    name = f"specks-{width}-of-a-patient-with-a-long-name_19990606.png"
    add_known_result(portal, name, specks, warnings=("unlike_training_data", "slices_missing"))
    page.set_viewport_size({"width": width, "height": 900})

    page.goto(f"/scans?q=specks-{width}")

    reason, time = page.locator("#history .reason"), page.locator("#history .cell-time")
    expect(reason).to_have_text("1,024\u00a0px not counted")
    labels = page.locator("#history .chip > span").all()
    assert len(labels) == 3
    for cell in (reason, time, *labels):
        assert cell.evaluate("(cell) => cell.scrollWidth - cell.clientWidth") <= 0


def test_enter_in_the_study_field_moves_the_selection_and_elsewhere_does_nothing(
    page: Page, portal: RunningPortal
) -> None:
    """The browser presses a form's first button then, which ran all selected scans again."""
    scan_id = portal.wait(portal.upload(phantoms.render("clear"), "enter-0.png")["id"])["id"]
    page.goto("/scans?q=enter-")
    box = page.get_by_label("Select enter-0.png")
    box.check()
    box.press("Enter")
    study = page.get_by_label("Study; empty: none")
    study.fill("By Enter")
    study.press("Enter")
    expect(page.locator("#notices")).to_contain_text("1 scan is in the study “By Enter” now.")
    assert len(portal.json("GET", f"/api/v1/scans/{scan_id}/segmentations")[1]["segmentations"]) == 1


def test_who_has_agreed_once_is_asked_again_on_a_page_that_comes_back(page: Page, portal: RunningPortal) -> None:
    portal.wait(portal.upload(phantoms.render("clear"), "asked-again.png")["id"])
    page.goto("/scans?q=asked-again")
    page.locator('#history input[name="scan"]').check()
    page.route("**/scans/bulk", lambda route: route.fulfill(status=204))
    for _ in range(2):
        page.locator("#bulk-delete").click()
        with page.expect_response("**/scans/bulk"):
            page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()


def test_the_history_on_paper_says_whose_a_scan_is_and_its_whole_time(page: Page, portal: RunningPortal) -> None:
    scan_id = portal.wait(portal.upload(phantoms.render("clear"), "paper.png")["id"])["id"]
    portal.json("PATCH", f"/api/v1/scans/{scan_id}", {"study": "Paper, second visit of the patient"})
    page.goto("/scans?q=paper")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 794, "height": 1123})  # A4
    expect(page.locator("#history .cell-study").first).to_be_visible()
    for cell in ("study", "time", "name", "finding"):
        beyond = "(cell) => cell.scrollWidth - cell.clientWidth"
        assert page.locator(f"#history .cell-{cell}").first.evaluate(beyond) <= 0, cell

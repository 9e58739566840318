"""Everything that matters also works without JavaScript."""

import pytest
from playwright.sync_api import Page, expect

from ml.synthetic import phantoms
from tests.browser.actions import eventually
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser


def is_done(page: Page) -> bool:
    page.reload()
    return page.locator("#verdict").count() == 1


def test_upload_result_and_delete_work_as_plain_forms(plain_page: Page, portal: RunningPortal) -> None:
    page = plain_page
    page.goto("/")
    page.locator("#files").set_input_files(
        {"name": "plain.tif", "mimeType": "image/tiff", "buffer": phantoms.render("stack")}
    )
    page.get_by_role("button", name="Upload and segment").click()

    page.wait_for_url("**/scans/*")
    eventually(lambda: is_done(page), seconds=20)
    expect(page.locator("#verdict")).to_have_text("Tumor detected")
    for layer in ("scan", "mask", "overlay", "heatmap"):
        expect(page.locator(f'[data-layer="{layer}"] img')).to_be_visible()
    expect(page.locator("#threshold")).to_be_hidden()
    page.get_by_role("link", name="Next slice").click()
    expect(page.locator("#slice-value")).not_to_be_empty()

    scan_id = page.url.split("/scans/")[1][:32]
    page.get_by_role("button", name="Delete this scan").click()
    expect(page.get_by_role("heading", name="Delete this scan?")).to_be_visible()
    expect(page.locator("main")).to_contain_text("plain.tif")  # what is about to go has its name
    page.get_by_role("link", name="Keep").click()
    page.get_by_role("button", name="Delete this scan").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#notices")).to_contain_text("1 scan deleted.")
    assert portal.json("GET", f"/api/v1/scans/{scan_id}")[0] == 404


def test_a_bad_file_says_why(plain_page: Page) -> None:
    page = plain_page
    page.goto("/")
    page.locator("#files").set_input_files(
        [
            {"name": "plain-good.png", "mimeType": "image/png", "buffer": phantoms.render("clear")},
            {"name": "plain-bad.png", "mimeType": "image/png", "buffer": b"not a picture"},
        ]
    )

    page.get_by_role("button", name="Upload and segment").click()

    expect(page.locator('.notice[data-tone="error"]')).to_contain_text("plain-bad.png:")
    expect(page.locator(".cards")).to_contain_text("plain-good.png")


def test_the_history_is_filtered_by_its_form(plain_page: Page, lesion_id: str, stack_id: str) -> None:
    page = plain_page
    page.goto("/scans")
    page.get_by_label("File or study").fill("kept-lesion")
    page.get_by_label("Verdict").select_option("tumor_detected")

    page.get_by_role("button", name="Apply").click()

    expect(page.locator("#history tbody tr")).to_have_count(1)
    expect(page.locator("#history")).to_contain_text("kept-lesion.png")

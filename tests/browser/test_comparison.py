"""Two masks over one picture with a divider between them: another run, and the expert."""

import io
import os

import numpy as np
import pytest
import tifffile
from PIL import Image
from playwright.sync_api import Page, expect

from ml.masks import tumor_mask
from ml.synthetic import phantoms
from tests.browser.actions import eventually, open_result, picture
from tests.browser.portals import add_known_result, hill
from tests.browser.test_truth import drop, with_expert
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def words_of(left: np.ndarray, right: np.ndarray) -> str:
    dice = 2 * (left & right).sum() / (left.sum() + right.sum())
    return f"On this slice {left.sum():,} px at the left, {right.sum():,} px at the right; Dice {dice:.3f}."


def test_another_run_lies_right_of_a_divider(page: Page, portal: RunningPortal) -> None:
    scan_id = add_known_result(portal, "two-runs.png", hill())
    status, _ = portal.json("POST", f"/api/v1/scans/{scan_id}/segmentations", {"threshold": 0.8})
    assert status == 202
    run = portal.wait(scan_id)["segmentation"]
    first = next(
        item
        for item in portal.json("GET", f"/api/v1/scans/{scan_id}/segmentations")[1]["segmentations"]
        if item["id"] != run["id"]
    )
    open_result(page, scan_id)
    whole = picture(page, "overlay")
    masks = [tumor_mask(hill()[None], item["threshold"], item["min_tumor_pixels"])[0] for item in (run, first)]

    page.keyboard.press("v")
    expect(page.locator("#compare")).to_have_value(first["id"])
    expect(page.locator('#comparison [data-side="right"]')).to_have_text(f"{first['model']}, {first['threshold']:.2f}")
    expect(page.locator("#comparison-words")).to_have_text(words_of(*masks))
    assert picture(page, "overlay") != whole
    shot(page, "two-runs")
    # The divider at the right end: the page's own run alone. Keys reach it.
    divider = page.get_by_role("slider", name="Divider between both masks")
    middle = picture(page, "overlay")
    divider.focus()
    page.keyboard.press("End")
    eventually(lambda: picture(page, "overlay") != middle)
    # A preview is compared too.
    page.locator("#threshold").fill(f"{first['threshold']:.2f}")
    expect(page.locator("#comparison-words")).to_contain_text("Dice 1.000")
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("v")
    expect(page.locator("#comparison")).to_be_hidden()
    expect(page.locator("#comparison-words")).to_be_empty()


def test_the_expert_lies_right_of_a_divider_slice_by_slice(page: Page, portal: RunningPortal) -> None:
    scan = portal.wait(portal.upload(phantoms.render("stack"), "compared-stack.tif")["id"])
    open_result(page, scan["id"], "?slice=2")
    with Image.open(io.BytesIO(phantoms.render("stack"))) as stack:
        expert = np.zeros((scan["slice_count"], stack.height, stack.width), np.uint8)
    expert[3, 40:60, 40:60] = 255
    file = io.BytesIO()
    tifffile.imwrite(file, expert, photometric="minisblack")
    drop(page, "expert.tif", file.getvalue())
    page.wait_for_selector("#truth")
    open_result(page, scan["id"], "?slice=2")
    page.locator("#compare").select_option("Expert")
    found = scan["segmentation"]["slices"][2]["tumor_pixels"]
    both = f"On this slice {found:,} px at the left, 0 px at the right; Dice 0.000."
    expect(page.locator("#comparison-words")).to_have_text(both if found else "On this slice neither marks anything.")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#comparison-words")).to_contain_text("400 px at the right")


def test_on_a_phone_the_divider_is_there(page: Page, portal: RunningPortal) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    with_expert(page, portal, "compared-on-a-phone.png")
    page.locator("#compare").select_option("Expert")
    divider = page.get_by_role("slider", name="Divider between both masks")
    expect(divider).to_be_visible()
    page.locator("#comparison").scroll_into_view_if_needed()
    shot(page, "phone")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_to_compare_with_is_no_choice(page: Page, lesion_id: str) -> None:
    open_result(page, lesion_id)
    expect(page.locator("#compare")).to_have_count(0)
    page.keyboard.press("v")
    expect(page.locator("#comparison")).to_have_count(0)

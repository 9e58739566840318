"""An expert's mask on the result page: dropped there, and beside the slice in view."""

import base64
import io
import re

import numpy as np
import pytest
import tifffile
from PIL import Image
from playwright.sync_api import Page, expect

from ml.masks import tumor_mask
from ml.synthetic import phantoms
from tests.browser.actions import TRANSFER, fact, open_result
from tests.browser.portals import STORED, add_known_result, hill
from tests.support import shipped_model
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser


def drawn(value: int) -> np.ndarray:
    with Image.open(io.BytesIO(phantoms.render("stack"))) as stack:
        mask = np.zeros((stack.height, stack.width), np.uint8)
    mask[40:60, 40:60] = value
    return mask


def drop(page: Page, name: str, data: bytes) -> None:
    transfer = page.evaluate_handle(TRANSFER, {name: base64.b64encode(data).decode()})
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})


def test_a_dropped_mask_is_the_truth_and_follows_the_slice_in_view(page: Page, portal: RunningPortal) -> None:
    scan = portal.wait(portal.upload(phantoms.render("stack"), "with-expert.tif")["id"])
    open_result(page, scan["id"], "?slice=2")

    drop(page, "wrong.png", b"no picture at all, whatever its name")
    expect(page.locator("#notices, .notices").get_by_text("wrong.png")).to_be_visible()

    file = io.BytesIO()
    pages = [drawn(255 * (index == 3)) for index in range(scan["slice_count"])]
    tifffile.imwrite(file, np.stack(pages), photometric="minisblack")
    drop(page, "expert.tif", file.getvalue())

    expert = page.locator("#truth")
    expect(expert).to_contain_text("expert.tif")
    page.wait_for_selector("#viewer[data-drawn]")
    page.goto(f"/scans/{scan['id']}?slice=2")
    page.wait_for_selector("#viewer[data-drawn]")
    expect(expert.locator('.truth-table [data-metric="truth_pixels"]')).to_have_text("0")
    page.keyboard.press("ArrowRight")
    expect(expert.locator('.truth-table [data-metric="truth_pixels"]')).to_have_text("400")
    expect(expert.locator('img[data-truth="truth"]')).to_have_attribute("src", re.compile("slice=3"))
    expect(expert.locator('[data-slot="truth-number"]')).to_have_text("4")

    # Another one is asked about first, and nothing is read where the reader keeps this one.
    drop(page, "other.tif", file.getvalue())
    page.get_by_role("dialog").get_by_role("button", name="Keep").click()
    expect(page.locator("#truth-drop")).to_have_count(0)
    drop(page, "other.tif", file.getvalue())
    page.locator("#confirm-yes").click()
    expect(expert).to_contain_text("other.tif")


def test_a_dropped_folder_that_cannot_be_read_is_said(page: Page, portal: RunningPortal) -> None:
    open_result(page, add_known_result(portal, "no-folder.png", hill()))
    page.evaluate("""() => {
        const createReader = () => ({ readEntries: (_, refuse) => refuse(new DOMException("locked")) });
        DataTransferItem.prototype.webkitGetAsEntry = () => ({ name: "locked", isDirectory: true, createReader });
    }""")
    drop(page, "expert.png", b"in a folder")
    expect(page.locator("#truth-drop")).to_contain_text("The browser cannot read this folder")


def test_of_a_single_slice_model_and_expert_stand_side_by_side(page: Page, portal: RunningPortal) -> None:
    scan = portal.wait(portal.upload(phantoms.render("lesion"), "single-expert.png")["id"])
    open_result(page, scan["id"])
    page.locator(".truth-form summary").click()
    file = io.BytesIO()
    with Image.open(io.BytesIO(phantoms.render("lesion"))) as image:
        Image.fromarray(np.zeros((image.height, image.width), np.uint8)).save(file, "png")
    page.locator("#truth-files").set_input_files({"name": "m.png", "mimeType": "image/png", "buffer": file.getvalue()})
    page.locator("#truth-form button").click()
    expect(page.locator("#truth")).to_contain_text("The expert marked no tumor")
    expect(page.locator("#finding")).to_contain_text(
        "The expert marked no tumor here, so there is nothing to agree with."
    )
    # The errors stand in the viewer, and nowhere else.
    expect(page.locator("#truth img[data-truth]")).to_have_count(1)
    expect(page.locator('#viewer [data-layer="errors"]')).to_have_count(1)


def with_expert(page: Page, portal: RunningPortal, filename: str) -> tuple[str, np.ndarray]:
    """A scan whose map is a hill, opened, with the hill's upper half as the expert's mask; its id and the mask."""
    scan_id = add_known_result(portal, filename, hill())
    open_result(page, scan_id)
    expert = hill() >= 128
    file = io.BytesIO()
    Image.fromarray(255 * expert.astype(np.uint8)).save(file, "png")
    drop(page, "expert.png", file.getvalue())
    page.wait_for_selector("#truth .truth-table")
    page.wait_for_selector("#viewer[data-drawn]")
    return scan_id, expert


def test_a_preview_has_its_own_dice_and_what_is_stored_says_so(page: Page, portal: RunningPortal) -> None:
    _, expert = with_expert(page, portal, "dice-of-a-preview.png")
    stored = fact(page, "dice")
    note = page.locator("#truth [data-preview-note]")
    expect(note).to_be_hidden()

    for threshold in ("0.30", "0.80"):
        page.locator("#threshold").fill(threshold)
        mask = tumor_mask(hill()[None], float(threshold), 0)[0]
        dice = 2 * (mask & expert).sum() / (mask.sum() + expert.sum())
        assert fact(page, "dice") == f"{dice:.3f}" != stored
    expect(page.locator("#finding")).to_contain_text(f"stored {stored}")
    expect(note).to_contain_text(f"Of the stored run, at {STORED:.2f}.")
    page.get_by_role("button", name=f"Back to {STORED:.2f}").click()
    assert fact(page, "dice") == stored
    expect(note).to_be_hidden()


def test_a_patient_that_the_model_was_trained_on_is_no_test(page: Page, portal: RunningPortal) -> None:
    _, model = portal.json("GET", f"/api/v1/models/{shipped_model.NAME}")
    scan_id, _ = with_expert(page, portal, f"{model['training']['training_patients'][0]}_7.png")
    sentence = "By its name, this patient was trained on: this is no test."
    assert portal.json("GET", f"/api/v1/scans/{scan_id}")[1]["agreement"]["caveat"] == sentence
    expect(page.locator("#dice-caveat")).to_have_text(sentence)
    expect(page.locator("#truth")).to_contain_text(sentence)

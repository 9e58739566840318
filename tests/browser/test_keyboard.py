"""The portal without a mouse."""

import re

import pytest
from playwright.sync_api import Page, expect

from ml.synthetic import phantoms
from tests.browser.actions import card
from tests.browser.portals import STORED

pytestmark = pytest.mark.browser

MOST_TABS = 40


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"{MOST_TABS} times Tab did not reach {selector}")


def test_a_scan_is_uploaded_and_opened_by_keys_alone(page: Page) -> None:
    page.goto("/")
    tab_to(page, ".skip-link")
    page.keyboard.press("Enter")  # past the frame
    tab_to(page, "#files")
    # The input itself is invisible: its button wears the ring.
    ring = "getComputedStyle(document.getElementById('choose')).outlineStyle"
    assert page.evaluate(ring) == "solid"

    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files({"name": "keys.png", "mimeType": "image/png", "buffer": phantoms.render("lesion")})

    scan_id = card(page, "keys.png", "succeeded").get_attribute("data-scan")
    tab_to(page, f'[data-slot="name"][href="/scans/{scan_id}"]')
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer[data-drawn]")
    tab_to(page, "#threshold")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#preview-tag")).to_have_text(f"Preview at {STORED + 0.01:.2f}. Stored: {STORED:.2f}.")


@pytest.mark.parametrize("path", ["/", "/scans", "/models"])
def test_the_question_mark_shows_the_keys_and_escape_hides_them(page: Page, path: str) -> None:
    page.goto(path)

    page.keyboard.press("?")

    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


@pytest.mark.parametrize("height", [900, 500])
def test_the_list_of_keys_is_read_from_its_top(page: Page, lesion_id: str, height: int) -> None:
    page.set_viewport_size({"width": 1440, "height": height})
    page.goto(f"/scans/{lesion_id}")
    page.wait_for_selector("#viewer[data-drawn]")

    page.keyboard.press("?")

    expect(page.get_by_role("dialog").get_by_role("heading", name="Keys")).to_be_in_viewport()
    if height == 900:
        expect(page.get_by_role("dialog").get_by_role("button", name="Close")).to_be_in_viewport()


def test_a_field_keeps_its_letters(page: Page, lesion_id: str) -> None:
    page.goto("/scans")
    page.keyboard.press("/")
    expect(page.get_by_label("File or study")).to_be_focused()

    page.keyboard.type("x?")

    expect(page.get_by_label("File or study")).to_have_value("x?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.wait_for_url(re.compile(r"/scans\?q=x%3F$"))

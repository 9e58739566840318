"""The preview's bar and the sliders: nothing covers what is dragged, and paper shows what is stored."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.actions import fact, open_result, picture
from tests.browser.portals import STORED, add_known_result, hill
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser

CONTROLS = ("#threshold", "#opacity", "#save-threshold", "#drop-preview")
ON_TOP = """(selector) => {
  const control = document.querySelector(selector);
  control.scrollIntoView({ block: "nearest" });
  const { left, top, width, height } = control.getBoundingClientRect();
  const isOnTop = (part) => control.contains(document.elementFromPoint(left + part * width, top + height / 2));
  return [0.02, 0.5, 0.98].every(isOnTop);
}"""


@pytest.mark.parametrize("size", [(1366, 768), (1440, 900), (390, 844)])
def test_a_preview_covers_no_control(page: Page, stack_id: str, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    open_result(page, stack_id)

    page.locator("#threshold").fill("0.62")

    expect(page.locator("#preview-words")).to_contain_text("Preview at 0.62")
    assert fact(page, "threshold") == "0.62 (preview)"
    expect(page.locator("#downloads-note")).to_contain_text(f"Of the stored run, at {STORED:.2f}")
    slices = "#slice-here" if size[0] < 600 else "#slice"
    for control in (*CONTROLS, slices):
        assert page.evaluate(ON_TOP, control), control


def test_on_a_phone_sliders_and_preview_stay_beside_the_pictures(page: Page, stack_id: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_result(page, stack_id)
    page.locator("#threshold").fill("0.62")
    page.locator(".panel.large canvas").scroll_into_view_if_needed()

    for control in (*CONTROLS, "#slice-here"):
        expect(page.locator(control)).to_be_in_viewport()
    bar = page.locator(".sliders").bounding_box()
    assert bar is not None and bar["height"] < 844 / 4
    page.locator("#slice-here").fill("2")
    page.wait_for_selector('#viewer[data-slice="2"]')
    expect(page.locator("#slice-here-value")).to_have_text("3 of 12")


def test_paper_shows_what_is_stored_and_the_preview_comes_back(page: Page, lesion_id: str) -> None:
    open_result(page, lesion_id)
    stored = {name: fact(page, name) for name in ("pixels", "threshold")}
    page.locator("#threshold").fill("0.9")
    previewed = fact(page, "pixels")

    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")

    assert {name: fact(page, name) for name in stored} == stored
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert fact(page, "pixels") == previewed


def test_the_outline_shows_without_any_fill(page: Page, lesion_id: str) -> None:
    open_result(page, lesion_id)
    page.locator("#opacity").fill("0")
    with_outline = drawn(page)
    page.keyboard.press("m")
    without = drawn(page)
    page.keyboard.press("m")
    assert without != with_outline
    assert drawn(page) == with_outline


def drawn(page: Page) -> object:
    """The overlay as the last change left it: what was asked for is drawn in the next frame."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")
    return picture(page, "overlay")


@pytest.mark.parametrize("threshold", [0.999, 0.002])
def test_a_stored_threshold_beyond_the_sliders_ends_is_shown_again(
    page: Page, portal: RunningPortal, threshold: float
) -> None:
    scan_id = add_known_result(portal, f"beyond-{threshold}.png", hill(), threshold=threshold)
    open_result(page, scan_id)
    stored = fact(page, "pixels")
    assert fact(page, "threshold") == f"{threshold:g}"
    page.locator("#threshold").fill("0.5")
    expect(page.locator("#preview-tag")).to_contain_text(f"Stored: {threshold:g}.")
    page.locator("#drop-preview").click()
    expect(page.locator("#preview-tag")).to_be_hidden()
    expect(page.locator("#threshold-value")).to_have_text(f"{threshold:g}")
    assert fact(page, "pixels") == stored

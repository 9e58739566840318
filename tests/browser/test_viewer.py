"""The viewer: one large picture, the others beside it, and what is always in sight."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.actions import open_result

pytestmark = pytest.mark.browser


def bottom(page: Page, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    assert box is not None, selector
    return box["y"] + box["height"]


@pytest.mark.parametrize(("width", "height", "least"), [(1440, 900, 480), (1024, 768, 340)])
def test_picture_strip_threshold_and_opacity_are_in_sight_together(
    page: Page, stack_id: str, width: int, height: int, least: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    open_result(page, stack_id)

    large = page.locator(".panel.large canvas").bounding_box()
    assert large is not None and min(large["width"], large["height"]) >= least
    for control in (".panel.large", "#threshold", "#opacity", "#slice", "#verdict", '[data-layer="heatmap"] canvas'):
        assert bottom(page, control) <= height, control


def test_any_panel_becomes_the_large_one_by_a_click_or_a_key(page: Page, lesion_id: str) -> None:
    open_result(page, lesion_id)
    large = page.locator(".panel.large")
    expect(large).to_have_attribute("data-layer", "overlay")

    page.locator('[data-layer="scan"] canvas').click()
    expect(large).to_have_attribute("data-layer", "scan")
    page.keyboard.press("4")
    expect(large).to_have_attribute("data-layer", "heatmap")
    expect(page.get_by_role("button", name="Heatmap", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("h")
    expect(large).to_have_attribute("data-layer", "overlay")
    page.get_by_role("button", name="Mask", exact=True).press("Enter")
    expect(large).to_have_attribute("data-layer", "mask")
    page.keyboard.press("Escape")
    expect(large).to_have_attribute("data-layer", "overlay")


def test_on_a_phone_verdict_and_picture_come_first_and_panels_are_tabs(page: Page, stack_id: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_result(page, stack_id)

    picture = page.locator(".panel.large canvas")
    assert bottom(page, "#verdict") < bottom(page, ".panel.large canvas") < 844
    assert bottom(page, ".panel.large canvas") < bottom(page, '[data-fact="coverage"]')
    expect(page.locator(".panel canvas").locator("visible=true")).to_have_count(1)
    page.get_by_role("button", name="Heatmap", exact=True).click()
    expect(page.locator('[data-layer="heatmap"] canvas')).to_be_visible()
    expect(picture).to_have_count(1)
    expect(page.locator('[data-layer="overlay"] canvas')).to_be_hidden()


def test_the_pictures_take_their_places_before_scripts_and_none_moves(page: Page, stack_id: str) -> None:
    page.add_init_script(
        """new PerformanceObserver((list) => {
             for (const entry of list.getEntries()) window.shift = (window.shift ?? 0) + entry.value;
           }).observe({ type: "layout-shift", buffered: true });"""
    )
    for width, height in ((1440, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        open_result(page, stack_id)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.shift ?? 0") < 0.01

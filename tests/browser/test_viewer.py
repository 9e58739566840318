"""The viewer: one large picture, the others beside it, and what is always in sight."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from ml.rendering.error_overlay import COLORS, Palette
from tests.browser.actions import eventually, fact, open_result, picture
from tests.browser.conftest import Console
from tests.browser.portals import add_known_result, hill
from tests.support.portal_process import RunningPortal

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


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_the_contents_of_the_help_page_are_seen_whole(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/help")
    contents = page.locator(".docs-nav")
    assert contents.evaluate("(nav) => nav.scrollHeight - nav.clientHeight") <= 0
    assert contents.evaluate("(nav) => nav.scrollWidth - nav.clientWidth") <= 0


@pytest.fixture(scope="module")
def known_twice(portal: RunningPortal) -> str:
    """A scan whose page says that it was uploaded before, in a line that just fits on a phone."""
    file = io.BytesIO()
    Image.fromarray(np.full((96, 96), 77, np.uint8)).save(file, "png")
    names = ("uploaded-twice.png", "again.png")
    return [str(portal.wait(portal.upload(file.getvalue(), name)["id"])["id"]) for name in names][1]


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
@pytest.mark.parametrize("scan", ["stack_id", "known_twice"])
def test_the_pictures_take_their_places_before_scripts_and_none_moves(
    page: Page, request: pytest.FixtureRequest, scan: str, width: int, height: int
) -> None:
    page.add_init_script(
        """new PerformanceObserver((list) => {
             for (const { value, sources } of list.getEntries()) {
               window.shift = (window.shift ?? 0) + value;
               window.moved = [...(window.moved ?? []), ...sources.map(({ node }) => node?.outerHTML?.slice(0, 80))];
             }
           }).observe({ type: "layout-shift", buffered: true });"""
    )
    page.set_viewport_size({"width": width, "height": height})
    open_result(page, request.getfixturevalue(scan))
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.shift ?? 0") < 0.01, page.evaluate("window.moved")


def test_on_a_phone_the_tools_wait_for_the_pictures_that_stand_above_them(
    page: Page, stack_id: str, console: Console
) -> None:
    """A page that has arrived up to its pictures: what is drawn now may not move when they come."""

    def half(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().split('<div class="panels')[0])

    page.set_viewport_size({"width": 390, "height": 844})
    console.expected = ["The page has no "]  # scripts miss what has not arrived
    page.route("**/scans/*", half)
    page.goto(f"/scans/{stack_id}")
    expect(page.locator(".viewer-bar")).to_be_hidden()

    page.unroute("**/scans/*")
    open_result(page, stack_id)
    expect(page.locator(".viewer-bar")).to_be_visible()


CHANNELS = {"pre-contrast": 40, "FLAIR": 90, "post-contrast": 200}
AT_CURSOR = (100, 60)  # column, row


@pytest.fixture(scope="module")
def color_id(portal: RunningPortal) -> str:
    """A scan of three channels, each of one gray value."""
    file = io.BytesIO()
    pixels = np.empty((128, 128, 3), np.uint8)
    pixels[:] = list(CHANNELS.values())
    Image.fromarray(pixels).save(file, "png")
    return str(portal.wait(portal.upload(file.getvalue(), "viewer-color.png")["id"])["id"])


def color(page: Page, layer: str = "scan") -> list[int]:
    """What the middle of a panel shows, red, green and blue, once the next frame is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")
    with Image.open(io.BytesIO(base64.b64decode(picture(page, layer).split(",")[1]))) as shown:
        return list(shown.convert("RGB").getpixel((shown.width // 2, shown.height // 2)))  # type: ignore[arg-type]


def hover(page: Page, column: float, row: float, side: int) -> None:
    """The cursor over a pixel of a scan that is side pixels long, on the large picture."""
    box = page.locator(".panel.large canvas").bounding_box()
    assert box is not None
    scale = min(box["width"], box["height"]) / side
    page.mouse.move(
        box["x"] + box["width"] / 2 + (column + 0.5 - side / 2) * scale,
        box["y"] + box["height"] / 2 + (row + 0.5 - side / 2) * scale,
    )


def test_of_three_channels_flair_is_shown_in_gray_and_any_other_on_demand(page: Page, color_id: str) -> None:
    open_result(page, color_id)
    gray = CHANNELS["FLAIR"]
    assert page.locator('[data-layer="scan"] img').evaluate("(image) => image.src").endswith("&channel=1")
    assert color(page) == color(page, "overlay") == [gray] * 3

    for name, value in CHANNELS.items():
        page.get_by_label("Channel").select_option(name)
        assert color(page) == [value] * 3
    page.get_by_label("Channel").blur()  # a list takes letters for itself
    page.keyboard.press("g")
    assert color(page) == list(CHANNELS.values())  # the color, after the last channel
    page.reload()
    page.wait_for_selector("#viewer[data-drawn]")
    assert color(page) == list(CHANNELS.values())  # the choice is kept


def test_a_gray_scan_has_no_channels_to_choose_from(page: Page, portal: RunningPortal) -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((64, 64), 90, np.uint8)).save(file, "png")
    open_result(page, portal.wait(portal.upload(file.getvalue(), "viewer-gray.png")["id"])["id"])
    expect(page.get_by_label("Channel")).to_be_disabled()


def test_window_and_level_change_what_is_shown_and_nothing_else(page: Page, color_id: str) -> None:
    open_result(page, color_id)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.method))
    mask, figures = picture(page, "mask"), [fact(page, name) for name in ("pixels", "coverage")]
    page.get_by_text("Display", exact=True).click()

    page.get_by_label("Level", exact=True).fill("100")
    page.get_by_label("Window", exact=True).fill("40")
    page.get_by_label("Window", exact=True).press("Enter")
    assert color(page) == [round(255 * (90 - 80) / 40)] * 3
    page.get_by_role("button", name="Invert").click()
    assert color(page) == [255 - round(255 * (90 - 80) / 40)] * 3
    page.get_by_role("button", name="Full", exact=True).click()
    page.keyboard.press("i")
    assert color(page) == [90] * 3

    page.keyboard.press("Escape")
    expect(page.get_by_label("Level", exact=True)).to_be_hidden()
    page.keyboard.press("w")
    hover(page, 64, 64, 128)
    page.mouse.down()
    page.mouse.move(700, 300, steps=3)
    page.mouse.up()
    assert color(page) != [90] * 3
    expect(page.locator("#zoom-value")).to_have_text("100\u00a0%")
    assert picture(page, "mask") == mask
    assert [fact(page, name) for name in ("pixels", "coverage")] == figures
    assert "POST" not in requests
    page.reload()
    page.wait_for_selector("#viewer[data-drawn]")
    assert color(page) == [90] * 3  # contrast is of the moment


def test_position_gray_value_and_probability_stand_under_the_cursor(page: Page, color_id: str) -> None:
    open_result(page, color_id)
    hover(page, *AT_CURSOR, 128)
    expect(page.locator("#readout")).to_have_text(re.compile(r"x 100\s+y 60\s+FLAIR 90\s+p 0\.\d{3}"))
    page.keyboard.press("i")  # the value is the stored one
    hover(page, AT_CURSOR[0] + 1, AT_CURSOR[1], 128)
    expect(page.locator("#readout")).to_contain_text("FLAIR 90")


def test_ruler_and_area_are_measured_by_hand(page: Page, lesion_id: str) -> None:
    open_result(page, lesion_id)
    words = page.locator("#measure-words")

    page.get_by_role("button", name="Ruler").click()
    hover(page, 60, 60, 256)
    page.mouse.down()
    hover(page, 100, 90, 256)
    page.mouse.up()
    expect(words).to_contain_text("50.0\u00a0px")
    drawn = picture(page, "overlay")

    page.keyboard.press("a")
    hover(page, 50, 50, 256)
    page.mouse.down()
    for corner in ((90, 50), (90, 80), (50, 80)):
        hover(page, *corner, 256)
    page.mouse.up()
    expect(words).to_contain_text("1,200\u00a0px²")
    eventually(lambda: picture(page, "overlay") != drawn)
    page.keyboard.press("Backspace")
    expect(words).to_contain_text("50.0\u00a0px")
    page.get_by_role("button", name="Clear measures").click()
    expect(page.get_by_role("button", name="Clear measures")).to_be_hidden()
    expect(words).to_be_empty()


def test_the_mask_is_filled_or_outlined_and_the_outline_has_a_width(page: Page, lesion_id: str) -> None:
    open_result(page, lesion_id)
    filled = picture(page, "overlay")
    page.keyboard.press("o")
    eventually(lambda: picture(page, "overlay") != filled)
    thin = picture(page, "overlay")
    page.get_by_text("Display", exact=True).click()
    page.get_by_label("Outline").select_option("4 px")
    eventually(lambda: picture(page, "overlay") not in (thin, filled))
    page.reload()
    page.wait_for_selector("#viewer[data-drawn]")
    expect(page.locator("#toggle-fill")).to_have_attribute("aria-pressed", "false")


def test_the_viewer_fills_the_screen(page: Page, lesion_id: str) -> None:
    open_result(page, lesion_id)
    page.get_by_role("button", name="Full screen").click()
    eventually(lambda: page.evaluate("document.fullscreenElement?.id") == "viewer")
    for control in ("#threshold", "#opacity", ".panel.large"):
        assert bottom(page, control) <= 900, control
    page.keyboard.press("f")
    eventually(lambda: page.evaluate("document.fullscreenElement") is None)


def test_coverage_says_of_what_and_confidence_is_the_masks_mean(
    page: Page, portal: RunningPortal, stack_id: str
) -> None:
    run = portal.json("GET", f"/api/v1/scans/{stack_id}")[1]["segmentation"]
    pixels = run["total_pixels"]
    assert 0.1 * pixels < run["head_pixels"] == sum(item["head_pixels"] for item in run["slices"]) < 0.9 * pixels
    assert run["head_coverage_percent"] == pytest.approx(100 * run["tumor_pixels"] / run["head_pixels"], abs=1e-3)
    assert 0.5 < run["mean_confidence"] <= run["max_probability"]

    open_result(page, stack_id)

    finding = page.locator("#finding")
    expect(finding).to_contain_text("Coverage of the stack")
    assert fact(page, "head") == f"{run['head_coverage_percent']:.1f} %"
    assert fact(page, "confidence") == f"{100 * run['mean_confidence']:.1f} %"
    assert fact(page, "rim") == f"{run['rim_width_pixels']:.1f} px wide"
    expect(finding).not_to_contain_text("Highest confidence")
    page.locator("#threshold").fill("0.9")
    expect(finding).to_contain_text("stored")
    assert fact(page, "rim") == "–"
    assert fact(page, "head") != f"{run['head_coverage_percent']:.1f} %"


@pytest.fixture(scope="module")
def judged_id(portal: RunningPortal) -> str:
    """A known map, and an expert's mask that covers the left half of the picture."""
    scan_id = add_known_result(portal, "viewer-judged.png", hill(), threshold=0.5)
    mask = np.zeros((256, 256), np.uint8)
    mask[:, :128] = 255
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "png")
    head = '--b\r\nContent-Disposition: form-data; name="file"; filename="viewer-judged_mask.png"\r\n\r\n'
    body = head.encode() + file.getvalue() + b"\r\n--b--\r\n"
    path = f"/api/v1/scans/{scan_id}/truth"
    status, answer = portal.call("PUT", path, body, **{"Content-Type": "multipart/form-data; boundary=b"})
    assert status == 200, answer
    return scan_id


def colors_of(page: Page, layer: str) -> set[tuple[int, ...]]:
    with Image.open(io.BytesIO(base64.b64decode(picture(page, layer).split(",")[1]))) as shown:
        pixels = np.asarray(shown.convert("RGB")).reshape(-1, 3)
    return {tuple(int(value) for value in color) for color in np.unique(pixels, axis=0)}


@pytest.mark.parametrize("palette", Palette)
def test_errors_are_a_panel_that_follows_threshold_and_palette(page: Page, judged_id: str, palette: Palette) -> None:
    page.add_init_script(f"localStorage.setItem('palette', '{palette}')")
    open_result(page, judged_id)
    page.keyboard.press("5")
    expect(page.locator(".panel.large")).to_have_attribute("data-layer", "errors")
    page.locator("#opacity").fill("100")

    expected = COLORS[palette]
    kinds = {expected.missed, expected.extra, expected.correct}
    eventually(lambda: kinds <= colors_of(page, "errors"))
    page.locator("#threshold").fill("0.99")  # nothing is marked
    eventually(lambda: kinds & colors_of(page, "errors") == {expected.missed})


def test_without_an_experts_mask_there_is_no_panel_of_errors(page: Page, lesion_id: str) -> None:
    open_result(page, lesion_id)
    expect(page.locator('[data-layer="errors"]')).to_have_count(0)

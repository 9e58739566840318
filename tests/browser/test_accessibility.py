"""axe-core on every page and state: wide and narrow, dark and light. No finding is left, of whatever impact."""

import io
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from ml.cards import DoubtRule
from ml.synthetic import phantoms
from ml.synthetic.negatives import draw_negatives
from tests.browser.actions import drop_files, open_result
from tests.browser.conftest import Console
from tests.browser.portals import add_failed, add_known_result, hill, worker_away
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser

SIZES = ({"width": 1440, "height": 900}, {"width": 1024, "height": 768}, {"width": 390, "height": 844})
SCRIPT = Axe().axe_script
# Of axe's rules those that look at colors. The two themes differ in nothing else (tests/webapp/test_assets.py), and so
# the others are looked at in one of them.
COLOR_RULES = ("color-contrast", "link-in-text-block")
# Without fetching each page's stylesheets again (`preload`): of the rules that axe has on by default only the one about
# sounds that play by themselves asks for it, and no page has any.
LEAN = {"resultTypes": ["violations"], "preload": False}
OPTIONS = {"dark": LEAN, "light": {**LEAN, "runOnly": {"type": "rule", "values": COLOR_RULES}}}
RUN = "async (options) => (await axe.run(document, options)).violations"


def findings(page: Page) -> list[str]:
    """What axe finds on the page as it stands, in both themes and widths."""
    page.evaluate(SCRIPT)
    found = []
    for size in SIZES:
        page.set_viewport_size(size)  # type: ignore[arg-type]
        for theme, options in OPTIONS.items():
            page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
            for violation in page.evaluate(RUN, options):
                targets = "; ".join(str(node["target"]) for node in violation["nodes"][:5])
                found.append(f"{size['width']} {theme}: {violation['impact']} {violation['id']}: {targets}")
    return found


def test_all_rules_about_colors_are_named(page: Page) -> None:
    page.goto("/help")
    page.evaluate(SCRIPT)
    known = {rule["ruleId"] for rule in page.evaluate("axe.getRules(['cat.color'])")}
    of_aaa = "color-contrast-enhanced"  # axe leaves it out by default
    assert known == {*COLOR_RULES, of_aaa}


def press(*keys: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        for key in keys:
            page.keyboard.press(key)

    return act


def ask_before_delete(page: Page) -> None:
    page.get_by_role("button", name="Delete this scan").click()
    page.locator("dialog[open]").wait_for()


def unfold(page: Page) -> None:
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")


def preview(page: Page) -> None:
    page.locator("#threshold").fill("0.9")


PAGES = {
    "portal": ("/", None),
    "portal, keys": ("/", press("?")),
    "history": ("/scans", None),
    "history, selection": ("/scans", press("a")),
    "history, nothing found": ("/scans?q=no-such-scan", None),
    "models": ("/models", None),
    "help": ("/help", None),
    "model card": ("/models/unet-vgg16-lgg", None),
    "model card, unfolded": ("/models/unet-vgg16-lgg", unfold),
    "API": ("/api/v1/docs", None),
    "not found": ("/scans/none", None),
}


@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_finding(page: Page, lesion_id: str, stack_id: str, name: str, console: Console) -> None:
    path, act = PAGES[name]
    console.expected = ["status of 404"] if name == "not found" else []
    page.goto(path)
    if act:
        act(page)
    assert findings(page) == []


def large_heatmap_and_display(page: Page) -> None:
    page.keyboard.press("4")
    page.get_by_text("Display", exact=True).click()


@pytest.mark.parametrize("act", [None, preview, unfold, large_heatmap_and_display, ask_before_delete, press("h", "+")])
def test_no_state_of_a_result_has_a_finding(page: Page, lesion_id: str, act: Callable[[Page], None] | None) -> None:
    open_result(page, lesion_id)
    if act:
        act(page)
    assert findings(page) == []


def upload_drawn(portal: RunningPortal, kind: str, name: str) -> str:
    """The id of a picture without a brain, once it has its result."""
    drawn = next(image for image in draw_negatives(12) if image.kind == kind)
    file = io.BytesIO()
    Image.fromarray(drawn.pixels).save(file, "png")
    return str(portal.wait(portal.upload(file.getvalue(), name)["id"])["id"])


def test_a_picture_that_is_no_slice_has_no_verdict_and_no_finding(page: Page, portal: RunningPortal) -> None:
    scan_id = upload_drawn(portal, "chart", "axe-chart.png")
    open_result(page, scan_id)
    expect(page.locator("#verdict")).to_contain_text("No verdict")
    expect(page.locator("#finding [data-warning='bright_background']")).to_contain_text("crop the picture to it")
    assert findings(page) == []
    for path in ("/", "/scans?q=axe-chart"):
        page.goto(path)
        expect(page.get_by_text("No verdict: unlike the training data").first).to_be_visible()
        assert findings(page) == []


def test_a_scan_unlike_the_training_data_has_no_finding(page: Page, portal: RunningPortal) -> None:
    scan_id = upload_drawn(portal, "limb", "axe-unlike.png")
    open_result(page, scan_id)
    expect(page.locator("#finding [data-warning='unlike_training_data']")).to_contain_text("may mean nothing here")
    assert findings(page) == []
    for path in ("/", "/scans?q=axe-unlike"):
        page.goto(path)
        expect(page.locator("[data-warning='unlike_training_data']").first).to_be_visible()
        assert findings(page) == []


def test_a_verdict_in_doubt_has_no_finding(page: Page, portal: RunningPortal) -> None:
    scan_id = add_known_result(portal, "axe-doubt.png", hill(), DoubtRule(0.2, 4), threshold=0.95)
    open_result(page, scan_id)
    expect(page.locator("#doubt")).to_be_visible()
    assert findings(page) == []
    page.goto("/scans?verdict=uncertain")
    assert findings(page) == []


def test_a_stacks_result_has_no_finding(page: Page, stack_id: str) -> None:
    open_result(page, stack_id)
    preview(page)
    assert findings(page) == []


def test_failed_and_rejected_and_waiting_have_no_finding(page: Page, portal: RunningPortal, console: Console) -> None:
    console.expected = ["/readyz: Failed to load resource", "status of 415"]
    scan_id = add_failed(portal, "axe-failed.png")
    page.goto(f"/scans/{scan_id}")
    assert findings(page) == []
    with worker_away(portal):
        page.goto("/")
        drop_files(page, {"axe-bad.png": b"not a picture", "axe-waits.png": phantoms.render("lesion")})
        page.wait_for_selector(".card[data-state=rejected]")
        page.wait_for_selector(".card[data-state=queued]")
        assert findings(page) == []
        page.goto("/scans?q=axe-")
        assert findings(page) == []
        page.get_by_role("link", name="axe-waits.png").click()
        page.wait_for_selector("#pending")
        assert findings(page) == []


def test_a_study_has_no_finding(page: Page, portal: RunningPortal) -> None:
    scan = portal.upload(phantoms.render("clear"), "axe-study.png")
    _, moved = portal.json("PATCH", f"/api/v1/scans/{scan['id']}", {"study": "Axe " + "long " * 40})
    study = {"notes": "x " * 400, "tags": ["visit 2", "y" * 60]}
    portal.json("PATCH", f"/api/v1/studies/{moved['study']['id']}", study)
    page.goto(f"/scans?study={moved['study']['id']}")
    unfold(page)
    assert findings(page) == []
    page.goto("/scans?sort=study")
    assert findings(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_confirmation_page_has_no_finding(page: Page, lesion_id: str) -> None:
    # As a browser without scripts reaches it: the form, sent without the answer that the dialog adds.
    page.goto(f"/scans/{lesion_id}")
    page.evaluate("(path) => document.querySelector(`form[action='${path}']`).submit()", f"/scans/{lesion_id}/delete")
    page.get_by_role("heading", name="Delete this scan?").wait_for()
    assert findings(page) == []

"""The result page: previews at once, what is saved, zoom, slices, paper."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from ml.cards import DoubtRule
from ml.masks import tumor_mask
from ml.synthetic import phantoms
from tests.browser.actions import eventually, fact, open_result, picture
from tests.browser.conftest import Console
from tests.browser.portals import PEAK, STORED, add_known_result, hill, worker_stopped
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def hill_id(portal: RunningPortal) -> str:
    return add_known_result(portal, "hill.png", hill())


def pixels_at(page: Page, threshold: float) -> int:
    least = int(page.locator("#viewer").get_attribute("data-min-pixels") or 0)
    return int(tumor_mask(hill()[None], threshold, least).sum())


def test_the_threshold_changes_mask_coverage_and_verdict_at_once_and_says_preview(page: Page, hill_id: str) -> None:
    open_result(page, hill_id)
    before = picture(page, "mask")
    stored = fact(page, "coverage")

    page.locator("#threshold").fill("0.2")

    # At once: the words change with the event, without a request or a wait.
    pixels = pixels_at(page, 0.2)
    assert fact(page, "pixels") == f"{pixels:,}"
    assert fact(page, "coverage") == f"{100 * pixels / 65536:.2f} %"
    inside = tumor_mask(hill()[None], 0.2, 0)[0]
    assert fact(page, "confidence") == f"{100 * hill()[inside].mean() / 255:.1f} %"
    assert page.locator("#preview-tag").inner_text() == f"Preview at 0.20. Stored: {STORED:.2f}."
    assert page.locator("#finding").inner_text().count("stored") == 5  # coverage, pixels, confidence, rim, threshold
    assert stored in page.locator("#preview-words").inner_text().replace("\u00a0", " ")
    eventually(lambda: picture(page, "mask") != before)

    page.locator("#threshold").fill(f"{PEAK + 0.02:.2f}")
    assert page.locator("#verdict").inner_text() == "No tumor found"
    assert fact(page, "coverage") == "0.00 %"

    page.get_by_role("button", name=f"Back to {STORED:.2f}").click()
    assert page.locator("#verdict").inner_text() == "Tumor detected"
    assert fact(page, "coverage") == stored
    expect(page.locator("#preview-tag")).to_be_hidden()
    eventually(lambda: picture(page, "mask") == before)


def test_a_tumor_does_not_hide_what_is_in_doubt_besides(page: Page, portal: RunningPortal) -> None:
    values = hill()
    values[:20, :20] = 120  # of 255, far from the hill: 47 %
    scan_id = add_known_result(portal, "besides.png", values, DoubtRule(0.2, 4), threshold=0.5)
    run = portal.json("GET", f"/api/v1/scans/{scan_id}")[1]["segmentation"]
    assert (run["verdict"], run["doubt"]["regions"]) == ("tumor_detected", 1)
    open_result(page, scan_id)
    assert page.locator("#finding .facts").first.evaluate("(facts) => facts.scrollWidth <= facts.clientWidth")
    stored = ("1 region", "47 %")
    assert (fact(page, "in-doubt"), fact(page, "most-doubt")) == stored
    page.locator("#threshold").fill("0.4")
    assert (fact(page, "in-doubt"), fact(page, "most-doubt")) == ("none", "–")
    page.get_by_role("button", name="Back to 0.50").click()
    assert (fact(page, "in-doubt"), fact(page, "most-doubt")) == stored


def test_a_verdict_in_doubt_says_what_and_where_and_a_preview_follows_the_same_rule(
    page: Page, portal: RunningPortal
) -> None:
    scan_id = add_known_result(portal, "doubt.png", hill(), DoubtRule(0.2, 4), threshold=0.95)
    run = portal.json("GET", f"/api/v1/scans/{scan_id}")[1]["segmentation"]
    assert (run["verdict"], run["doubt"]["regions"]) == ("uncertain", 1)
    open_result(page, scan_id)
    stored = page.locator("#doubt").inner_text()
    assert page.locator("#verdict").inner_text() == "Uncertain"
    assert stored.startswith(f"A region of {run['doubt']['pixels']:,} px with up to 94\u00a0% is below what this model")
    assert stored.endswith(f"calls a tumor: {run['min_tumor_pixels']} px above 0.95.")
    dashed = picture(page, "overlay")

    page.locator("#threshold").fill("0.5")
    assert page.locator("#verdict").inner_text() == "Tumor detected"
    expect(page.locator("#doubt")).to_be_hidden()
    eventually(lambda: picture(page, "overlay") != dashed)
    page.locator("#threshold").fill("0.97")
    assert page.locator("#verdict").inner_text() == "Uncertain"
    # The region at 0.2 is the same at any higher threshold.
    assert page.locator("#doubt").inner_text() == stored.replace("above 0.95", "above 0.97")

    page.get_by_role("button", name="Back to 0.95").click()
    assert page.locator("#doubt").inner_text() == stored
    eventually(lambda: picture(page, "overlay") == dashed)
    page.goto("/scans?verdict=uncertain")
    expect(page.locator(f'[data-scan="{scan_id}"] .cell-finding')).to_contain_text("Uncertain")
    page.goto("/scans?verdict=no_tumor")
    expect(page.locator(f'[data-scan="{scan_id}"]')).to_have_count(0)


def red_in_histogram(page: Page) -> int:
    return page.locator("#histogram rect[data-is-tumor]").evaluate_all(
        "(bars) => bars.filter((bar) => Number(bar.getAttribute('height')) > 0).length"
    )


def test_what_reaches_the_threshold_and_is_not_counted_is_said_on_every_page(page: Page, portal: RunningPortal) -> None:
    q = hill()
    q[q < 255 * 0.9] = 0  # all that is left is smaller than the smallest area
    scan_id = add_known_result(portal, "not-counted.png", q, threshold=0.5)
    run = portal.json("GET", f"/api/v1/scans/{scan_id}")[1]["segmentation"]
    pixels = int((q > 0).sum())
    assert 0 < pixels < run["min_tumor_pixels"]
    assert (run["verdict"], run["uncounted_pixels"]) == ("no_tumor", pixels)
    words = (
        f"{pixels}\u00a0px above 0.50 not counted: in areas smaller than the smallest that counts,"
        f" {run['min_tumor_pixels']}\u00a0px"
    )

    page.goto("/")
    card = page.locator(f'.card[data-scan="{scan_id}"]')
    expect(card.locator('[data-slot="chip"]')).to_have_text("No tumor counted")
    expect(card.locator('[data-slot="chip"]')).to_have_attribute("data-tone", "plain")  # not green
    assert card.locator('[data-slot="detail"]').inner_text() == words
    page.goto("/scans?q=not-counted")
    expect(page.locator(f'[data-scan="{scan_id}"] .cell-finding')).to_contain_text(f"{pixels}\u00a0px not counted")

    open_result(page, scan_id)
    assert (page.locator("#verdict").inner_text(), page.locator("#uncounted").inner_text()) == (
        "No tumor counted",
        words,
    )
    expect(page.locator('[data-slot="slice-uncounted"]')).to_be_visible()
    assert red_in_histogram(page) == 0
    dashed = picture(page, "overlay")
    page.locator("#threshold").fill("0.97")  # nothing reaches it
    assert page.locator("#verdict").inner_text() == "No tumor found"
    expect(page.locator("#uncounted")).to_be_hidden()
    eventually(lambda: picture(page, "overlay") != dashed)
    page.locator("#threshold").fill("0.6")
    assert page.locator("#verdict").inner_text() == "No tumor counted"
    assert page.locator("#uncounted").inner_text() == words.replace("0.50", "0.60")
    page.get_by_role("button", name="Back to 0.50").click()
    assert page.locator("#uncounted").inner_text() == words


def test_the_opacity_changes_the_overlay_alone(page: Page, hill_id: str) -> None:
    open_result(page, hill_id)
    overlay, mask = picture(page, "overlay"), picture(page, "mask")

    page.locator("#opacity").fill("90")

    eventually(lambda: picture(page, "overlay") != overlay)
    assert picture(page, "mask") == mask
    expect(page.locator("#opacity-value")).to_have_text("90\u00a0%")


def test_a_saved_threshold_is_stored_as_it_was_previewed(page: Page, portal: RunningPortal) -> None:
    scan_id = add_known_result(portal, "saved-hill.png", hill())
    open_result(page, scan_id)
    page.locator("#threshold").fill("0.7")
    previewed = {name: fact(page, name) for name in ("coverage", "pixels")}

    page.get_by_role("button", name="Save as a new segmentation").click()

    page.wait_for_selector('#viewer[data-drawn][data-threshold="0.7"]')
    assert {name: fact(page, name) for name in previewed} == previewed
    expect(page.locator("#preview-tag")).to_be_hidden()
    newest, older = portal.json("GET", f"/api/v1/scans/{scan_id}/segmentations")[1]["segmentations"]
    assert newest["tumor_pixels"] == pixels_at(page, 0.7) != older["tumor_pixels"]
    # From the stored map: had the network run again, the phantom's own lesion would be found.
    assert newest["timings_ms"]["infer"] == 0

    # The older one stays within reach, and keeps its own figures and downloads.
    page.get_by_role("link", name=re.compile(rf"unet.*{STORED:.2f}")).click()
    page.wait_for_selector(f'#viewer[data-drawn][data-threshold="{STORED:g}"]')
    assert fact(page, "pixels") == f"{older['tumor_pixels']:,}"
    assert older["id"] in (page.get_by_role("link", name="Figures").get_attribute("href") or "")


def test_all_panels_zoom_together_by_keys(page: Page, lesion_id: str) -> None:
    open_result(page, lesion_id)
    layers = ("scan", "mask", "overlay", "heatmap")
    before = {layer: picture(page, layer) for layer in layers}
    expect(page.locator("#zoom-value")).to_have_text("100\u00a0%")

    page.keyboard.press("+")
    page.keyboard.press("+")

    expect(page.locator("#zoom-value")).to_have_text("156\u00a0%")
    eventually(lambda: all(picture(page, layer) != before[layer] for layer in layers))
    page.keyboard.press("0")
    expect(page.locator("#zoom-value")).to_have_text("100\u00a0%")
    eventually(lambda: all(picture(page, layer) == before[layer] for layer in layers))
    page.keyboard.press("h")
    expect(page.locator(".panel.large")).to_have_attribute("data-layer", "heatmap")
    page.keyboard.press("]")
    expect(page.locator("#preview-tag")).to_have_text(f"Preview at {STORED + 0.01:.2f}. Stored: {STORED:.2f}.")


def test_a_stack_opens_at_most_tumor_and_steps_by_keys(page: Page, portal: RunningPortal, stack_id: str) -> None:
    slices = portal.json("GET", f"/api/v1/scans/{stack_id}")[1]["segmentation"]["slices"]
    most = max(slices, key=lambda item: item["tumor_pixels"])
    open_result(page, stack_id)
    expect(page.locator("#slice-value")).to_have_text(str(most["index"] + 1))
    expect(page.locator('[data-slot="slice-area"]')).to_have_text(f"{most['tumor_pixels']:,} px")

    page.keyboard.press("ArrowRight")

    after = slices[most["index"] + 1]
    page.wait_for_selector(f'#viewer[data-slice="{after["index"]}"]')
    expect(page.locator("#slice-value")).to_have_text(str(after["index"] + 1))
    expect(page.locator('[data-slot="slice-area"]')).to_have_text(f"{after['tumor_pixels']:,} px")
    page.wait_for_url(f"**slice={after['index']}")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#slice-value")).to_have_text(str(most["index"]))
    page.keyboard.press("End")
    expect(page.locator("#slice-value")).to_have_text("12")
    page.keyboard.press("Home")
    expect(page.locator("#slice-value")).to_have_text("1")
    page.locator("#threshold").fill("0.9")
    expect(page.locator("#finding")).to_contain_text(re.compile(r"Slices with tumor\s*\d+ of 12"))


def test_a_result_prints_on_one_page_that_says_what_it_is(page: Page, stack_id: str) -> None:
    open_result(page, stack_id)

    paper = page.pdf(format="A4")

    assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1
    page.emulate_media(media="print")
    expect(page.locator(".print-only")).to_contain_text("Research use only. Not for diagnosis.")
    for left_out in ("#threshold", ".downloads", ".topnav", ".result-side form"):
        expect(page.locator(left_out).first).to_be_hidden()


def test_a_scan_is_deleted_from_its_page_once_asked(page: Page, portal: RunningPortal) -> None:
    scan_id = add_known_result(portal, "to-delete.png", hill())
    open_result(page, scan_id)

    page.get_by_role("button", name="Delete this scan").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This is final.")
    dialog.get_by_role("button", name="Keep").click()
    assert portal.json("GET", f"/api/v1/scans/{scan_id}")[0] == 200

    page.get_by_role("button", name="Delete this scan").click()
    dialog.get_by_role("button", name="Delete for good").click()
    page.wait_for_url("**/scans")
    expect(page.locator("#notices")).to_contain_text("1 scan deleted.")
    assert portal.json("GET", f"/api/v1/scans/{scan_id}")[0] == 404


def test_pictures_that_take_long_say_that_they_are_loading(page: Page, hill_id: str) -> None:
    words = "element => getComputedStyle(element, '::after').content"
    well = page.locator(".panel.large .panel-well")
    held: list[Route] = []
    page.route(re.compile(rf"{hill_id}.*\.png"), lambda route: held.append(route))  # and nobody answers
    page.goto(f"/scans/{hill_id}", wait_until="domcontentloaded")
    assert well.evaluate(words) == '"Loading the pictures"'
    eventually(lambda: bool(held))
    for route in held:
        route.continue_()
    page.unroute_all(behavior="ignoreErrors")
    page.goto(f"/scans/{hill_id}")
    page.wait_for_selector("#viewer[data-drawn]")
    assert well.evaluate(words) == "none"


def test_another_model_is_run_again_at_its_own_threshold(page: Page, portal: RunningPortal, hill_id: str) -> None:
    """What was chosen for one model stood in the field of every other."""
    models = portal.json("GET", "/api/v1/models")[1]["models"]
    own = {model["name"]: model["threshold"] for model in models}
    shown = portal.json("GET", f"/api/v1/scans/{hill_id}")[1]["segmentation"]
    other = next(name for name, threshold in own.items() if threshold != shown["threshold"])
    page.goto(f"/scans/{hill_id}")
    page.locator(".runs summary").click()
    form = page.locator("form.again")
    model, threshold = form.get_by_label("Model"), form.get_by_label("Threshold")
    expect(threshold).to_have_value(f"{shown['threshold']:g}")

    model.select_option(other)
    expect(threshold).to_have_value(f"{own[other]:g}")
    model.select_option(shown["model"])
    expect(threshold).to_have_value(f"{shown['threshold']:g}")

    threshold.fill("0.61")
    model.select_option(other)
    expect(threshold).to_have_value("0.61")  # a threshold of the reader's own stays


def test_a_threshold_that_is_chosen_before_the_pictures_are_here_is_a_preview(page: Page, hill_id: str) -> None:
    """The mask was that of the slider, beside the stored figures, and nothing said so."""
    held: list[Route] = []
    page.route("**/probability.png?*", lambda route: held.append(route))
    page.goto(f"/scans/{hill_id}")
    eventually(lambda: page.wait_for_timeout(20) or held)
    page.locator("#threshold").fill("0.9")
    held[0].continue_()
    expect(page.locator("#preview-tag")).to_contain_text("Preview at 0.90")
    assert fact(page, "pixels") != page.locator('[data-fact="pixels"] + .stored').inner_text().removeprefix("stored ")


def test_a_page_whose_newest_run_waits_asks_no_more_once_its_scan_is_gone(
    page: Page, portal: RunningPortal, console: Console
) -> None:
    console.expected = ["status of 404"]
    scan_id = portal.wait(portal.upload(phantoms.render("lesion"), "going.png")["id"])["id"]
    asked: list[int] = []
    page.on("response", lambda answer: asked.append(answer.status) if answer.url.endswith("/segmentations") else None)
    with worker_stopped(portal):
        portal.json("POST", f"/api/v1/scans/{scan_id}/segmentations", {"threshold": 0.31})
        page.goto(f"/scans/{scan_id}")
        eventually(lambda: page.wait_for_timeout(20) or len(asked) >= 2)
        portal.call("DELETE", f"/api/v1/scans/{scan_id}")
        expect(page.locator("#gone")).to_contain_text("deleted elsewhere")
    assert asked.count(404) == 1


def test_a_page_does_not_turn_to_its_newest_run_while_somebody_writes(page: Page, portal: RunningPortal) -> None:
    scan_id = portal.wait(portal.upload(phantoms.render("lesion"), "writes.png")["id"])["id"]
    with worker_stopped(portal):
        portal.json("POST", f"/api/v1/scans/{scan_id}/segmentations", {"threshold": 0.37})
        open_result(page, scan_id)
        field = page.locator("input:not([type=range]):not([type=file]):not([type=hidden]):visible").first
        field.fill("1")
    expect(page.locator("#latest-run")).to_contain_text("has ended", timeout=20_000)
    expect(field).to_have_value("1")
    field.blur()
    expect(page.locator('[data-fact="threshold"]')).to_have_text("0.37", timeout=20_000)


def test_a_page_that_turns_to_its_newest_run_stays_at_the_slice_in_view(page: Page, portal: RunningPortal) -> None:
    scan_id = portal.wait(portal.upload(phantoms.render("stack"), "turns.tif")["id"])["id"]
    with worker_stopped(portal):
        portal.json("POST", f"/api/v1/scans/{scan_id}/segmentations", {"threshold": 0.37})
        open_result(page, scan_id, "?slice=1")
        expect(page.locator("#latest-run")).to_be_visible()
        page.keyboard.press("ArrowRight")
        eventually(lambda: page.wait_for_timeout(20) or page.url.endswith("slice=2"))
    expect(page.locator('[data-fact="threshold"]')).to_have_text("0.37", timeout=20_000)
    expect(page.locator("#slice-value")).to_have_text("3")

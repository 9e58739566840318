"""An evaluation from the browser: choose or send data, watch it, read the report, open a case, compare, delete."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from ml.masks import tumor_mask
from tests.browser.actions import eventually, fact, picture
from tests.browser.conftest import Console
from tests.browser.portals import worker_stopped
from tests.browser.test_accessibility import findings
from tests.support.evaluations import write_data_set, zip_of
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser

PATH = "/api/v1/evaluations"
FINISH_MS = 60_000
LONG_NAME = "p2_004_AX_T2_FLAIR_FATSAT_19960909_123456"


@pytest.fixture(scope="module")
def data(portal: RunningPortal) -> Path:
    """A data set below the default root, with one image that cannot be read."""
    folder = write_data_set(portal.folder / "instance" / "datasets" / "brains", patients=3)
    # A name as scanners write it: longer than a phone is wide.
    for name in ("p2_004.png", "p2_004_mask.png"):
        (folder / "patient_2" / name).rename(folder / "patient_2" / name.replace("p2_004", LONG_NAME))
    (folder / "patient_2" / f"{LONG_NAME}.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return folder


@pytest.fixture(scope="module")
def finished(portal: RunningPortal, data: Path) -> list[str]:
    """Two finished evaluations of it, at two thresholds."""
    bodies = [{"path": str(data), "threshold": value, "name": f"kept {value}"} for value in (0.3, 0.9)]
    ids = [portal.json("POST", PATH, body)[1]["id"] for body in bodies]
    for evaluation_id in ids:
        eventually(lambda i=evaluation_id: state(portal, i) not in ("queued", "running"), seconds=60)
        assert state(portal, evaluation_id) == "succeeded"
    return ids


def state(portal: RunningPortal, evaluation_id: str) -> str:
    return str(portal.json("GET", f"{PATH}/{evaluation_id}")[1]["status"])


def heading(page: Page, name: str) -> Locator:
    return page.get_by_role("heading", name=name, exact=True)


def test_a_folder_is_browsed_evaluated_and_watched_to_its_report(page: Page, portal: RunningPortal, data: Path) -> None:
    page.goto("/evaluations")
    page.get_by_role("link", name="New evaluation").first.click()
    page.get_by_role("link", name=str(data.parent.resolve())).click()
    page.get_by_role("link", name="brains", exact=True).click()
    expect(page.locator(".folder-path")).to_have_text(str(data.resolve()))
    with worker_stopped(portal):
        page.get_by_role("textbox", name="Name").first.fill("Watched")
        page.get_by_role("button", name="Evaluate this folder").click()
        expect(heading(page, "Waiting for a worker")).to_be_visible()
        top = page.locator("#findings").bounding_box()
    expect(heading(page, "Evaluating")).to_be_visible(timeout=FINISH_MS)
    assert page.locator("#findings").bounding_box()["y"] == top["y"], "nothing moved while figures filled in"
    expect(page.locator("#findings")).to_contain_text(
        "1 problem; slices that failed and files left out are in no figure"
    )
    expect(page.locator(".headline")).to_contain_text("over 3 patients", timeout=FINISH_MS)
    expect(page.locator(".headline")).to_contain_text("1 of 15 slices could not be used")
    expect(page.locator(".plots img")).to_have_count(5)
    page.get_by_text("Verdicts of the slices: the numbers").click()
    expect(page.get_by_role("row", name="no tumor").last).to_be_visible()
    expect(page.locator("#patients tbody tr")).to_have_count(3)
    loaded = "[...document.images].filter((i) => i.loading !== 'lazy').every((i) => i.naturalWidth > 0)"
    eventually(lambda: page.evaluate(loaded))


def test_slices_are_sorted_filtered_and_opened(page: Page, finished: list[str]) -> None:
    page.goto(f"/evaluations/{finished[0]}")
    page.get_by_label("Sort").last.select_option("worst")
    page.wait_for_url("**order=worst**")
    expect(page.locator("#cases tbody tr")).to_have_count(9)
    page.get_by_label("Outcome").select_option("failed")
    page.wait_for_url("**outcome=failed**")
    expect(page.locator("#cases .reason")).to_have_count(0)  # a slice without Dice has no place in that order
    page.get_by_label("Sort").last.select_option("position")
    expect(page.locator("#cases .reason")).to_contain_text("cannot be read")
    page.get_by_role("link", name="Clear").click()
    page.locator("#gallery img").first.scroll_into_view_if_needed()
    page.locator("#gallery a").first.click()
    page.wait_for_selector("#viewer[data-drawn]")
    for title in ("Errors", "Overlay", "Scan", "Model's mask", "Expert's mask", "Probability"):
        expect(page.get_by_role("img", name=title, exact=True)).to_be_visible()
    page.keyboard.press("+")
    expect(page.locator("#zoom-value")).to_have_text("125\u00a0%")
    errors = page.locator('[data-layer="errors"]')
    standard = picture(page, "errors")
    page.get_by_role("button", name="Palette").click()
    expect(errors.locator("img")).to_have_attribute("src", re.compile("palette=color-blind"))
    eventually(lambda: picture(page, "errors") != standard)
    page.reload()  # the choice is kept
    expect(page.get_by_role("button", name="Palette")).to_have_attribute("aria-pressed", "true")
    expect(errors.locator("img")).to_have_attribute("src", re.compile("palette=color-blind"))
    page.get_by_role("button", name="Palette").click()
    here = page.url
    page.keyboard.press("j" if page.locator("#after").count() else "k")
    page.wait_for_url(lambda url: url != here)


def test_a_case_is_read_in_the_viewer_of_a_result(page: Page, portal: RunningPortal, finished: list[str]) -> None:
    path = f"{PATH}/{finished[0]}/cases"
    case = portal.json("GET", f"{path}?outcome=found&order=best&limit=1")[1]["cases"][0]
    page.goto(f"/evaluations/{finished[0]}/cases/{case['position']}")
    page.wait_for_selector("#viewer[data-drawn]")
    stored = fact(page, "dice")
    assert (stored, fact(page, "predicted_pixels")) == (f"{case['dice']:.3f}", f"{case['predicted_pixels']:,}")
    errors, mask = picture(page, "errors"), picture(page, "mask")

    page.locator("#threshold").fill("0.95")

    with Image.open(io.BytesIO(portal.call("GET", f"{path}/{case['position']}/probability.png")[1])) as image:
        q = np.asarray(image)
    with Image.open(io.BytesIO(portal.call("GET", f"{path}/{case['position']}/truth.png")[1])) as image:
        expert = np.asarray(image) > 0
    least = int(page.locator("#viewer").get_attribute("data-min-pixels") or 0)
    mine = tumor_mask(q[None], 0.95, least)[0]
    assert fact(page, "predicted_pixels") == f"{mine.sum():,}"
    assert fact(page, "dice") == f"{2 * (mine & expert).sum() / (mine.sum() + expert.sum()):.3f}"
    assert (fact(page, "hd95"), fact(page, "truth_pixels")) == ("–", f"{case['truth_pixels']:,}")
    expect(page.locator("#preview-tag")).to_contain_text("Preview at 0.95. Evaluated at 0.30.")
    expect(page.locator("#preview-words")).to_contain_text("Dice 0.")
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    eventually(lambda: picture(page, "errors") != errors and picture(page, "mask") != mask)
    page.locator("#threshold").fill("0.99")
    expect(page.locator("#verdict")).to_have_text("Tumor, uncertain")  # the model's own rule of doubt
    page.get_by_role("button", name="Back to 0.30").click()
    assert fact(page, "dice") == stored
    expect(page.locator("#verdict")).to_have_text("Tumor found")
    eventually(lambda: picture(page, "errors") == errors)
    page.get_by_role("button", name="Scan", exact=True).click()
    expect(page.locator(".panel.large")).to_have_attribute("data-layer", "scan")
    page.get_by_role("button", name="Ruler").click()
    page.mouse.move(400, 400)
    page.mouse.down()
    page.mouse.move(450, 400)
    page.mouse.up()
    expect(page.locator("#measure-words")).to_contain_text("px")


def test_of_a_case_whose_image_is_gone_map_and_masks_are_still_read(
    page: Page, portal: RunningPortal, console: Console
) -> None:
    console.expected = ["status of 404"]
    folder = write_data_set(portal.folder / "instance" / "datasets" / "gone", patients=1)
    evaluation_id = portal.json("POST", PATH, {"path": str(folder)})[1]["id"]
    eventually(lambda: state(portal, evaluation_id) == "succeeded", seconds=60)
    case = portal.json("GET", f"{PATH}/{evaluation_id}/cases?outcome=found&limit=1")[1]["cases"][0]
    (folder / case["image"]).write_bytes(b"another")
    page.goto(f"/evaluations/{evaluation_id}/cases/{case['position']}")
    page.wait_for_selector("#viewer[data-drawn]")
    expect(page.locator("#viewer-problem")).to_contain_text("its map and mask are still kept")
    expect(page.locator('[data-slot="slice-area"]')).to_have_text(f"{case['predicted_pixels']:,} px")


def test_it_prints_plots_side_by_side_and_names_on_few_lines(page: Page, finished: list[str]) -> None:
    page.set_viewport_size({"width": 700, "height": 990})  # as wide as A4 is for a browser
    page.goto(f"/evaluations/{finished[0]}")
    page.emulate_media(media="print")
    boxes = [figure.bounding_box() for figure in page.locator(".plots figure").all()]
    assert boxes[0] and boxes[1] and boxes[0]["y"] == boxes[1]["y"], boxes
    names = [cell.bounding_box() for cell in page.locator("#cases .row-name > a").all()]
    assert max(box["height"] for box in names if box) < 60, "a long name takes a few lines, not a page"
    assert page.locator(".swatch-error").first.evaluate("e => getComputedStyle(e).printColorAdjust") == "exact"


def test_two_evaluations_are_compared(page: Page, finished: list[str]) -> None:
    page.goto(f"/evaluations/{finished[0]}")
    page.get_by_label("Compare with").select_option(finished[1])
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".headline")).to_contain_text("over 3 patients")
    expect(page.locator("main")).to_contain_text("15 images are in both")
    expect(heading(page, "Verdicts that changed")).to_be_visible()
    assert findings(page) == []


def test_a_chosen_folder_is_packed_and_sent(page: Page, tmp_path: Path) -> None:
    folder = write_data_set(tmp_path / "from the browser", patients=2)
    (folder / "notes.txt").write_text("left out")
    page.goto("/evaluations/new")
    page.locator("#directory").set_input_files(folder)
    # Choosing sends nothing: name, model and threshold are filled in first.
    expect(page.locator("#archive-chosen")).to_have_text(re.compile(r"^Chosen: from the browser, \d+ files\."))
    page.locator("#archive-name").fill("Named after it was chosen")
    page.locator("#archive-threshold").fill("0.4")
    assert page.url.endswith("/evaluations/new")
    page.get_by_role("button", name="Send and evaluate").click()
    page.wait_for_url(re.compile(r"/evaluations/[0-9a-f]{32}$"), timeout=FINISH_MS)
    expect(heading(page, "Named after it was chosen")).to_be_visible()
    expect(page.locator(".about")).to_contain_text("0.4")
    expect(page.locator(".headline")).to_contain_text("over 2 patients", timeout=FINISH_MS)
    expect(page.locator("#findings")).to_contain_text("10 from 2 patients")


def test_a_bad_zip_says_why_where_it_was_chosen(page: Page, console) -> None:
    console.expected = ["status of 415"]
    page.goto("/evaluations/new")
    page.locator("#archive").set_input_files({"name": "x.zip", "mimeType": "application/zip", "buffer": b"no zip"})
    expect(page.locator("#archive-chosen")).to_contain_text("Chosen: x.zip, 6 B.")
    page.get_by_role("button", name="Send and evaluate").click()
    expect(page.locator("#archive-problem")).to_contain_text("not a zip by its bytes")
    expect(page.get_by_role("button", name="Send and evaluate")).to_be_enabled()


def test_the_pages_have_no_accessibility_finding(
    page: Page, portal: RunningPortal, finished: list[str], data: Path, console: Console
) -> None:
    console.expected = ["/readyz"]  # on a slow machine the worker is away long enough to count as gone
    for address in (
        "/evaluations",
        "/evaluations/new",
        f"/evaluations/new?path={data}",
        f"/evaluations/{finished[0]}",
        f"/evaluations/{finished[0]}/cases/0",
        f"/evaluations/{finished[0]}/cases/14",
    ):
        page.goto(address)
        page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
        assert findings(page) == [], address
    with worker_stopped(portal):
        waiting = portal.json("POST", PATH, {"path": str(data)})[1]["id"]
        page.goto(f"/evaluations/{waiting}")
        assert findings(page) == []
        portal.json("POST", f"{PATH}/{waiting}/cancel")
        expect(page.locator("main")).to_contain_text("It was cancelled, so there is no report.")
        assert findings(page) == []


@pytest.mark.parametrize(
    "address",
    [
        "/evaluations",
        "/evaluations/new",
        "/evaluations/{id}",
        "/evaluations/{id}/cases/0",
        "/evaluations/{id}/cases/14",
    ],
)
def test_a_page_fits_a_phone(page: Page, finished: list[str], address: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address.format(id=finished[0]))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_everything_but_the_folder_drop_works_without_scripts(
    plain_page: Page, portal: RunningPortal, data: Path
) -> None:
    page = plain_page
    page.goto(f"/evaluations/new?path={data}")
    with worker_stopped(portal):
        page.get_by_role("button", name="Evaluate this folder").click()
        page.wait_for_url("**/evaluations/*")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("main")).to_contain_text("It was cancelled")
    page.get_by_role("button", name="Delete this evaluation").click()
    expect(heading(page, "Delete this evaluation?")).to_be_visible()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#notices")).to_contain_text("The evaluation is deleted.")

    page.goto("/evaluations/new")
    archive = {"name": "plain.zip", "mimeType": "application/zip", "buffer": zip_of(data)}
    page.locator("#archive").set_input_files(archive)
    page.get_by_role("button", name="Send and evaluate").click()
    page.wait_for_url("**/evaluations/*")
    page.wait_for_selector(".headline", timeout=FINISH_MS)  # the page loads itself again
    page.locator("#gallery a").first.click()
    for layer in ("scan", "truth", "mask", "errors"):
        expect(page.locator(f'[data-layer="{layer}"] img')).to_be_visible()


def test_a_path_outside_the_roots_says_so(plain_page: Page) -> None:
    plain_page.goto("/evaluations/new?path=/etc")
    expect(plain_page.locator(".field-error").first).to_contain_text("There is no such folder below the allowed roots")


def test_a_page_that_is_not_told_how_far_it_is_says_why(
    page: Page, portal: RunningPortal, data: Path, console: Console
) -> None:
    console.expected = ["status of 500"]
    with worker_stopped(portal):
        evaluation_id = portal.json("POST", PATH, {"path": str(data)})[1]["id"]
        refusal = {"code": "internal", "message": "Something failed."}
        page.route(f"**{PATH}/{evaluation_id}", lambda route: route.fulfill(status=500, json=refusal))
        page.goto(f"/evaluations/{evaluation_id}")
        notice = page.locator("#evaluation-offline")
        expect(notice).to_have_text("Something failed. This page goes on by itself.")
        page.unroute_all()
        expect(notice).to_have_count(0)
        portal.call("DELETE", f"{PATH}/{evaluation_id}")


def test_a_page_that_sends_an_archive_asks_before_it_is_left(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "brains.zip"
    file.write_bytes(b"PK")
    held: list[Route] = []
    page.route(f"**{PATH}", lambda route: held.append(route))
    page.goto("/evaluations/new")
    page.locator("#archive").set_input_files(file)
    page.get_by_role("button", name="Send and evaluate").click()
    asked: list[str] = []
    page.on("dialog", lambda dialog: asked.append(dialog.type) or dialog.accept())
    other = page.context.new_page()
    eventually(lambda: other.wait_for_timeout(20) or held)
    page.close(run_before_unload=True)
    eventually(lambda: other.wait_for_timeout(20) or asked)
    assert asked == ["beforeunload"]

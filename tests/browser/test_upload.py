"""Files become cards, and cards become results."""

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from ml.synthetic import phantoms
from ml.synthetic.negatives import draw_negatives
from tests.browser.actions import card, drop_files, open_result
from tests.browser.conftest import Console
from tests.browser.portals import add_known_result, hill
from tests.support import volume_files
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("slice_file", ["phantom", pytest.param("real", marks=pytest.mark.data)], indirect=True)
def test_a_dropped_slice_becomes_its_verdict(
    page: Page, portal: RunningPortal, slice_file: bytes, request: pytest.FixtureRequest
) -> None:
    name = f"dropped-{request.node.callspec.id}.png"
    page.goto("/")

    drop_files(page, {name: slice_file})

    done = card(page, name, "succeeded")
    scan = portal.json("GET", f"/api/v1/scans/{done.get_attribute('data-scan')}")[1]
    run = scan["segmentation"]
    assert run["verdict"] == "tumor_detected"
    expect(done).to_contain_text("Tumor detected")
    expect(done).to_contain_text(f"{run['coverage_percent']:.2f}\u00a0% of the image")
    expect(done.locator("img")).to_be_visible()
    done.get_by_role("link", name=name).click()
    page.wait_for_selector("#viewer[data-drawn]")
    expect(page.locator("#verdict")).to_have_text("Tumor detected")
    expect(page.locator('[data-fact="pixels"]')).to_have_text(f"{run['tumor_pixels']:,}")


def test_after_back_the_next_files_get_nothing_that_was_chosen_for_others(page: Page) -> None:
    """What a browser writes into the closed box of choices again, nobody sees before the next patient's files drop."""
    page.goto("/")
    page.locator("#drop-options summary").click()
    page.get_by_label("Study (patient)").fill("Patient 7")
    page.get_by_label("Threshold").fill("0.9")
    page.goto("/scans")
    page.go_back()
    expect(page.locator("#field-study")).to_have_value("")
    expect(page.locator("#field-threshold")).to_have_value("")


def test_a_dropped_picture_that_is_no_brain_carries_its_warning(page: Page, portal: RunningPortal) -> None:
    drawn = next(image for image in draw_negatives(12) if image.kind == "chart")
    file = io.BytesIO()
    Image.fromarray(drawn.pixels).save(file, "png")
    page.goto("/")

    drop_files(page, {"chart.png": file.getvalue()})

    # It may get more than one: the sequence check knows brains alone.
    done = card(page, "chart.png", "succeeded")
    run = portal.json("GET", f"/api/v1/scans/{done.get_attribute('data-scan')}")[1]["segmentation"]
    verdict = done.locator('[data-slot="chip"]')
    if run["verdict"] == "not_assessed":
        expect(verdict).to_have_text("No verdict: unlike the training data")
        expect(verdict).to_have_attribute("data-tone", "plain")
        return
    chip = done.locator('[data-slot="warnings"] [data-warning="unlike_training_data"]')
    expect(chip).to_have_text("Unlike the training data")
    expect(chip).to_have_attribute("title", re.compile("may mean nothing here"))
    expect(chip).to_have_attribute("data-tone", "warn")


def chips_of(root: Locator) -> list[str]:
    return [text.strip() for text in root.locator(".chip").all_inner_texts()]


def test_a_picture_that_is_no_brain_has_no_verdict_and_what_is_marked_on_it_keeps_its_red(
    page: Page, portal: RunningPortal
) -> None:
    nothing, marked = hill(), hill()
    nothing[:] = 0
    ids = [
        add_known_result(portal, f"no-brain-{name}.png", q, warnings=("unlike_training_data",))
        for name, q in (("clear", nothing), ("marked", marked))
    ]
    runs = [portal.json("GET", f"/api/v1/scans/{scan_id}")[1]["segmentation"] for scan_id in ids]
    assert [run["verdict"] for run in runs] == ["not_assessed", "tumor_detected"]
    no_verdict = ["No verdict: unlike the training data"]
    red = ["Unlike the training data", "Tumor detected"]  # the warning first
    page.goto("/")
    for scan_id, words in zip(ids, (no_verdict, red), strict=True):
        state = page.locator(f'.card[data-scan="{scan_id}"] .card-state')
        assert chips_of(state) == words
        assert state.evaluate("(state) => state.scrollWidth <= state.clientWidth")  # no word is cut
    page.goto("/scans?q=no-brain")
    for scan_id, words in zip(ids, (no_verdict, red), strict=True):
        assert chips_of(page.locator(f'[data-scan="{scan_id}"] .cell-finding')) == words
    open_result(page, ids[0])
    verdict = page.locator("#verdict")
    assert (verdict.inner_text(), verdict.get_attribute("data-tone")) == (no_verdict[0], "plain")
    page.locator("#threshold").fill("0.9")
    page.locator("#drop-preview").click()
    assert (verdict.inner_text(), verdict.get_attribute("data-tone")) == (no_verdict[0], "plain")
    open_result(page, ids[1])
    warning = page.locator("#finding [data-warning]").bounding_box()
    found = page.locator("#verdict").bounding_box()
    assert warning is not None and found is not None and warning["y"] < found["y"]
    page.locator("#threshold").fill("0.97")
    assert (page.locator("#verdict").inner_text()) == no_verdict[0]


def test_chosen_files_each_get_a_card_and_a_bad_one_says_why(page: Page, console: Console) -> None:
    console.expected = ["status of 415", "status of 422"]
    page.goto("/")
    with page.expect_file_chooser() as chooser:
        page.locator("#choose").click()

    chooser.value.set_files(
        [
            {"name": "several-1.png", "mimeType": "image/png", "buffer": phantoms.render("lesion")},
            {"name": "several-notes.png", "mimeType": "image/png", "buffer": b"no picture at all"},
            {"name": "several-cut.png", "mimeType": "image/png", "buffer": phantoms.render("clear")[:3000]},
            {"name": "several-2.tif", "mimeType": "image/tiff", "buffer": phantoms.render("stack")},
        ]
    )

    expect(card(page, "several-1.png", "succeeded")).to_contain_text("Tumor detected")
    expect(card(page, "several-2.tif", "succeeded")).to_contain_text("of the stack")
    # A rejected file has no page, so its name is no link.
    rejected = page.locator('.card[data-state="rejected"]')
    expect(rejected).to_have_count(2)
    for name, words in (("several-notes.png", "PNG"), ("several-cut.png", "several-cut.png")):
        said = rejected.filter(has_text=name)
        expect(said).to_contain_text("Not accepted")
        expect(said).to_contain_text(words)
        assert len(said.locator(".card-detail").inner_text()) > 20
    rejected.first.get_by_role("button", name="Dismiss").click()
    expect(rejected).to_have_count(1)


def test_a_phantom_is_tried_with_one_click_and_says_that_it_is_one(page: Page) -> None:
    page.goto("/")

    page.get_by_role("button", name="Synthetic: no lesion").click()

    page.wait_for_selector("#viewer[data-drawn]")
    expect(page.locator("#verdict")).to_have_text("No tumor found")
    expect(page.locator(".result-head")).to_contain_text("Synthetic phantom")


def test_files_are_stored_in_the_order_in_which_they_were_chosen(page: Page, portal: RunningPortal) -> None:
    names = [f"ordered-case-of-a-long-name-{n:02d}.png" for n in range(5)]
    page.goto("/")
    page.get_by_label("Numbered slices").uncheck()
    drop_files(page, dict.fromkeys(names, phantoms.render("clear")))
    for name in names:
        card(page, name, "succeeded")

    listed = portal.json("GET", "/api/v1/scans?q=ordered-case")[1]["scans"]
    assert [scan["filename"] for scan in reversed(listed)] == names
    # The end of a long name, which tells the slices apart, stays in sight.
    tail = card(page, names[3]).locator('[data-slot="name-tail"]')
    expect(tail).to_have_text("-name-03.png")
    assert tail.evaluate("(tail) => tail.scrollWidth <= tail.clientWidth")


def test_dropped_sequences_of_a_patient_are_read_together(page: Page) -> None:
    shape = (28, 32, 24)
    affine = volume_files.affine_of("LPS", (5.0, 5.5, 6.0), shape)
    head = volume_files.nifti(volume_files.head(affine, shape), affine)
    page.goto("/")

    drop_files(page, {"flair.nii.gz": head, "t1.nii.gz": head, "t1-post.nii.gz": head})

    card(page, "t1-post.nii.gz", "succeeded")
    card(page, "flair.nii.gz", "succeeded").get_by_role("link", name="flair.nii.gz").click()
    form = page.locator("#sequences")
    expect(form.locator('[name="t1"] option:checked')).to_contain_text("t1.nii.gz")
    expect(form.locator('[name="t1_post"] option:checked')).to_contain_text("t1-post.nii.gz")


def test_a_tab_that_is_looked_at_again_shows_what_others_did(page: Page, portal: RunningPortal) -> None:
    page.goto("/")
    scan = portal.wait(portal.upload(phantoms.render("clear"), "elsewhere.png")["id"])
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(card(page, "elsewhere.png", "succeeded")).to_contain_text("No tumor found")
    portal.call("DELETE", f"/api/v1/scans/{scan['id']}")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(f'[data-scan="{scan["id"]}"]')).to_have_count(0)


def test_nothing_is_sent_at_a_default_where_what_was_typed_is_no_number(page: Page) -> None:
    page.goto("/")
    page.locator("#drop-options summary").click()
    page.locator("#field-threshold").press_sequentially("1e")
    drop_files(page, {"typed.png": phantoms.render("clear")})
    expect(page.locator("#left-out, .card:has-text('typed.png')")).to_contain_text("None was sent")
    page.locator("#field-threshold").fill("0.999")
    drop_files(page, {"typed.png": phantoms.render("clear")})
    card(page, "typed.png", "succeeded")
    expect(page.locator("#left-out")).to_have_count(0)

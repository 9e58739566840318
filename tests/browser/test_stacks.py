"""A patient's slices become one scan; nothing that was chosen is lost without a word."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from ml.synthetic import phantoms
from tests.browser.actions import TRANSFER, card, drop_files, eventually, open_result
from tests.browser.conftest import Console
from tests.support import dicom_files, volume_files
from tests.support.portal_process import RunningPortal
from tests.support.resources import png_bytes

pytestmark = pytest.mark.browser


def slices(name: str, numbers: range) -> dict[str, bytes]:
    """The pages of the phantom stack, a file each."""
    with Image.open(io.BytesIO(phantoms.render("stack"))) as stack:
        pages = []
        for page in range(len(numbers)):
            stack.seek(page % stack.n_frames)
            file = io.BytesIO()
            stack.convert("RGB").save(file, "png")
            pages.append(file.getvalue())
    return {f"{name}_{number}.png": data for number, data in zip(numbers, pages, strict=True)}


def slice_count(portal: RunningPortal, shown: Locator) -> int:
    return portal.json("GET", f"/api/v1/scans/{shown.get_attribute('data-scan')}")[1]["slice_count"]


def test_dropped_slices_of_a_patient_are_one_card_and_one_result(page: Page, portal: RunningPortal) -> None:
    files = slices("patient", range(5, 17))
    page.goto("/")

    drop_files(page, dict(reversed(files.items())))

    done = card(page, "patient", "succeeded")
    expect(done).to_contain_text("of the stack")
    scan = portal.json("GET", f"/api/v1/scans/{done.get_attribute('data-scan')}")[1]
    assert scan["slice_names"] == list(files)  # 5, 6, ... 16, however they were dropped
    assert portal.json("GET", "/api/v1/scans?q=patient_")[1]["scans"] == []
    open_result(page, scan["id"])
    expect(page.locator(".strip-head")).to_contain_text("of 12")
    page.locator("#slice").fill("2")
    expect(page.locator("#slice-name")).to_have_text("patient_7.png")
    page.get_by_text("Details", exact=True).click()
    expect(page.locator(".details")).to_contain_text("12, patient_5.png to patient_16.png")
    with page.expect_download() as download:
        page.get_by_role("link", name="Original files").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files


def test_slices_are_kept_apart_where_the_reader_says_so(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Numbered slices of one name are one scan").uncheck()

    drop_files(page, slices("apart", range(1, 4)))

    for number in range(1, 4):
        card(page, f"apart_{number}.png", "succeeded")


def test_model_and_threshold_are_chosen_before_sending(page: Page, portal: RunningPortal) -> None:
    page.goto("/")
    page.get_by_text("Study, model and threshold").click()
    page.get_by_label("Model", exact=True).select_option("unet-lite0-lgg")
    page.get_by_label("Threshold", exact=True).fill("0.3")

    drop_files(page, slices("chosen", range(1, 3)))

    done = card(page, "chosen", "succeeded")
    run = portal.json("GET", f"/api/v1/scans/{done.get_attribute('data-scan')}")[1]["segmentation"]
    assert (run["model"], run["threshold"]) == ("unet-lite0-lgg", 0.3)


def test_a_threshold_that_is_none_is_said_and_nothing_is_sent(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.goto("/")
    page.get_by_text("Study, model and threshold").click()
    field = page.get_by_label("Threshold", exact=True)
    field.fill("7")

    drop_files(page, {"seven.png": phantoms.render("clear")})

    expect(page.get_by_text("None was sent: a field below does not say what it should")).to_be_visible()
    expect(field).to_be_focused()
    assert "1" in field.evaluate("(field) => field.validationMessage")
    assert sent == []
    field.fill("0.7")
    drop_files(page, {"seven.png": phantoms.render("clear")})
    expect(card(page, "seven.png", "succeeded")).to_be_visible()


def test_a_chosen_folder_is_a_stack_with_its_experts_masks_and_says_what_is_left_out(
    page: Page, portal: RunningPortal, tmp_path: Path
) -> None:
    folder = tmp_path / "Patient 12"
    folder.mkdir()
    for name, data in slices("scan", range(1, 4)).items():
        (folder / name).write_bytes(data)
        Image.fromarray(np.zeros((256, 256), np.uint8)).save(folder / name.replace(".png", "_mask.png"))
    Image.fromarray(np.zeros((256, 256), np.uint8)).save(folder / "scan_2_seg.png")
    (folder / "notes.txt").write_text("of nobody's concern")
    (folder / ".DS_Store").write_bytes(b"hidden")
    page.goto("/")

    page.locator("#directory").set_input_files(folder)

    done = card(page, "Patient 12 scan", "succeeded")
    assert slice_count(portal, done) == 3
    truth = portal.json("GET", f"/api/v1/scans/{done.get_attribute('data-scan')}")[1]["truth"]
    assert truth["slice_names"] == [f"scan_{number}_mask.png" for number in (1, 2, 3)]
    said = page.locator("#left-out")
    expect(said).to_contain_text("1 expert's mask (scan_2_seg.png)")
    expect(said).to_contain_text("1 file of another kind (notes.txt)")
    expect(page.locator('.card[data-state="rejected"]')).to_have_count(0)


def test_a_folder_of_folders_is_a_study_and_the_same_file_is_named(
    page: Page, portal: RunningPortal, tmp_path: Path
) -> None:
    for series in ("flair", "late"):
        (tmp_path / "Patient 31" / series).mkdir(parents=True)
        for name, data in slices(series, range(1, 4)).items():
            (tmp_path / "Patient 31" / series / name).write_bytes(data)
    page.goto("/")
    page.locator("#directory").set_input_files(tmp_path / "Patient 31")
    for series in ("flair", "late"):
        done = card(page, f"Patient 31 {series}", "succeeded")
        expect(done.locator('[data-slot="relations"]')).to_have_text("Study Patient 31")
    [study] = portal.json("GET", "/api/v1/studies?q=patient%2031")[1]["studies"]
    assert study["scan_count"] == 2

    page.reload()
    page.get_by_text("Study, model and threshold").click()
    page.get_by_label("Study (patient)").fill("Typed 31")
    drop_files(page, {"again-31.png": phantoms.render("clear")})
    drop_files(page, {"once-more-31.png": phantoms.render("clear")})
    said = card(page, "once-more-31.png").locator('[data-slot="relations"]')
    expect(said).to_contain_text("Study Typed 31. Same file as again-31.png, just now")
    said.get_by_role("link", name="again-31.png").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("again-31.png")


def test_a_slice_that_cannot_be_read_is_named_beside_its_stack(page: Page, portal: RunningPortal) -> None:
    files = {**slices("part", range(1, 4)), "part_4.png": b"no picture at all"}
    page.goto("/")

    drop_files(page, files)

    assert slice_count(portal, card(page, "part", "succeeded")) == 3
    refused = page.locator('.card[data-state="rejected"]')
    expect(refused).to_contain_text("part_4.png")
    expect(refused.locator(".card-detail")).not_to_be_empty()


def test_slices_of_two_sizes_are_two_cards(page: Page) -> None:
    small = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), 40, np.uint8)).save(small, "png")
    page.goto("/")

    drop_files(page, {**slices("sizes", range(1, 3)), "sizes_3.png": small.getvalue()})

    expect(card(page, "sizes", "succeeded")).to_contain_text("Sizes differ")
    expect(card(page, "sizes_3.png", "succeeded")).to_contain_text("Sizes differ")


def test_leaving_asks_and_names_what_was_not_sent(page: Page, console: Console) -> None:
    console.expected = ["net::ERR_"]
    held: list[Route] = []

    def hold_second(route: Route) -> None:
        if len(held) == 0 and route.request.method == "POST" and not seen:
            seen.append(1)
            route.continue_()
        else:
            held.append(route)

    seen: list[int] = []
    page.route("**/api/v1/scans", hold_second)
    page.goto("/")
    page.get_by_label("Numbered slices").uncheck()
    drop_files(page, slices("left", range(1, 6)))
    card(page, "left_1.png")
    eventually(lambda: held)
    page.locator("main").click()  # browsers ask only where the reader has done something on the page

    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.get_by_role("link", name="History", exact=True).click()

    page.wait_for_url("**/scans")
    assert asked == ["beforeunload"]
    expect(page.locator("#unsent")).to_have_text(
        "4 of 5 files may not have been sent: left_2.png, left_3.png, left_4.png and 1 more. Look in the History, and"
        " choose on the Portal what is missing there."
    )
    page.reload()
    expect(page.locator("#unsent")).to_have_count(0)


def test_a_page_is_left_without_a_question_where_everything_was_sent(page: Page) -> None:
    page.goto("/")
    drop_files(page, slices("sent", range(1, 3)))
    card(page, "sent", "succeeded")
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.get_by_role("link", name="History", exact=True).click()
    page.wait_for_url("**/scans")
    assert not asked
    expect(page.locator("#unsent")).to_have_count(0)


@pytest.mark.parametrize("path", ["/scans", "/models", "/evaluations"])
def test_a_file_dropped_on_another_page_stays_closed_and_is_told_where_to_go(page: Page, path: str) -> None:
    page.goto(path)
    transfer = page.evaluate_handle(TRANSFER, {"x.png": ""})
    # An event that nobody has taken would open the file: it must come back as taken.
    for kind in ("dragover", "drop"):
        is_left = page.evaluate(
            """([kind, dataTransfer]) =>
                 document.body.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }))""",
            [kind, transfer],
        )
        assert not is_left, kind
    expect(page.locator("#no-drop")).to_contain_text("Drop scans on the Portal")


def test_the_wheel_steps_slices_and_zooms_with_ctrl(page: Page, stack_id: str) -> None:
    open_result(page, stack_id, "?slice=3")
    value = page.locator("#slice-value")
    page.locator('[data-layer="overlay"] canvas').hover()

    page.mouse.wheel(0, 120)
    expect(value).to_have_text("5")
    page.mouse.wheel(0, -120)
    page.mouse.wheel(0, -120)
    expect(value).to_have_text("3")
    for _ in range(3):  # a trackpad's small steps
        page.mouse.wheel(0, 25)
    expect(value).to_have_text("4")
    expect(page.locator("#zoom-value")).to_have_text("100\u00a0%")

    page.keyboard.down("Control")
    page.mouse.wheel(0, -120)
    page.keyboard.up("Control")
    expect(page.locator("#zoom-value")).not_to_have_text("100\u00a0%")
    expect(value).to_have_text("4")


def test_a_stack_plays_until_the_reader_steps(page: Page, stack_id: str) -> None:
    open_result(page, stack_id, "?slice=0")
    value = page.locator("#slice-value")

    page.keyboard.press("c")
    expect(page.locator("#cine")).to_have_attribute("aria-pressed", "true")
    seen: set[str] = set()
    eventually(lambda: seen.add(value.inner_text()) or len(seen) == 12, seconds=30)

    page.keyboard.press("ArrowLeft")
    expect(page.locator("#cine")).to_have_attribute("aria-pressed", "false")
    stopped = value.inner_text()
    page.wait_for_timeout(400)
    expect(value).to_have_text(stopped)


def test_an_exported_folder_is_a_study_of_its_series(page: Page, portal: RunningPortal, tmp_path: Path) -> None:
    shape = (64, 72, 5)
    affine = volume_files.affine_of("LPS", (2.5, 2.5, 25.0), shape)
    voxels = volume_files.head(affine, shape, "uint16")
    exam = {"StudyInstanceUID": "1.2.840.99", "StudyDate": "20210304"}
    kinds = [("Ax FLAIR Canary", 1), ("Ax T1", 2)]
    for kind, number in kinds:
        files = dicom_files.series(voxels // number, affine, SeriesDescription=kind, **exam)
        for place, data in enumerate(files):  # the export cuts both series over its folders
            folder = tmp_path / "export" / f"{place % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}{place}").write_bytes(data)
    (tmp_path / "export" / "DICOMDIR").write_bytes(b"no image")
    page.goto("/")
    page.locator("#directory").set_input_files(tmp_path / "export")

    flair = card(page, "export, Ax FLAIR", "succeeded")
    expect(flair).to_contain_text("MR, Ax FLAIR, 2021")
    expect(flair).to_contain_text("Study export")
    assert slice_count(portal, flair) == slice_count(portal, card(page, "export, Ax T1", "succeeded")) == 5
    open_result(page, flair.get_attribute("data-scan") or "")
    expect(page.locator("#series")).to_have_text("MR, Ax FLAIR, 2021")
    page.goto("/scans?q=Ax FLAIR")
    expect(page.locator(".series-words")).to_have_text("MR, Ax FLAIR, 2021")
    expect(page.locator("body")).not_to_contain_text("Canary")


def test_of_a_hospitals_disc_its_series_are_taken_alone(page: Page, portal: RunningPortal, tmp_path: Path) -> None:
    """Its index is no refused scan, and the pictures of its viewer are no scans; both were."""
    shape = (64, 72, 5)
    affine = volume_files.affine_of("LPS", (2.5, 2.5, 25.0), shape)
    disc, images = tmp_path / "disc", tmp_path / "disc" / "DICOM" / "SE000001"
    images.mkdir(parents=True)
    (disc / "VIEWER").mkdir()
    for number, data in enumerate(dicom_files.series(volume_files.head(affine, shape, "uint16"), affine)):
        (images / f"IM{number:06}").write_bytes(data)
    index = dicom_files.blank(MediaStorageDirectoryStorage, ExplicitVRLittleEndian)
    (disc / "DICOMDIR").write_bytes(dicom_files.written(index))
    for name in ("logo.png", "help_1.jpg"):
        (disc / "VIEWER" / name).write_bytes(png_bytes())
    (disc / "autorun.inf").write_text("[autorun]")
    page.goto("/")
    before = page.locator(".card").count()
    page.locator("#directory").set_input_files(disc)

    assert slice_count(portal, card(page, "SE000001", "succeeded")) == 5
    expect(page.locator(".card")).to_have_count(before + 1)
    said = page.locator("#notices")
    expect(said).to_contain_text("2 pictures (help_1.jpg, logo.png) beside a disc's DICOM images")
    expect(said).to_contain_text("1 file of another kind (autorun.inf)")
    expect(said).not_to_contain_text("DICOMDIR")


def test_more_files_than_a_request_takes_come_as_one(page: Page, portal: RunningPortal, tmp_path: Path) -> None:
    shape = (64, 72, 5)
    affine = volume_files.affine_of("LPS", (2.5, 2.5, 25.0), shape)
    files = dicom_files.series(volume_files.head(affine, shape, "uint16"), affine)
    report = dicom_files.pdf()
    folder = tmp_path / "large"
    folder.mkdir()
    for place in range(1000):
        (folder / f"{place}.dcm").write_bytes(files[place // 200] if place % 200 == 100 else report)
    page.goto("/")
    page.locator("#directory").set_input_files(folder)

    done = card(page, "large", "succeeded")
    assert slice_count(portal, done) == 5
    refused = page.locator('.card[data-state="rejected"]').filter(has_text="995 files")
    expect(refused).to_contain_text("Encapsulated PDF Storage")


def test_dropped_files_of_a_series_are_one_scan_whatever_their_names(page: Page, portal: RunningPortal) -> None:
    shape = (64, 72, 5)
    affine = volume_files.affine_of("LPS", (2.5, 2.5, 25.0), shape)
    files = dicom_files.series(volume_files.head(affine, shape, "uint16"), affine)
    page.goto("/")

    drop_files(page, {f"IM{number * 7919}": data for number, data in enumerate(files)})

    done = card(page, "DICOM series", "succeeded")
    assert slice_count(portal, done) == 5
    open_result(page, done.get_attribute("data-scan") or "")
    expect(page.locator(".downloads")).to_contain_text("Mask on the file's own voxels")
    page.get_by_text("Details", exact=True).click()
    expect(page.locator(".details")).to_contain_text("64 × 72 × 5, LPS")
    expect(page.locator(".details")).to_contain_text("DICOM")


def test_files_of_one_name_in_two_folders_are_stored_as_their_cards_call_them(
    page: Page, portal: RunningPortal, tmp_path: Path
) -> None:
    for patient, kind in (("Maier", "lesion"), ("Müller", "clear")):
        (tmp_path / "week" / patient).mkdir(parents=True)
        (tmp_path / "week" / patient / "slice_090.png").write_bytes(phantoms.render(kind))
        (tmp_path / "week" / patient / "slice_090_mask.png").write_bytes(png_bytes(256, 256, 0))
    page.goto("/")
    page.locator("#directory").set_input_files(tmp_path / "week")
    for patient in ("Maier", "Müller"):
        shown = card(page, f"{patient} slice_090.png", "succeeded")
        scan = portal.json("GET", f"/api/v1/scans/{shown.get_attribute('data-scan')}")[1]
        assert scan["filename"] == f"{patient} slice_090.png" and scan["truth"]

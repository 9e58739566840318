"""The three planes of a volume, by pointer and by keys: one crosshair, true sides, true aspect, the viewer's tools."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from ml.cards import DoubtRule
from ml.volumes import planes
from ml.volumes.grid import VolumeGrid
from tests.browser.actions import eventually, open_result
from tests.browser.conftest import Console
from tests.browser.portals import add_known_result
from tests.browser.test_accessibility import findings
from tests.support import volume_files
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser

# Stored as sagittal slices: i to the back, j to the feet, k to the right. Other sides along each axis.
SHAPE, SPACING_MM, ORIENTATION = (80, 60, 40), (2.5, 4.0, 3.0), "PIR"
AFFINE = volume_files.affine_of(ORIENTATION, SPACING_MM, SHAPE)
GRID = VolumeGrid.of(AFFINE, SHAPE)
STACK = np.array(planes.stack_affine(GRID, GRID.axial_shape))
THRESHOLD = 0.5


def tumor() -> np.ndarray:
    """Slices, rows, columns: none of its mirror images is the tumor itself."""
    stored = volume_files.tumor(AFFINE, SHAPE)  # (i, j, k): back, feet, right
    found: np.ndarray = stored.transpose(1, 0, 2)[::-1, :, ::-1]  # slices to the head, rows to the back, columns left
    return found


def probability() -> np.ndarray:
    """0.9 in the tumor, 0.6 in a block beside it that a higher threshold leaves out."""
    q = np.where(tumor(), 230, 0).astype(np.uint8)
    q[20:40, 5:25, 5:15] = 153
    return q


@pytest.fixture(scope="module")
def volume_id(portal: RunningPortal) -> str:
    """A volume whose map is `probability`."""
    q = probability()
    data = volume_files.nifti(volume_files.head(AFFINE, SHAPE), AFFINE)
    return add_known_result(portal, "kept-volume.nii.gz", q, DoubtRule(0.3, 4), THRESHOLD, data=data)


def open_planes(page: Page, scan_id: str) -> None:
    open_result(page, scan_id, "?view=planes")
    page.wait_for_selector("#planes[data-ready][data-drawn]")


def indices(page: Page) -> list[int]:
    """Of the axial, coronal and sagittal planes, as their sliders say."""
    return [int(page.locator(f"#plane-{axis}").input_value()) for axis in ("axial", "coronal", "sagittal")]


def shown_mm(page: Page) -> list[float]:
    return [float(value) for value in (page.locator("#planes").get_attribute("data-mm") or "").split()]


def red_share(page: Page, axis: str) -> float:
    """The share of a plane's canvas that is red, drawn for the indices that are set."""
    wanted = " ".join(map(str, indices(page)))
    expect(page.locator("#planes")).to_have_attribute("data-drawn", wanted)
    red, green, blue = drawn(page, axis).astype(int).transpose(2, 0, 1)
    return float(((red > green + 40) & (red > blue + 20)).mean())


def drawn(page: Page, axis: str) -> np.ndarray:
    """What a plane's canvas shows, RGB, after the frame under way."""
    url = page.evaluate(
        """async (axis) => {
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return document.querySelector(`[data-axis=${axis}] canvas`).toDataURL();
}""",
        axis,
    )
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


def test_one_crosshair_leads_through_all_planes_in_the_files_millimeters(page: Page, volume_id: str) -> None:
    open_planes(page, volume_id)
    start = indices(page)
    assert tumor()[:, start[1], :].any() and tumor()[tuple(start)]  # it begins inside the tumor
    well = page.locator('[data-axis="axial"] canvas').bounding_box()
    assert well is not None
    scale = min(well["width"] / (40 * 3.0), well["height"] / (80 * 2.5))  # CSS pixels per mm

    for column, row in ((8, 20), (30, 61)):
        x = well["x"] + well["width"] / 2 + ((column + 0.5) * 3.0 - 60) * scale
        y = well["y"] + well["height"] / 2 + ((row + 0.5) * 2.5 - 100) * scale
        page.mouse.click(x, y)

        assert indices(page) == [start[0], row, column]
        wanted = STACK @ [start[0], row, column, 1]
        assert np.allclose(shown_mm(page), wanted[:3], atol=0.002)
        # The file's own affine says the same of the voxel that it is in the file.
        stored = np.array([row, 59 - start[0], 39 - column, 1])
        assert np.allclose(AFFINE @ stored, wanted)
        expect(page.locator("#readout")).to_contain_text("RAS " + "  ".join(f"{mm:.1f}" for mm in wanted[:3]))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 10 * 3.0 * scale, y, steps=4)
    page.mouse.up()
    assert indices(page) == [start[0], 61, 20]
    page.mouse.wheel(0, 120)
    eventually(lambda: indices(page)[0] == start[0] + 1)
    page.locator('[data-axis="sagittal"] canvas').hover()
    page.mouse.wheel(0, 120)
    eventually(lambda: indices(page)[2] == 21)
    expect(page.locator("#slice-value")).to_have_text(str(start[0] + 2))  # the strip goes along


def test_letters_and_aspect_are_the_patients(page: Page, volume_id: str) -> None:
    open_planes(page, volume_id)
    letters = {
        axis: "".join(
            page.locator(f'[data-axis="{axis}"] [data-edge="{edge}"]').inner_text()
            for edge in ("left", "right", "top", "bottom")
        )
        for axis in ("axial", "coronal", "sagittal")
    }
    assert letters == {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}
    sizes = {"axial": (120, 200), "coronal": (120, 240), "sagittal": (200, 240)}  # mm
    page.keyboard.press("x")  # no crosshair over the mask
    for axis, (width, height) in sizes.items():
        image = page.locator(f'[data-axis="{axis}"] img')
        shown = int(image.get_attribute("width") or 0) / int(image.get_attribute("height") or 1)
        assert shown == pytest.approx(width / height, rel=0.02)
        # What is drawn of the mask covers as many mm as its voxels do.
        page.locator(f'[data-plane="{axis}"]').click()
        page.keyboard.press("3")
        box = page.locator(f'[data-axis="{axis}"] canvas').bounding_box()
        assert box is not None
        scale = min(box["width"] / width, box["height"] / height)
        at = indices(page)
        place = ("axial", "coronal", "sagittal").index(axis)
        mask = np.take(probability() > 128, at[place], axis=place)
        spans = [np.ptp(np.flatnonzero(mask.any(axis=side))) + 1 for side in (0, 1)]  # across, down
        tall, wide = [mm for side, mm in enumerate((4.0, 2.5, 3.0)) if side != place]
        is_red = drawn(page, axis)[..., 0] > 128
        found = [int(np.ptp(np.flatnonzero(is_red.any(axis=side)))) + 1 for side in (0, 1)]
        assert found == pytest.approx([spans[0] * wide * scale, spans[1] * tall * scale], abs=2 + 2 * scale)
        page.keyboard.press("1")


def test_a_threshold_is_tried_in_all_planes(page: Page, volume_id: str) -> None:
    open_planes(page, volume_id)
    for axis, index in (("axial", 30), ("coronal", 15), ("sagittal", 10)):  # through the block of 0.6
        page.locator(f"#plane-{axis}").fill(str(index))
    axes = ("axial", "coronal", "sagittal")
    at_half = [red_share(page, axis) for axis in axes]
    assert min(at_half) > 0.005

    page.locator("#threshold").fill("0.8")
    eventually(lambda: red_share(page, "coronal") < 0.3 * at_half[1])
    assert all(red_share(page, axis) < before for axis, before in zip(axes, at_half, strict=True))
    expect(page.locator("#preview-words")).to_contain_text("Preview at 0.80")

    page.locator("#drop-preview").click()
    eventually(lambda: [red_share(page, axis) for axis in axes] == pytest.approx(at_half, rel=0.01))
    page.keyboard.press("m")
    assert red_share(page, "coronal") == 0


def test_all_of_it_goes_by_keys(page: Page, volume_id: str) -> None:
    open_result(page, volume_id)
    expect(page.locator("#planes")).to_be_hidden()
    page.keyboard.press("p")
    page.wait_for_selector("#planes[data-ready][data-drawn]")
    expect(page.locator("#panels")).to_be_hidden()
    at = indices(page)

    page.keyboard.press("ArrowRight")
    page.keyboard.press("l")  # the coronal plane's slider has the focus, and its own arrows
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("l")
    page.keyboard.press("ArrowLeft")
    assert indices(page) == [at[0] + 1, at[1] + 2, at[2] - 1]
    assert np.allclose(shown_mm(page), (STACK @ [*indices(page), 1])[:3], atol=0.002)
    page.keyboard.press("+")
    expect(page.locator("#zoom-value")).to_have_text("125\u00a0%")
    page.keyboard.press("4")
    expect(page.locator("#planes-layer")).to_have_value("heatmap")
    page.keyboard.press("c")
    eventually(lambda: indices(page)[2] > at[2] + 1)  # the plane in use plays
    page.keyboard.press("c")
    page.keyboard.press("p")
    expect(page.locator("#panels")).to_be_visible()
    eventually(lambda: page.locator("#viewer").get_attribute("data-slice") == str(at[0] + 1))


def test_a_ruler_across_planes_measures_millimeters(page: Page, volume_id: str) -> None:
    open_planes(page, volume_id)
    page.locator('[data-plane="sagittal"]').click()
    page.keyboard.press("r")
    box = page.locator('[data-axis="sagittal"] canvas').bounding_box()
    assert box is not None
    scale = min(box["width"] / 200, box["height"] / 240)
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle[0] - 30 * scale, middle[1])
    page.mouse.down()
    page.mouse.move(middle[0], middle[1] + 40 * scale, steps=5)
    page.mouse.up()
    length = float(page.locator("#measure-words").inner_text().replace("\u00a0", " ").split()[0])
    assert length == pytest.approx(50, abs=1)


def test_pictures_claim_no_sides_and_a_slice_has_no_planes(page: Page, stack_id: str, lesion_id: str) -> None:
    open_planes(page, stack_id)  # its file states distances, and no patient
    expect(page.locator(".plane-edge")).to_have_count(0)
    expect(page.locator("#planes")).to_contain_text("does not say how it lies in the patient")
    expect(page.locator("#readout")).to_contain_text("x y z")

    open_result(page, lesion_id)
    expect(page.locator("#toggle-planes")).to_have_count(0)
    page.keyboard.press("p")
    expect(page.locator("#panels")).to_be_visible()


def test_planes_have_no_finding_and_fit_a_phone(page: Page, volume_id: str) -> None:
    open_planes(page, volume_id)
    assert findings(page) == []  # at 1440, 1024 and 390 pixels, dark and light
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator('[data-plane="coronal"]').click()
    expect(page.locator('[data-axis="coronal"] canvas')).to_be_visible()
    expect(page.locator('[data-axis="axial"] canvas')).to_be_hidden()
    box = page.locator('[data-axis="coronal"] canvas').bounding_box()
    assert box is not None and box["width"] > 330


def test_without_scripts_planes_are_pictures_with_links(plain_page: Page, volume_id: str) -> None:
    plain_page.goto(f"/scans/{volume_id}")
    plain_page.get_by_role("link", name="Axial, coronal and sagittal planes").click()
    for axis in ("Axial", "Coronal", "Sagittal"):
        image = plain_page.get_by_role("img", name=f"{axis}, ")
        assert image.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 20
    expect(plain_page.locator('[data-axis="coronal"] [data-edge="top"]')).to_have_text("S")
    plain_page.get_by_role("link", name="Next of coronal").click()
    expect(plain_page.locator('[data-axis="coronal"] figcaption')).to_contain_text("42 of 80")


def test_the_tumor_is_turned_in_three_dimensions(page: Page, volume_id: str, console: Console) -> None:
    console.expected = ["GPU stall due to ReadPixels"]  # what the test itself does
    open_planes(page, volume_id)
    assert not page.evaluate(
        "performance.getEntriesByName(location.origin + '/static/js/viewer/surface/surface.js').length"
    )

    page.keyboard.press("d")
    canvas = page.locator("#surface canvas[data-drawn]")
    canvas.wait_for()
    letters = page.locator("#surface .surface-letter")
    expect(letters).to_have_count(6)
    assert sorted(letters.all_inner_texts()) == sorted("RLAPSI")
    before, start = seen(page), canvas.get_attribute("data-drawn")
    assert 0.002 < share_of_red(before) < 0.2
    assert (before.max(axis=-1) > 25).mean() > 0.1  # the head around it

    canvas.focus()
    page.keyboard.press("ArrowRight")
    eventually(lambda: canvas.get_attribute("data-drawn") != start)
    canvas.hover()
    page.mouse.down()
    page.mouse.move(300, 300, steps=4)
    page.mouse.up()
    eventually(lambda: not np.array_equal(seen(page), before))
    page.locator("#threshold").fill("0.95")  # above the whole map: no tumor is left
    eventually(lambda: share_of_red(seen(page)) == 0)
    assert findings(page) == []


def seen(page: Page) -> np.ndarray:
    url = page.evaluate("document.querySelector('#surface canvas').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


def share_of_red(picture: np.ndarray) -> float:
    """Of uint8 (H, W, 3)."""
    return float((picture[..., 0].astype(int) > picture[..., 1].astype(int) + 40).mean())


def test_a_browser_without_webgl_is_told_so(page: Page, volume_id: str) -> None:
    page.add_init_script("""const { getContext } = HTMLCanvasElement.prototype;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind === "webgl2" ? null : getContext.call(this, kind, ...rest);
};""")
    open_planes(page, volume_id)
    page.get_by_role("button", name="3-D").first.click()
    expect(page.get_by_text("This browser offers no WebGL 2")).to_be_visible()
    page.get_by_role("button", name="3-D").first.click()
    expect(page.locator("#surface")).to_be_hidden()


def test_errors_against_an_experts_mask_are_seen_from_all_sides(page: Page, portal: RunningPortal) -> None:
    """In the colors of the reader's palette."""
    stored = volume_files.tumor(AFFINE, SHAPE)
    data = volume_files.nifti(volume_files.head(AFFINE, SHAPE), AFFINE)
    scan_id = add_known_result(portal, "erred-volume.nii.gz", probability(), threshold=THRESHOLD, data=data)
    half = stored & (np.arange(SHAPE[0]) < 40)[:, None, None]  # of the front alone: the rest is extra
    open_result(page, scan_id)
    page.locator(".truth-form summary").click()
    mask = {"name": "m.nii.gz", "mimeType": "application/gzip", "buffer": volume_files.nifti(half.astype("u1"), AFFINE)}
    page.locator("#truth-files").set_input_files(mask)  # type: ignore[arg-type]
    page.locator("#truth-form button").click()
    page.wait_for_selector("#truth .truth-table")
    open_planes(page, scan_id)
    page.keyboard.press("5")
    expect(page.locator(".planes-legend")).to_contain_text("missed")

    def shares(axis: str) -> tuple[float, float]:
        red, green, blue = drawn(page, axis).astype(int).transpose(2, 0, 1)
        return float(((green > red + 40) & (green > blue + 20)).mean()), float(
            ((blue > green + 40) & (blue > red + 40)).mean()
        )

    page.keyboard.press("x")
    for axis in ("axial", "sagittal"):
        green, blue = shares(axis)
        assert green > 0.005 and blue == 0
    page.locator(".planes-legend").get_by_role("button", name="Palette").click()
    for axis in ("axial", "sagittal"):
        green, blue = shares(axis)
        assert green == 0 and blue > 0.005

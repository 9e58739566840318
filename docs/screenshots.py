"""Draws the README's pictures and those of the help page: `python docs/screenshots.py` writes docs/images/*.png and
static/help/*.png.

It starts a portal of its own over a temporary folder and shows phantoms alone: no patient's data gets into the
repository. It needs Chromium and requirements-test.txt.
"""

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ml.synthetic import phantoms  # noqa: E402
from ml.synthetic.phantom_anatomy import Lesion, draw_slice  # noqa: E402
from tests.support import volume_files  # noqa: E402
from tests.support.browsers import Chromium, chromium_browser  # noqa: E402
from tests.support.portal_process import RunningPortal, running_portal  # noqa: E402

IMAGES = ROOT / "docs" / "images"
HELP = ROOT / "static" / "help"
# The slice that stands for a stack: one with the lesion.
HELP_SLICES = {"stack": 6}
LARGEST_BYTES = 300_000
DESK = {"width": 1440, "height": 900}
PATIENTS = 8
VOLUME_SLICES = 48
PHONE = {"width": 390, "height": 844}


def main() -> None:
    """Write every picture. Raises ValueError where one is larger than a repository should carry."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_portal(Path(folder)) as portal, chromium_browser() as browser:
        page = new_page(browser, portal, DESK, 1)
        for _ in range(2):
            ids = {phantom.name: add_phantom(page, phantom.title) for phantom in reversed(phantoms.PHANTOMS)}
        page.goto("/")
        page.locator(".card img").first.wait_for()
        save(page, "portal")
        save_help_pictures(portal, ids)
        open_result(page, ids["lesion"])
        save(page, "result")
        open_result(page, ids["stack"])
        save(page, "stack")
        save_planes(page, portal)
        page.goto("/scans")
        save(page, "history")
        evaluation_id = evaluate_phantoms(portal)
        page.goto(f"/evaluations/{evaluation_id}")
        save(page, "evaluation")
        phone = new_page(browser, portal, PHONE, 2)
        open_result(phone, ids["lesion"])
        save(phone, "phone")


def new_page(browser: Chromium, portal: RunningPortal, size: dict[str, int], scale: int) -> Page:
    """A page of that many CSS pixels, `scale` device pixels each."""
    context = browser.new_context(base_url=portal.url, viewport=size, device_scale_factor=scale)  # type: ignore[arg-type]
    return context.new_page()


def add_phantom(page: Page, title: str) -> str:
    """Click a sample, wait for its result; gives the scan's id."""
    page.goto("/")
    page.get_by_role("button", name=title).click()
    page.wait_for_selector("#viewer[data-drawn]")
    return page.locator("#viewer").get_attribute("data-scan") or ""


def evaluate_phantoms(portal: RunningPortal) -> str:
    """Evaluate drawn patients with known lesions below the default root; gives the evaluation's id."""
    data = portal.folder / "instance" / "datasets" / "phantoms"
    for seed in range(PATIENTS):
        folder = data / f"phantom_{seed + 1}"
        folder.mkdir(parents=True)
        lesion = Lesion(0.3 * (-1) ** seed, 0.03 * seed - 0.1, 0.08 + 0.02 * seed, 0.1 + 0.015 * seed, 3.0, 2.6)
        for index, level in enumerate(np.linspace(-0.4, 0.5, 7)):
            pixels, truth = draw_slice(100 + seed, index, float(level), lesion)
            Image.fromarray(pixels).save(folder / f"slice_{index + 1}.png")
            Image.fromarray(truth).save(folder / f"slice_{index + 1}_mask.png")
    _, evaluation = portal.json("POST", "/api/v1/evaluations", {"path": str(data), "name": "Synthetic phantoms"})
    while evaluation["status"] in ("queued", "running"):
        _, evaluation = portal.json("GET", f"/api/v1/evaluations/{evaluation['id']}?wait=10")
    return str(evaluation["id"])


def save_planes(page: Page, portal: RunningPortal) -> None:
    """Three planes of a drawn volume, with the tumor in 3-D beside them."""
    lesion = Lesion(-0.29, 0.14, 0.2, 0.22, VOLUME_SLICES * 0.55, VOLUME_SLICES * 0.16)
    levels = np.linspace(-0.75, 0.85, VOLUME_SLICES)
    flair = np.stack([draw_slice(13, index, float(level), lesion)[0][..., 1] for index, level in enumerate(levels)])
    voxels = np.ascontiguousarray(flair.transpose(2, 1, 0)).astype(np.int16)  # (x, y, z)
    affine = volume_files.affine_of("LPS", (0.9, 0.9, 3.0), voxels.shape)  # type: ignore[arg-type]
    scan = portal.wait(portal.upload(volume_files.nifti(voxels, affine), "phantom_flair.nii.gz")["id"])
    page.goto(f"/scans/{scan['id']}?view=planes")
    page.wait_for_selector("#viewer[data-drawn]")
    page.locator("#toggle-surface").click()
    page.wait_for_timeout(3000)  # the volume arrives and is drawn
    save(page, "planes")


def save_help_pictures(portal: RunningPortal, ids: dict[str, str]) -> None:
    """A slice of every phantom, and all pictures of the one with a clear lesion."""
    wanted = [(name, "scan", HELP_SLICES.get(name, 0)) for name in ids if name != "lesion"]
    wanted += [("lesion", kind, 0) for kind in ("scan", "overlay", "mask", "heatmap")]
    HELP.mkdir(exist_ok=True)
    for name, kind, index in wanted:
        _, picture = portal.call("GET", f"/api/v1/scans/{ids[name]}/{kind}.png?slice={index}")
        Image.open(io.BytesIO(picture)).save(HELP / f"{name}-{kind}.png", optimize=True)


def open_result(page: Page, scan_id: str) -> None:
    """The result page, drawn."""
    page.goto(f"/scans/{scan_id}")
    page.wait_for_selector("#viewer[data-drawn]")


def save(page: Page, name: str) -> None:
    """The page as it is seen, as a small PNG. Raises ValueError over LARGEST_BYTES."""
    page.wait_for_load_state("networkidle")
    path = IMAGES / f"{name}.png"
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, optimize=True)
    if path.stat().st_size > LARGEST_BYTES:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes, more than {LARGEST_BYTES}; show less on it.")


if __name__ == "__main__":
    main()

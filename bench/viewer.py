"""The viewer in a real Chromium: frames a second while slices and planes are stepped through."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page

from bench.figures import Table, quantile
from bench.slices import slices
from bench.volumes import VOLUME, volume
from tests.support.browsers import chromium_browser
from tests.support.portal_process import running_portal

SLICES = 60
SIDE = 512
WIDE = {"width": 1440, "height": 900}
ROUNDS = 3
# A key press a frame, as a held key or a wheel sends them; gives the milliseconds from frame to frame, and how many
# slices had been drawn at the end of each.
STEP = """async (slices) => {
  const viewer = document.querySelector("#viewer");
  const frame = () => new Promise(requestAnimationFrame);
  const frames = [];
  let last = await frame();
  const drawn = new Set();
  while (!drawn.has(slices - 1)) {
    document.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    const now = await frame();
    frames.push(now - last);
    last = now;
    drawn.add(Number(viewer.dataset.slice));
  }
  return { frames, drawn: drawn.size };
}"""
STEP_PLANE = """async (axis) => {
  const [planes, slider] = [document.querySelector("#planes"), document.querySelector(`#plane-${axis}`)];
  const place = ["axial", "coronal", "sagittal"].indexOf(axis);
  const frame = () => new Promise(requestAnimationFrame);
  const count = Number(slider.max) + 1;
  slider.value = "0";
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  slider.closest("figure").dispatchEvent(new PointerEvent("pointerenter"));
  await frame();
  const frames = [];
  let last = await frame();
  const drawn = new Set();
  while (!drawn.has(count - 1)) {
    document.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    const now = await frame();
    frames.push(now - last);
    last = now;
    drawn.add(Number(planes.dataset.drawn.split(" ")[place]));
  }
  return { frames, drawn: drawn.size };
}"""


def measure() -> Iterator[Table]:
    """Two tables: a stack of 60 slices of 512 x 512 pixels, and the planes of a volume, after all has arrived."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, running_portal(Path(scratch)) as portal:
        scan_id = portal.wait(portal.upload(_stack(), "stack.tif")["id"], seconds=600)["id"]
        volume_id = portal.wait(portal.upload(volume(), "volume.nii.gz")["id"], seconds=900)["id"]
        with chromium_browser() as browser:
            page = browser.new_page(viewport=WIDE)  # type: ignore[arg-type]
            page.goto(f"{portal.url}/scans/{scan_id}?slice=0")
            page.wait_for_selector("#viewer[data-drawn]")
            page.wait_for_load_state("networkidle")
            rounds = [_step(page) for _ in range(ROUNDS)]
            page.goto(f"{portal.url}/scans/{volume_id}?view=planes")
            page.wait_for_selector("#planes[data-drawn]", timeout=60_000)
            page.wait_for_load_state("networkidle")
            planes = _step_planes(page)
    rows = []
    for number, found in enumerate(rounds, 1):
        frames = found["frames"]
        rate = 1000 * found["drawn"] / sum(frames)
        rows.append((f"{number}", f"{rate:.0f}", f"{found['drawn']}", f"{quantile(frames, 0.95):.0f} ms"))
    yield Table(
        f"Stepping through {SLICES} slices of {SIDE} x {SIDE}",
        ("round", "slices a second", "slices drawn", "frame, 95 of 100"),
        tuple(rows),
        "A key press a frame: at 60 frames a second each takes 17 ms. All four pictures are drawn.",
    )
    yield Table(
        f"Stepping through the planes of a volume of {VOLUME[2]} x {VOLUME[1]} x {VOLUME[0]}",
        ("plane", "planes a second", "planes drawn", "frame, 95 of 100", "of it the page's own"),
        tuple(
            (
                axis,
                f"{1000 * found['drawn'] / sum(found['frames']):.0f}",
                f"{found['drawn']}",
                f"{quantile(found['frames'], 0.95):.0f} ms",
                f"{found['own_ms']:.1f} ms",
            )
            for axis, found in planes
        ),
        "All three planes are drawn at each, with overlay and crosshair. The page's own: processor time of its main"
        " thread for a frame in the mean, without Chromium's painting; other processes do not lengthen it.",
    )


def _step_planes(page: Page) -> list[tuple[str, dict[str, Any]]]:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy_s() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))

    rounds = []
    for axis in ("axial", "coronal", "sagittal") * ROUNDS:
        before = busy_s()
        found: dict[str, Any] = page.evaluate(STEP_PLANE, axis)
        found["own_ms"] = 1000 * (busy_s() - before) / len(found["frames"])
        rounds.append((axis, found))
    return rounds


def _stack() -> bytes:
    """The slices as the pages of one TIFF."""
    pages = [Image.open(io.BytesIO(data)).convert("RGB").resize((SIDE, SIDE)) for _, data in slices(SLICES)]
    file = io.BytesIO()
    pages[0].save(file, "tiff", save_all=True, append_images=pages[1:])
    return file.getvalue()


def _step(page: Page) -> dict[str, Any]:
    page.locator("#slice").fill("0")
    page.wait_for_selector('#viewer[data-slice="0"]')
    found: dict[str, Any] = page.evaluate(STEP, SLICES)
    return found

"""What the result page gives away as files."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from ml.synthetic import phantoms
from tests.browser.actions import open_result
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser


def saved(page: Page, name: str) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("link", name=name, exact=True).click()
    return download.value.path().read_bytes()


def test_every_download_holds_what_its_link_says(page: Page, portal: RunningPortal, lesion_id: str) -> None:
    scan = portal.json("GET", f"/api/v1/scans/{lesion_id}")[1]
    open_result(page, lesion_id)

    mask = np.asarray(Image.open(io.BytesIO(saved(page, "Mask, 0 and 255"))))
    assert mask.shape == (scan["height"], scan["width"])
    assert set(np.unique(mask)) == {0, 255}
    assert np.count_nonzero(mask) == scan["segmentation"]["tumor_pixels"]
    for name in ("Scan", "Overlay", "Heatmap", "Probability, 8 bit"):
        assert Image.open(io.BytesIO(saved(page, name))).size == (scan["width"], scan["height"])
    assert Image.open(io.BytesIO(saved(page, "All panels"))).width > 3 * scan["width"]
    figures = json.loads(saved(page, "Figures"))
    assert (figures["id"], figures["segmentation"]) == (scan["id"], scan["segmentation"])
    assert saved(page, "Original file") == phantoms.render("lesion")
    with page.expect_download() as download:
        page.get_by_role("link", name="Everything, as a zip").click()
    assert download.value.suggested_filename == "kept-lesion.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        assert {"result.json", "mask/slice_0000.png", "panels/slice_0000.png"} <= set(archive.namelist())


def test_in_a_stack_the_links_follow_the_slice_in_view(page: Page, stack_id: str) -> None:
    open_result(page, stack_id, "?slice=0")
    first = saved(page, "Scan")

    page.keyboard.press("ArrowRight")
    page.wait_for_selector('#viewer[data-slice="1"]')

    with page.expect_download() as download:
        page.get_by_role("link", name="Scan", exact=True).click()
    assert download.value.suggested_filename == "kept-stack-scan-2.png"
    assert download.value.path().read_bytes() != first

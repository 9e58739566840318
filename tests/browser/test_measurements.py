"""Measurements on the result page: the table, the diameters on the picture, and spacing that a person enters."""

import io
import re
from typing import Any

import pytest
import tifffile
from playwright.sync_api import Page, expect

from ml.synthetic import phantoms
from tests.browser.actions import eventually, fact, open_result, picture
from tests.support.portal_process import RunningPortal

pytestmark = pytest.mark.browser


def stack_without_spacing() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, tifffile.imread(io.BytesIO(phantoms.render("stack"))), photometric="rgb")
    return file.getvalue()


@pytest.fixture(scope="module")
def scan(portal: RunningPortal) -> dict[str, Any]:
    return portal.wait(portal.upload(stack_without_spacing(), "to-measure.tif")["id"])


def test_spacing_is_entered_and_a_lesion_shows_its_diameters(
    page: Page, portal: RunningPortal, scan: dict[str, Any]
) -> None:
    open_result(page, scan["id"], "?slice=0")
    table = page.locator("#lesions")
    expect(table.locator("tbody tr").first.locator('[data-label="Diameter"]')).to_have_text(
        re.compile(r"^[0-9.]+\spx$")
    )

    page.locator("#spacing summary").click()
    # As hands do: a field of type number drops the comma of most of Europe, and 0,9 becomes 9.
    for name, value in (("slice_mm", "5000"), ("row_mm", "0,9"), ("column_mm", "0.9")):
        page.locator(f"#field-{name}").press_sequentially(value)
    page.locator("#spacing").get_by_role("button", name="Enter").click()
    # What is refused stands there, to be mended.
    expect(page.get_by_text("5000")).to_be_visible()
    expect(page.locator("#field-slice_mm")).to_have_value("5000")
    expect(page.locator("#field-row_mm")).to_have_value("0,9")
    page.locator("#field-slice_mm").fill("5")
    page.locator("#spacing").get_by_role("button", name="Enter").click()

    expect(page.locator("#measurements")).to_contain_text("Spacing entered: 5 × 0.9 × 0.9")
    expect(page.locator(".result-head")).to_contain_text("Spacing entered")
    page.wait_for_selector("#viewer[data-drawn]")
    ml = portal.json("GET", f"/api/v1/scans/{scan['id']}/measurements.json")[1]
    assert fact(page, "volume") == f"{ml['volume_ml']:.2f} mL"
    first = ml["lesions"][0]
    row = table.locator("tbody tr").first
    expect(row).to_contain_text(f"{first['diameter_mm']:.1f}\u00a0mm")

    row.locator("a").click()
    expect(page.locator("#slice-value")).to_have_text(str(first["largest_slice"] + 1))
    page.wait_for_selector(f'#viewer[data-slice="{first["largest_slice"]}"]')
    expect(row.locator("a")).to_have_attribute("aria-current", "true")
    eventually(lambda: page.evaluate("document.querySelector('.panel.large').getBoundingClientRect().top >= 0"))
    chosen = picture(page, "overlay")
    row.locator("a").click()
    eventually(lambda: picture(page, "overlay") != chosen)

    page.locator("#spacing summary").click()
    page.get_by_role("button", name="Take it away").click()
    expect(page.locator("#measurements")).to_contain_text("enter it for millimeters")
    expect(page.locator('[data-fact="volume"]')).to_have_count(0)


def test_without_scripts_the_form_says_what_is_wrong_and_a_lesion_links_its_slice(
    plain_page: Page, portal: RunningPortal, scan: dict[str, Any]
) -> None:
    lesion = portal.json("GET", f"/api/v1/scans/{scan['id']}/measurements.json")[1]["lesions"][0]
    plain_page.goto(f"/scans/{scan['id']}?slice=0")
    plain_page.locator("[data-lesion]").first.click()
    expect(plain_page).to_have_url(re.compile(f"slice={lesion['largest_slice']}#viewer"))
    plain_page.locator("#spacing summary").click()
    for name in ("slice_mm", "row_mm", "column_mm"):
        plain_page.locator(f"#field-{name}").fill("1")
    plain_page.locator("#field-row_mm").evaluate("(field) => { field.max = ''; field.value = '900'; }")
    plain_page.locator("#spacing").get_by_role("button", name="Enter").click()
    expect(plain_page.locator("body")).to_contain_text("may be 0.05 to 50")

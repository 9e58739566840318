"""Times as a reader sees them, wherever the browser is."""

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

EXACT = """async (zones) => {
  const { exactWords } = await import("/js/core/times.js");
  return zones.map((zone) => exactWords(new Date("2026-11-30T18:20:00Z"), zone));
}"""


def test_a_time_whose_day_is_another_in_utc_says_that_day_too(module_page: Page) -> None:
    tokyo, berlin = module_page.evaluate(EXACT, ["Asia/Tokyo", "Europe/Berlin"])
    assert tokyo == "1 Dec 2026, 03:20:00; in UTC, by which the history is filtered, 30 Nov 2026"
    assert berlin == "30 Nov 2026, 19:20:00"

"""What is summed up over a stack while a threshold is tried: of the slices counted at this threshold alone."""

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

# Slice 1 has a region of p = 0.5, which is in doubt at 0.9 and tumor at 0.3; slice 0 has nothing.
COUNT_ANEW = """async () => {
  const { doubtOf, tumorMask } = await import("/js/viewer/mask.js");
  const { Totals } = await import("/js/viewer/totals.js");
  const maps = [new Uint8Array(16), Uint8Array.from({ length: 16 }, (_, i) => (i < 4 ? 128 : 0))];
  const stack = { count: 2, maps, experts: [null, null], truthSlices: new Set() };
  const doubtRule = { threshold: 0.4, minPixels: 1 };
  const rule = { minPixels: 0, doubtRule, threshold: 0.9 };
  const totals = new Totals(stack, { width: 4, height: 4, ...rule, onChange: () => {} });
  totals.count();
  const before = totals.sum();
  totals.threshold = 0.3;
  totals.areas = [null, null];
  totals.put(0, 0, doubtOf(maps[0], 4, 4, tumorMask(maps[0], 4, 4, 0.3, 0), 0.3, doubtRule), 0, 0, null);
  return [before, totals.sum()];
}"""


def test_what_was_in_doubt_at_another_threshold_is_not_counted(module_page: Page) -> None:
    before, partial = module_page.evaluate(COUNT_ANEW)

    assert (before["counted"], before["doubtful"], before["doubt"]["slice"]) == (2, 4, 1)
    assert (partial["counted"], partial["doubtful"], partial["doubt"]) == (1, 0, None)

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
  totals.begin(0.3, null);
  totals.put(0, 0, doubtOf(maps[0], 4, 4, tumorMask(maps[0], 4, 4, 0.3, 0), 0.3, doubtRule), 0, 0, null);
  return [before, totals.sum()];
}"""


def test_what_was_in_doubt_at_another_threshold_is_not_counted(module_page: Page) -> None:
    before, partial = module_page.evaluate(COUNT_ANEW)

    assert (before["counted"], before["doubtful"], before["doubt"]["slice"]) == (2, 4, 1)
    assert (partial["counted"], partial["doubtful"], partial["doubt"]) == (1, 0, None)


# Of slice 0 the rule for stacks dropped its only component, and an expert marked it.
BACK_TO_STORED = """async () => {
  const { Totals } = await import("/js/viewer/totals.js");
  const maps = [Uint8Array.from({ length: 16 }, (_, i) => (i < 4 ? 230 : 0))];
  const experts = [Uint8Array.from({ length: 16 }, (_, i) => (i < 4 ? 1 : 0))];
  const stack = { count: 1, maps, experts, truthSlices: new Set([0]) };
  const rule = { minPixels: 0, doubtRule: null, threshold: 0.5 };
  const totals = new Totals(stack, { width: 4, height: 4, ...rule, onChange: () => {} });
  const areas = [];
  for (const [threshold, stored] of [[0.3, null], [0.5, [0]]]) {
    totals.begin(threshold, stored);
    totals.count();
    areas.push(totals.areas[0]);
  }
  return areas;
}"""


def test_back_at_the_stored_threshold_nothing_is_counted_anew(module_page: Page) -> None:
    assert module_page.evaluate(BACK_TO_STORED) == [4, 0]
